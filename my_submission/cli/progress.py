"""Progress of a separation: bars on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from my_submission.cli.run_meter import RunMeter, RunState
from my_submission.errors import MdxError
from my_submission.events import Event, EventStream, Finished, Note, last_event
from my_submission.predictor import SeparationReport
from terminal.names import shown
from terminal.quantities import clock, duration, songs
from terminal.rich_lines import rich_line

LINE_SECONDS, LINE_SHARE, LONGEST_SILENCE = 10.0, 0.1, 60.0
"""Without a terminal, the next line comes at least 10 s after the last, at a tenth more progress or after a minute."""


class RunProgress:
    """Shows a run on standard error, and its results on standard output.

    Args:
        durations: length of every song in seconds; None if it is unknown before decoding.
        is_quiet: whether only errors are shown.
        console: standard error by default.
        now: monotonic seconds.
    """

    def __init__(
        self,
        durations: Sequence[float | None],
        *,
        is_quiet: bool = False,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = Console(soft_wrap=True, highlight=False, quiet=is_quiet)
        self._err = console or Console(stderr=True, soft_wrap=True, highlight=False, quiet=is_quiet)
        self._n_songs = len(durations)
        self._meter = RunMeter(durations, now)
        self._now = now
        self._bars = _bars(self._err, now, is_shown=is_live(self._err) and not is_quiet)
        self._song_bar = self._bar()
        self._run_bar = self._bar()
        self._last_line = (now(), 0.0)
        self._song = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, text: str) -> None:
        """Show what will happen."""
        self._err.print(rich_line(text))

    def ended(self, folder: Path, reports: Sequence[SeparationReport]) -> None:
        """Show what a run of several songs has made."""
        seconds = sum(report.seconds for report in reports)
        music = sum(report.source_samples / report.source_rate for report in reports)
        made = f"{songs(len(reports))} in {folder}{os.sep}, {duration(music)} of music"
        self._out.print(rich_line(f"{made}  ({duration(seconds)}, {music / max(seconds, 1e-9):.1f} x real time)"))

    def follow(
        self, song: str, events: EventStream[SeparationReport], *, budget_seconds: float | None = None
    ) -> SeparationReport:
        """Show all events of a song and return its report, which :meth:`done` shows."""
        self._begin(song, budget_seconds)
        return last_event(self._shown(events)).result

    def _shown(self, events: EventStream[SeparationReport]) -> EventStream[SeparationReport]:
        for event in events:
            if not isinstance(event, Finished):
                self.show(event)
            yield event

    def show(self, event: Event) -> None:
        """Show one event of the current song."""
        state = self._meter.take(event)
        if isinstance(event, Note):
            self._note(f"{self._song}: {event.text}")
        self._update(state)
        if self._bars.disable:
            self._line(state)

    def notes(self, texts: Iterable[str]) -> None:
        """Show notes on all songs, such as one on an idle GPU."""
        for text in texts:
            self._note(text)

    def done(self, song: str, report: SeparationReport) -> None:
        """Show the stems of a song, and warnings."""
        self._end(is_separated=True)
        parts = "" if report.is_complete else ", incomplete"
        parts = "".join(f", {text}" for text in report.warnings()) or parts
        speed = f"{duration(report.seconds)}, {report.realtime_factor:.1f} x real time{parts}"
        self._out.print(rich_line(f"{_files(report.outputs.values())}  ({speed})"))
        for text in report.warnings():
            self._note(f"{song}: {text}", "yellow")
        for source, level in report.levels.items():
            if level["clipped_samples"]:
                beyond = f"{int(level['clipped_samples'])} samples of {source} are beyond full scale and clipped"
                clipped = f"{beyond}; --clip rescale makes all stems quieter, --bit-depth 32f keeps them"
                self._note(f"{song}: {clipped}", "yellow")

    def skipped(self, song: str) -> None:
        """Show that a song was separated before."""
        self._end(is_separated=False)
        self._out.print(rich_line(f"{song}: already complete, skipped"))

    def failed(self, song: str, error: MdxError) -> None:
        """Show at once that a song failed, if there are several songs."""
        self._end(is_separated=False)
        if self._n_songs > 1:
            self._note(f"{song}: failed, continuing with the next song ({error.problem})", "red")

    def _begin(self, song: str, budget_seconds: float | None) -> None:
        self._song = song
        self._meter.begin_song(budget_seconds)
        self._last_line = (self._now(), 0.0)
        self._bars.update(self._song_bar, description=shown(song), stage="reading", visible=True)
        self._update(self._meter.state())

    def _bar(self) -> TaskID:
        return self._bars.add_task("", total=1.0, visible=False, stage="", speed="", left=None, at=0.0)

    def _update(self, state: RunState) -> None:
        at = self._now()
        self._bars.update(
            self._song_bar,
            completed=self._meter.song_share,
            stage=shown(state.song.part) or "reading",
            speed="" if state.speed is None else f"{state.speed:.1f} x",
            left=state.song_left,
            at=at,
        )
        if self._n_songs > 1:
            text = f"song {state.number} of {self._n_songs}"
            self._bars.update(
                self._run_bar, description=text, completed=state.share, left=state.left, at=at, visible=True
            )

    def _line(self, state: RunState) -> None:
        """Print a line if the last one is long ago."""
        when, share = self._last_line
        silence, done = self._now() - when, self._meter.song_share
        if silence < LINE_SECONDS or (done < share + LINE_SHARE and silence < LONGEST_SILENCE):
            return
        self._last_line = (self._now(), done)
        left = "" if state.song_left is None else f", {duration(state.song_left)} left"
        whole = ""
        if self._n_songs > 1:
            whole = f"; song {state.number} of {self._n_songs}"
            whole += "" if state.left is None else f", {duration(state.left)} left for all"
        self._err.print(rich_line(f"{self._song}: {done:.0%}, {state.song.part}{left}{whole}"))

    def _end(self, *, is_separated: bool) -> None:
        self._meter.end_song(is_separated=is_separated)
        self._bars.update(self._song_bar, visible=False)

    def _note(self, text: str, style: str = "dim") -> None:
        self._err.print(rich_line(text, style))


class _LeftColumn(ProgressColumn):
    """Remaining time, which falls between two events too."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(Column(justify="right", no_wrap=True, min_width=9))
        self._now = now

    def render(self, task: Task) -> Text:
        """Return the remaining time of a task."""
        left = task.fields["left"]
        return Text("" if left is None else f"{clock(left - (self._now() - task.fields['at']))} left")


def _bars(console: Console, now: Callable[[], float], *, is_shown: bool) -> Progress:
    """Return bars that fit 60 columns: a song, its stage, share, speed and remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis")),
        TextColumn(
            "{task.fields[stage]}",
            style="dim",
            markup=False,
            table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(bar_width=None, table_column=Column(ratio=2, min_width=8)),
        TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[speed]}", table_column=Column(justify="right", no_wrap=True, min_width=5)),
        _LeftColumn(now),
        console=console,
        transient=True,
        expand=True,
        disable=not is_shown,
        get_time=now,
    )


def is_live(console: Console) -> bool:
    """Return whether bars can be drawn: on a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def _files(paths: Iterable[str]) -> str:
    """Return a folder and the names of files in it."""
    files = [Path(path) for path in paths]
    folder = os.path.commonpath([file.parent for file in files])
    return f"{folder}{os.sep}: {', '.join(str(file.relative_to(folder)) for file in files)}"
