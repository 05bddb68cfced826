"""One stem by a public graph of KUIELab's architecture, applied as UVR and audio-separator apply it.

UVR and audio-separator cross-fade whole chunks under Hann windows, silence the first three bins of a graph's input, and
take the rest of the mixture as the second stem. KUIELab's own program does none of the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from my_submission.engines import Engine
from my_submission.engines.base import Batch, EngineWrapper
from my_submission.errors import WeightsError
from my_submission.geometry import ChunkSpan, WindowedChunking
from my_submission.mechanisms.chunks import ChunkStage, in_batches
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import DeviceLimit, MemoryLimit
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.spectral import batch_in_memory, batch_on_device
from my_submission.mechanisms.spectral_networks import geometry_of, open_spectral
from my_submission.planning import SegmentBuffer
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.stems import Waveform, complemented_source
from my_submission.weights import Artefact
from my_submission.weights.mdx_net_facts import facts_of

SILENT_BINS = 3
"""Bins that UVR and audio-separator silence: 0 to 17 Hz at n_fft 7680."""

OVERLAP_RATIO = 0.25
"""Share of a chunk that the next one estimates again, by default in UVR and audio-separator."""


@dataclass(frozen=True)
class MdxNetRecipe(Recipe):
    """One graph, and the stem that is made with it.

    Attributes:
        network: artefact name.
        source: the stem. The output of a graph of everything else (instrumental for vocals) is taken from the mixture.
        overlap_ratio: share of a chunk that the next one estimates again.
        silent_bins: first bins of the graph's input that are silenced.
        compensation: gain of the graph's output; None for the one that was fitted for a known graph.
        denoises: take half the difference of the outputs for the chunk and the negated chunk. It removes a faint tone
            that a network adds, and takes twice the time.
    """

    network: str
    source: str
    overlap_ratio: float = OVERLAP_RATIO
    silent_bins: int = SILENT_BINS
    compensation: float | None = 1.0
    denoises: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.overlap_ratio < 1:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 1")
        if self.silent_bins < 0:
            raise ValueError(f"silent_bins={self.silent_bins} must not be negative")
        if self.compensation is not None and not 0 < self.compensation < 10:
            raise ValueError(f"compensation={self.compensation} must lie between 0 and 10")

    @property
    def sources(self) -> tuple[str, ...]:
        """The stem alone."""
        return (self.source,)

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Name of the graph."""
        return (self.network,)

    @property
    def takes_network_options(self) -> bool:
        """True."""
        return True

    def with_network_options(self, *, denoises: bool, compensation: float | None, silent_bins: int) -> MdxNetRecipe:
        """Return the graph with these options."""
        return replace(self, denoises=denoises, compensation=compensation, silent_bins=silent_bins)

    def open(self, opening: Opening) -> MdxNetMechanism:
        """Open the graph."""
        artefact, path = opening.artefact(self.network), opening.path(self.network)
        is_rest = self._is_rest(artefact, path)
        geometry = replace(geometry_of(artefact, path), silent_bins=self.silent_bins)
        opened = open_spectral(replace(artefact, geometry=geometry), path, opening.options)
        chunking = WindowedChunking(opened.chunking.stft, opened.chunking.frames, self.overlap_ratio)
        engine: Engine = DenoisingEngine(opened.engine) if self.denoises else opened.engine
        gain = self._gain(path)
        if is_rest or gain != 1:
            engine = OutputEngine(engine, gain, is_rest=is_rest)
        n_runs = 2 if self.denoises else 1
        return MdxNetMechanism(self.source, engine, chunking, opening.options.chunks_per_run, n_runs, is_rest=is_rest)

    def _is_rest(self, artefact: Artefact, path: Path) -> bool:
        """Whether the graph outputs the mixture without the stem.

        Raises:
            WeightsError: it outputs another stem.
        """
        facts = facts_of(path)
        output = artefact.target if facts is None else facts.output
        if output is None or output == self.source:
            return False
        if complemented_source(output) == self.source:
            return True
        raise WeightsError(f"the graph outputs {output}, not {self.source}", where=path, hint=f"use --target {output}")

    def _gain(self, path: Path) -> float:
        if self.compensation is not None:
            return self.compensation
        facts = facts_of(path)
        if facts is None:
            problem = "no fitted compensation is known for this graph"
            raise WeightsError(problem, where=path, hint="give its value, such as --compensation 1.03")
        return facts.compensation


class DenoisingEngine(EngineWrapper):
    """Half the difference of an engine's outputs for a batch and for the negated batch."""

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine twice."""
        negative = self.engine.run(-batch)
        result: Batch = np.float32(0.5) * (self.engine.run(batch, is_last=is_last) - negative)
        return result


class OutputEngine(EngineWrapper):
    """An engine's output times a gain, or its input minus that.

    Args:
        engine: maps chunks to chunks of the same shape.
        gain: gain of its output.
        is_rest: whether the input minus the output is returned.
    """

    def __init__(self, engine: Engine, gain: float, *, is_rest: bool) -> None:
        super().__init__(engine)
        self._gain, self._is_rest = np.float32(gain), is_rest

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine."""
        output: Batch = self.engine.run(batch, is_last=is_last) * self._gain
        return batch - output if self._is_rest else output


@dataclass(frozen=True)
class MdxNetMechanism(Mechanism):
    """A stem by one graph, on whole chunks under Hann windows.

    Attributes:
        source: the stem.
        engine: maps float32 (batch, 2, chunk samples) to the same shape.
        chunking: the chunks.
        batch_size: chunks per run; memory grows with it.
        n_runs: runs of the network per chunk, for its cost.
        is_rest: whether the stem is the mixture without the graph's output, and so has no cutoff.
    """

    source: str
    engine: Engine
    chunking: WindowedChunking
    batch_size: int = 1
    n_runs: int = 1
    is_rest: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The stem alone."""
        return (self.source,)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of the graph."""
        return (self.engine,)

    @property
    def cutoffs_hz(self) -> Mapping[str, float]:
        """The graph's cutoff, if the stem is its output."""
        return {} if self.is_rest else {self.source: self.chunking.stft.cutoff_hz}

    @property
    def trial_samples(self) -> int:
        """Distance between the starts of two chunks."""
        return self.chunking.stride_samples

    def stages(self, song: SongContext) -> SongStages:
        """Return all chunks as one stage; under a deadline those with most energy come first."""
        buffer = SegmentBuffer(
            song.stores(self.sources),
            song.samples,
            mean_and_std=(0.0, 1.0),
            grid=self.chunking,
            fade_samples=min(FADE_SAMPLES, self.chunking.overlap_samples // 2),
        )

        def commit(span: ChunkSpan, estimate: Waveform) -> None:
            window = self.chunking.window_samples(span, song.samples)
            buffer.add(span.context_start, estimate[None], self.sources, full_samples=window)

        key = song.cost_key(
            song.name,
            runs_on=self.engine.runs_on,
            chunking=(self.chunking, self.n_runs),
            batch_size=self.batch_size,
        )
        batches = in_batches(list(self.chunking.spans(song.samples)), self.batch_size, benefit=song.benefit)
        stage = ChunkStage(song.name, key, self.engine, song.mixture, batches, commit=commit)
        return SongStages(buffer, (stage,))

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the mechanism with fewer chunks per run; the stem stays the same."""
        size = batch_in_memory(self.chunking, self.batch_size, limit, self.source)
        return Fitted(replace(self, batch_size=size))

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the mechanism with fewer chunks per run, unless the batch size is fixed; the stem stays the same."""
        size, notes = batch_on_device(self.chunking, self.batch_size, limit, self.source)
        return Fitted(replace(self, batch_size=size), notes)
