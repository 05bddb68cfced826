"""Progress of a run on standard error: a live table on a terminal, one line per event elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.scheduling import WorkerProgress
from terminal.quantities import counted
from terminal.rich_lines import rich_line


@dataclass
class _WorkerRow:
    """State of one worker."""

    state: str = "starting"
    song: str = ""
    since: float = 0.0
    n_songs: int = 0
    music_seconds: float = 0.0
    peak_memory_bytes: int = 0
    node: str = ""


class BatchDisplay:
    """Shows a run of songs as a context manager.

    Args:
        n_songs: number of songs, including those that are done already.
        console: output; standard error by default.
    """

    def __init__(self, n_songs: int, *, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._n_songs = n_songs
        self._counts: Counter[str] = Counter()
        self._workers: dict[int, _WorkerRow] = {}
        self._music_seconds = 0.0
        self._began = time.monotonic()
        self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Show one line above the table."""
        self._console.print(rich_line(text, style))

    def known(self, outcomes: list[SongOutcome]) -> None:
        """Count songs that needed no worker."""
        self._counts.update(outcome.status for outcome in outcomes)
        if self._counts["reused"]:
            self.say(f"{self._counts['reused']} of {self._n_songs} songs are done already")

    def workers_starting(self, n_workers: int, needs: str) -> None:
        """Say that workers are being started."""
        self.say(f"starting {counted(n_workers, 'worker')}, {needs} each", "dim")

    def show(self, progress: WorkerProgress[CatalogueSong, SongOutcome]) -> None:
        """Show one step; :meth:`finished` shows the line of a finished song."""
        if progress.worker is None:
            return
        row = self._workers.setdefault(progress.worker, _WorkerRow())
        song = progress.task.name if progress.task is not None else ""
        if progress.kind == "ready":
            row.state = "idle"
        elif progress.kind == "started":
            row.state, row.song, row.since = "working", song, time.monotonic()
        elif progress.kind == "lost":
            row.state = "lost"
            self.say(f"worker {progress.worker} was lost ({progress.reason})", "yellow")
        elif progress.kind == "retried":
            self.say(f"{song}: attempt {progress.attempts} failed and will be repeated ({progress.reason})", "yellow")
        if progress.kind in {"returned", "retried", "failed"} and row.state != "lost":
            row.state, row.song = "idle", ""

    def finished(self, outcome: SongOutcome) -> None:
        """Count and show a finished song."""
        self._counts[outcome.status] += 1
        self._music_seconds += outcome.music_seconds if outcome.status == "done" else 0.0
        if outcome.worker in self._workers:
            row = self._workers[outcome.worker]
            row.n_songs += 1
            row.music_seconds += outcome.music_seconds
            row.peak_memory_bytes = max(row.peak_memory_bytes, outcome.peak_memory_bytes)
            row.node = outcome.node or row.node
        head = f"[{sum(self._counts.values())}/{self._n_songs}] {outcome.song.name}"
        if outcome.status == "failed":
            self.say(f"{head}: failed ({outcome.error})", "red")
        elif not self._console.is_terminal:
            speed = outcome.music_seconds / max(outcome.seconds, 1e-9)
            what = "unchanged, reused" if outcome.status == "reused" else f"{speed:.1f} x real time"
            what += "" if outcome.is_separated else ", not separated: there was no time"
            self.say(f"{head}: {what} ({outcome.seconds:.1f} s, worker {outcome.worker})")
        for note in outcome.input_notes:
            self.say(f"{outcome.song.name}: {note}", "yellow")

    def _table(self) -> RenderableType:
        elapsed = time.monotonic() - self._began
        n_finished = sum(self._counts.values())
        table = Table(box=None, pad_edge=False)
        for name in ("worker", "machine", "state", "song", "s", "songs", "music", "peak"):
            table.add_column(name, justify="right" if name in {"s", "songs", "music", "peak"} else "left")
        for number, row in sorted(self._workers.items()):
            if row.state != "lost":
                table.add_row(*self._cells(number, row))
        left = self._n_songs - n_finished
        rate = self._music_seconds / max(elapsed, 1e-9)
        n_done = self._counts["done"]
        time_left = f"{elapsed / n_done * left / 60:.0f} min left" if n_done and left else ""
        totals = Table.grid()
        totals.add_row(ProgressBar(total=max(1, self._n_songs), completed=n_finished))
        totals.add_row(
            f"{n_done} done, {self._counts['reused']} before, {self._counts['failed']} failed, {left} to go; "
            f"{elapsed:.0f} s, {rate:.1f} x real time  {time_left}"
        )
        return Group(table, totals)

    @staticmethod
    def _cells(number: int, row: _WorkerRow) -> list[str | Text]:
        seconds = f"{time.monotonic() - row.since:.0f}" if row.song else ""
        memory = f"{row.peak_memory_bytes / 1e6:.0f} MB" if row.peak_memory_bytes else ""
        music = f"{row.music_seconds / 60:.1f} min"
        node, song = rich_line(row.node), rich_line(row.song)
        return [str(number), node, row.state, song, seconds, str(row.n_songs), music, memory]
