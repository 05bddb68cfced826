"""The predictor: runs the parts of an assembled system over a song until they are done or time is up."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy.typing as npt

from my_submission.audio_io import (
    DiskStore,
    MemoryStore,
    Mixture,
    SampleStore,
    StemFolderWriter,
    load_mixture,
    mixture_from_array,
)
from my_submission.budget import Budget
from my_submission.dsp.resampling import resample
from my_submission.events import Event, Finished, Note, PartAdvanced, PartFinished, PartStarted
from my_submission.geometry import SAMPLE_RATE
from my_submission.predictor.canvas import StemCanvas
from my_submission.predictor.report import PartReport, SeparationReport, peak_memory_bytes
from my_submission.separators import Piece, Separator
from my_submission.stems import Stems
from my_submission.systems import Assembly, Branch

logger = logging.getLogger(__name__)

PIECE_MARGIN = 1.25
"""A piece is begun only if it would still end in time when it takes this much longer than the longest so far."""

WRITING_SHARE = 4.0
"""Writing four stems takes about this many times as long as reading the mixture did."""

LEAST_WRITING_SECONDS = 0.2


@dataclass
class _Song:
    """Everything about the song in hand; made per call, so that a predictor keeps nothing of a song."""

    mixture: Mixture
    canvas: StemCanvas
    budget: Budget
    parts: list[PartReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    longest_piece_seconds: float = 0.0

    def note(self, text: str) -> Note:
        self.notes.append(text)
        return Note(text)


class Predictor:
    """Separates songs with one system, built once.

    Args:
        assembly: the system, ready to run.
        clock: monotonic seconds, for budgets; tests inject their own.
        notes: what a reader of every report should know, such as why the CPU was chosen.
    """

    def __init__(
        self, assembly: Assembly, *, clock: Callable[[], float] | None = None, notes: tuple[str, ...] = ()
    ) -> None:
        self.assembly = assembly
        self.setup_notes = notes
        self._clock = clock

    @property
    def sources(self) -> tuple[str, ...]:
        """Stems that come out."""
        return self.assembly.recipe.sources

    def separate(
        self, mixture: npt.ArrayLike, *, sample_rate: int = SAMPLE_RATE, budget_seconds: float | None = None
    ) -> Stems:
        """Separate a waveform.

        Args:
            mixture: float (channels, samples) or (samples,), one or two channels; it is not changed.
            sample_rate: in Hz.
            budget_seconds: how long it may take; no limit when not given.

        Returns:
            Source to float32 (2, samples), at the input's rate and length; a mono input gives two equal channels.

        Raises:
            InputError: the waveform is empty, not finite, or of another shape.
        """
        for event in self.stream(mixture, sample_rate=sample_rate, budget_seconds=budget_seconds):
            if isinstance(event, Finished):
                stems: Stems = event.result
        return stems

    def stream(
        self, mixture: npt.ArrayLike, *, sample_rate: int = SAMPLE_RATE, budget_seconds: float | None = None
    ) -> Iterator[Event]:
        """As :meth:`separate`, as a stream of progress events; the last one is ``Finished(stems)``."""
        budget = self._budget(budget_seconds)
        with mixture_from_array(mixture, sample_rate) as song_mixture:
            stores = {source: MemoryStore(channels=2, samples=song_mixture.samples) for source in self.sources}
            song = _Song(song_mixture, StemCanvas(stores, song_mixture), budget, notes=list(self.setup_notes))
            yield from self._paint(song)
            stems = {name: store.read(0, song_mixture.samples) for name, store in stores.items()}
            if sample_rate != SAMPLE_RATE:
                length = song_mixture.source_samples
                stems = {name: resample(stem, SAMPLE_RATE, sample_rate, samples=length) for name, stem in stems.items()}
            yield Finished(stems)

    def separate_file(
        self,
        path: str | Path,
        directory: str | Path,
        *,
        subtype: str = "PCM_16",
        file_format: str = "wav",
        budget_seconds: float | None = None,
    ) -> SeparationReport:
        """Separate an audio file into ``directory/<source>.<format>``, from disk to disk.

        Args:
            path: anything libsndfile or FFmpeg can read, one or two channels, any rate.
            directory: made if it is not there; files in it are replaced only once every stem is complete.
            subtype: "PCM_16", "PCM_24" or "FLOAT".
            file_format: "wav" or "flac".
            budget_seconds: how long reading, separating and writing may take together; no limit when not given.

        Returns:
            What was done.

        Raises:
            InputError: the file cannot be separated.
            OutputError: the stems cannot be written.
        """
        events = self.stream_file(
            path, directory, subtype=subtype, file_format=file_format, budget_seconds=budget_seconds
        )
        for event in events:
            if isinstance(event, Finished):
                report: SeparationReport = event.result
        return report

    def stream_file(
        self,
        path: str | Path,
        directory: str | Path,
        *,
        subtype: str = "PCM_16",
        file_format: str = "wav",
        budget_seconds: float | None = None,
    ) -> Iterator[Event]:
        """As :meth:`separate_file`, as a stream of progress events; the last one is ``Finished(report)``."""
        budget = self._budget(budget_seconds)
        path, directory = Path(path), Path(directory)
        with contextlib.ExitStack() as stack:
            scratch = scratch_folder(directory)
            mixture = stack.enter_context(load_mixture(path, scratch_dir=scratch))
            writing_seconds = WRITING_SHARE * budget.elapsed() + LEAST_WRITING_SECONDS
            writer = stack.enter_context(
                StemFolderWriter(
                    directory,
                    self.sources,
                    sample_rate=mixture.source_rate,
                    samples=mixture.source_samples,
                    subtype=subtype,
                    file_format=file_format,
                    source_rate=SAMPLE_RATE,
                )
            )
            stores: dict[str, SampleStore] = {
                source: stack.enter_context(DiskStore(2, mixture.samples, directory=scratch)) for source in self.sources
            }
            canvas = StemCanvas(stores, mixture)
            song = _Song(mixture, canvas, budget.reserving(writing_seconds), notes=list(self.setup_notes))
            yield from self._paint(song)
            for block in song.canvas.blocks():
                writer.write(block)
        yield Finished(self._report(song, budget, path, writer))

    def _budget(self, seconds: float | None) -> Budget:
        limit = math.inf if seconds is None else seconds
        return Budget(limit) if self._clock is None else Budget(limit, self._clock)

    def _paint(self, song: _Song) -> Iterator[Event]:
        """Run every branch; the first one leaves a complete answer, later ones refine it."""
        merged = dict.fromkeys(self.sources, 0.0)
        for index, branch in enumerate(self.assembly.branches):
            yield from self._first(song, branch) if index == 0 else self._refine(song, branch, merged)
            for source, share in branch.shares.items():
                merged[source] += share
        logger.debug("parts: %s", song.parts)

    def _first(self, song: _Song, branch: Branch) -> Iterator[Event]:
        """Paint every source, apply the Mixer, and fill in whatever time did not allow."""
        for separator in branch.separators:
            name = f"{branch.name}: {', '.join(separator.sources)}" if len(branch.separators) > 1 else branch.name
            yield from self._run(song, name, separator, song.canvas.paint)
        if branch.mixer is not None:
            yield from self._mix(song, branch)
        if missing := song.canvas.fill():
            text = f"time ran out before {', '.join(missing)} was done: the rest of the mixture was shared out equally"
            logger.warning(text)
            yield song.note(text)

    def _mix(self, song: _Song, branch: Branch) -> Iterator[Event]:
        name, samples = f"{branch.name}: mixer", song.mixture.samples
        yield PartStarted(name, samples)
        begun = song.budget.elapsed()
        done = song.canvas.mix(branch.mixer) if branch.mixer else 0
        yield self._finished(song, name, begun, done, "numpy")

    def _refine(self, song: _Song, branch: Branch, before: dict[str, float]) -> Iterator[Event]:
        """Merge a branch with what is there, as far as time allows."""

        def merge(piece: Piece) -> None:
            song.canvas.refine(piece, branch.shares, before)

        for separator in branch.separators:
            yield from self._run(song, branch.name, separator, merge)
            part = song.parts[-1]
            if not part.is_complete:
                song.canvas.fade_out()
                done, whole = part.done_samples / SAMPLE_RATE, part.samples / SAMPLE_RATE
                text = f"the deadline stopped {branch.name} after {done:.1f} of {whole:.1f} s of the song"
                logger.warning(text)
                yield song.note(text)

    def _run(self, song: _Song, name: str, separator: Separator, apply: Callable[[Piece], None]) -> Iterator[Event]:
        """Run one separator piece by piece; a piece that would end too late is not begun."""
        budget, samples = song.budget, song.mixture.samples
        yield PartStarted(name, samples)
        begun, done = budget.elapsed(), 0
        longest = self._first_piece_seconds(song, separator)
        pieces = separator.pieces(song.mixture)
        while done < samples and budget.remaining() > 0 and budget.allows(longest * PIECE_MARGIN):
            started = budget.elapsed()
            piece = next(pieces)
            apply(piece)
            longest = max(longest, budget.elapsed() - started)
            done = piece.stop
            yield PartAdvanced(name, done, samples)
        song.longest_piece_seconds = longest
        yield self._finished(song, name, begun, done, separator.runs_on)

    def _first_piece_seconds(self, song: _Song, separator: Separator) -> float:
        """A guess at the first piece's seconds: from a rehearsal, or else as long as the part before took."""
        if not song.budget.is_limited:
            return 0.0
        if not song.budget.allows(song.longest_piece_seconds):
            return math.inf
        begun = song.budget.elapsed()
        share = separator.rehearse()
        return (song.budget.elapsed() - begun) / share if share else song.longest_piece_seconds

    def _finished(self, song: _Song, name: str, begun: float, done: int, runs_on: str) -> PartFinished:
        seconds, samples = song.budget.elapsed() - begun, song.mixture.samples
        song.parts.append(PartReport(name, seconds, done, samples, runs_on))
        return PartFinished(name, seconds, done, samples)

    def _report(self, song: _Song, budget: Budget, path: Path, writer: StemFolderWriter) -> SeparationReport:
        return SeparationReport(
            system=self.assembly.recipe.name,
            source_rate=song.mixture.source_rate,
            source_samples=song.mixture.source_samples,
            parts=tuple(song.parts),
            seconds=budget.elapsed(),
            budget_seconds=budget.seconds if budget.is_limited else None,
            peak_memory_bytes=peak_memory_bytes(),
            cutoffs_hz=dict(self.assembly.cutoffs_hz),
            weights={name: str(file) for name, file in self.assembly.weights.items()},
            input_path=str(path),
            outputs={name: str(file) for name, file in writer.paths.items()},
            levels={name: vars(level) for name, level in writer.report.items()},
            notes=tuple(song.notes),
        )


def scratch_folder(directory: Path) -> Path:
    """The folder for a song's anonymous scratch files: the nearest one that exists on the way to ``directory``.

    The stems will lie on the same file system, so what fits there fits here, and nothing is left behind.
    """
    folder = directory
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
