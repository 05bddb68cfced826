"""One network for any source on trimmed, overlapping chunks, as LaSAFT applies its networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from my_submission.engines import Engine
from my_submission.geometry import SpectralChunking
from my_submission.mechanisms.chunks import ChunkStage, in_batches
from my_submission.mechanisms.conditioned_networks import open_conditioned
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import DeviceLimit
from my_submission.mechanisms.overlaps import OverlapAverager, covering_first
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.spectral import batch_on_device
from my_submission.planning import ChunkBuffer, Stage
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.stems import LASAFT_SOURCES


@dataclass(frozen=True)
class ConditionedRecipe(Recipe):
    """One network that estimates each source by its number.

    Attributes:
        network: artefact name.
        sources: sources to estimate, a subset of ``order``; the cost grows with their number.
        trim_samples: samples dropped at each side of a chunk.
        overlap_ratio: share of a chunk that the next one estimates again; the overlaps are left out first when time is
            short.
        order: sources in the order of the network's numbers.
    """

    network: str
    sources: tuple[str, ...]
    trim_samples: int
    overlap_ratio: float = 0.0
    order: tuple[str, ...] = LASAFT_SOURCES

    def __post_init__(self) -> None:
        if not self.sources or not set(self.sources) <= set(self.order):
            raise ValueError(f"sources={self.sources} must be among {self.order}")
        if self.trim_samples < 0:
            raise ValueError(f"trim_samples={self.trim_samples} must not be negative")
        if not 0 <= self.overlap_ratio <= 0.5:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 0.5")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that it needs."""
        return (self.network,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Source numbers, in the order of ``sources``."""
        return tuple(self.order.index(source) for source in self.sources)

    def with_sources(self, sources: tuple[str, ...]) -> ConditionedRecipe:
        """Return the recipe for some of its sources."""
        return replace(self, sources=sources)

    def open(self, opening: Opening) -> ConditionedMechanism:
        """Open the network for the sources of the recipe."""
        opened = open_conditioned(
            opening.artefact(self.network),
            opening.path(self.network),
            opening.options,
            numbers=self.numbers,
            trim_samples=self.trim_samples,
            overlap_ratio=self.overlap_ratio,
        )
        return ConditionedMechanism(self.sources, opened.engine, opened.chunking, opening.options.chunks_per_run)


@dataclass(frozen=True)
class ConditionedMechanism(Mechanism):
    """Estimates some sources with one conditioned network, all of them in the same run.

    The context of a chunk is the song around it, with zeros beyond its ends. In overlaps of two chunks, every sample is
    the mean of their estimates, as published; unlike in the published program, no chunk counts twice at the end of a
    track.

    Attributes:
        sources: rows of the engine's output.
        engine: maps float32 (batch, 2, chunk samples) to (batch, sources, 2, chunk samples).
        chunking: the network's chunks.
        batch_size: chunks per run; memory grows with it.
    """

    sources: tuple[str, ...]
    engine: Engine
    chunking: SpectralChunking
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be at least 1")
        if not self.sources or len(set(self.sources)) < len(self.sources):
            raise ValueError(f"sources={self.sources} must name at least one source, and none twice")

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of the one network."""
        return (self.engine,)

    @property
    def trial_samples(self) -> int:
        """Distance between the starts of two chunks."""
        return self.chunking.stride_samples

    def stages(self, song: SongContext) -> SongStages:
        """Return all chunks in order; under a deadline first those that cover the song, then the overlapping ones."""
        fade = min(FADE_SAMPLES, self.chunking.kept_samples // 4)
        buffer = ChunkBuffer(song.stores(self.sources), song.samples, fade_samples=fade)
        commit = OverlapAverager(buffer, self.sources)
        key = song.cost_key(song.name, runs_on=self.engine.runs_on, chunking=self.chunking, batch_size=self.batch_size)
        spans = list(self.chunking.spans(song.samples))
        covering, others = covering_first(spans) if song.has_deadline else (spans, [])
        stages: list[Stage] = []
        for name, part in ((song.name, covering), (f"{song.name}, overlaps", others)):
            if part:
                batches = in_batches(part, self.batch_size, benefit=song.benefit)
                stages.append(ChunkStage(name, key, self.engine, song.mixture, batches, commit=commit))
        return SongStages(buffer, tuple(stages))

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the mechanism with fewer chunks per run, unless the batch size is fixed; the stems stay the same."""
        size, notes = batch_on_device(self.chunking, self.batch_size, limit, ", ".join(self.sources))
        return Fitted(replace(self, batch_size=size), notes)
