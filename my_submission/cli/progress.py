"""Progress of a separation: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from my_submission.errors import MdxError
from my_submission.events import (
    Event,
    EventStream,
    Finished,
    Note,
    StageAdvanced,
    StageFinished,
    StageStarted,
    last_event,
)
from my_submission.geometry import SAMPLE_RATE
from my_submission.predictor import SeparationReport
from terminal.names import shown
from terminal.rich_lines import rich_line


class SongProgress:
    """Shows progress on standard error; results go to standard output.

    Args:
        n_songs: number of songs.
    """

    def __init__(self, n_songs: int) -> None:
        self._out = Console(soft_wrap=True)
        self._err = Console(stderr=True, soft_wrap=True)
        self._n_songs = n_songs
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def follow(self, song: str, events: EventStream[SeparationReport]) -> SeparationReport:
        """Show all events of a song and return its report, which :meth:`done` shows."""
        return last_event(self._shown(song, events)).result

    def _shown(self, song: str, events: EventStream[SeparationReport]) -> EventStream[SeparationReport]:
        for event in events:
            if not isinstance(event, Finished):
                self.show(song, event)
            yield event

    def show(self, song: str, event: Event) -> None:
        """Show one event of a song."""
        if isinstance(event, StageStarted):
            total = round(event.samples / SAMPLE_RATE)
            self._task = self._bars.add_task(shown(f"{song}: {event.part}"), total=total)
        elif isinstance(event, StageAdvanced) and self._task is not None:
            self._bars.update(self._task, completed=round(event.done / SAMPLE_RATE))
        elif isinstance(event, StageFinished) and self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        elif isinstance(event, Note):
            self._note(f"{song}: {event.text}")

    def notes(self, texts: Iterable[str]) -> None:
        """Show notes on all songs, such as why the CPU was chosen."""
        for text in texts:
            self._note(text)

    def done(self, song: str, report: SeparationReport) -> None:
        """Show the folder of a song's stems, and warnings."""
        folder = Path(next(iter(report.outputs.values()))).parent
        parts = "" if report.is_complete else ", incomplete"
        parts = "".join(f", {text}" for text in report.warnings()) or parts
        speed = f"{report.seconds:.1f} s, {report.realtime_factor:.1f} x real time{parts}"
        self._out.print(rich_line(f"{song} -> {folder} ({speed})"))
        for text in report.warnings():
            self._note(f"{song}: {text}", "yellow")
        for source, level in report.levels.items():
            if level["clipped_samples"]:
                beyond = f"{int(level['clipped_samples'])} samples of {source} are beyond full scale and clipped"
                clipped = f"{beyond}; --clip rescale makes all stems quieter, --bit-depth 32f keeps them"
                self._note(f"{song}: {clipped}", "yellow")

    def skipped(self, song: str) -> None:
        """Show that a song was separated before."""
        self._out.print(rich_line(f"{song}: already complete, skipped"))

    def failed(self, song: str, error: MdxError) -> None:
        """Show at once that a song failed, if there are several songs."""
        if self._n_songs > 1:
            self._note(f"{song}: failed, continuing with the next song ({error.problem})", "red")

    def _note(self, text: str, style: str = "dim") -> None:
        self._err.print(rich_line(text, style))
