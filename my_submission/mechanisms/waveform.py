"""A waveform network on long overlapping segments, as Demucs v2 and Hybrid Demucs are applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.engines import DeferredEngine, Engine, SegmentsEngine
from my_submission.geometry import SAMPLE_RATE, Segmentation
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import DeviceLimit, MemoryLimit
from my_submission.mechanisms.segment_stages import SHORTEST_SHARE, SegmentStage, ShiftedStage
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.waveform_networks import SEGMENT_BYTES_PER_SAMPLE, OpenedWaveform, open_waveform
from my_submission.planning import SegmentBuffer
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.stems import Waveform

Normalisation = Literal["joint", "mono", "none"]
"""Statistics that normalise the mixture: of both channels together, or of their average."""

_OUT_OF_PHASE_RATIO = 1e-4
"""The channels cancel if the mono deviation is this far (80 dB) below the joint one; it is too small to divide by."""

_PROBE_SHARE = 20
"""A probe takes 1 / 20 of a segment: two seconds of the published forty."""

SEGMENTS_TOGETHER = 3
"""Demucs' LSTM takes hardly longer for a few segments than for one. Each needs 0.3 GB, and leaderboard A must fit into
2.5 GB. A song of a minute has three."""

DEVICE_SEGMENTS_TOGETHER = 8
"""Segments of one run on a GPU with enough memory."""


@dataclass(frozen=True)
class WaveformRecipe(Recipe):
    """One waveform network for all sources.

    Attributes:
        network: artefact name.
        sources: rows of its output, in the checkpoint's order.
        normalisation: how the mixture is normalised.
        chunking: segments and overlap, or the whole song.
        reduced_overlaps: smaller overlaps for when time is short, largest first; those not below the published one
            are ignored.
        shifted_passes: passes on shifted segments, averaged with the published one if time is left.
    """

    network: str
    sources: tuple[str, ...]
    normalisation: Normalisation
    chunking: Segmentation
    reduced_overlaps: tuple[float, ...] = (0.25, 0.1)
    shifted_passes: int = 2

    def __post_init__(self) -> None:
        overlaps = self.reduced_overlaps
        if list(overlaps) != sorted(set(overlaps), reverse=True) or not all(0 < overlap < 1 for overlap in overlaps):
            raise ValueError(f"the reduced overlaps {overlaps} of {self.network!r} must fall, between 1 and 0")
        if self.shifted_passes < 0:
            raise ValueError(f"shifted_passes={self.shifted_passes} of {self.network!r} must not be negative")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that it needs."""
        return (self.network,)

    @property
    def needs_statistics(self) -> bool:
        """Whether the mixture is normalised."""
        return self.normalisation != "none"

    def open(self, opening: Opening) -> WaveformMechanism:
        """Open the network."""
        opened = self.open_network(opening)
        return WaveformMechanism(
            opened.engine,
            self.sources,
            valid_length=opened.valid_length,
            chunking=self.chunking,
            normalisation=self.normalisation,
            bytes_per_sample=opened.bytes_per_sample,
            reduced_overlaps=self.reduced_overlaps,
            shifted_passes=self.shifted_passes,
        )

    def open_network(self, opening: Opening) -> OpenedWaveform:
        """Open the engine alone, from stereo to one stereo row per source."""
        name = self.network
        return open_waveform(opening.artefact(name), opening.path(name), opening.options, rows=len(self.sources))


@dataclass(frozen=True)
class WaveformMechanism(Mechanism):
    """Estimates all sources with one waveform network.

    Segments overlap under a triangular weight or a short cross-fade, or the song is one segment. The network's context
    is taken from the song around the segment, with zeros only beyond the song's ends.

    Attributes:
        engine: maps float32 (1, 2, n) to (1, sources, 2, n'), n' centred on n, for every n that is a valid length.
        sources: rows of the network's output.
        valid_length: samples to feed for a segment of that many samples.
        chunking: segments and their overlap.
        normalisation: leaderboard A normalises by the joint statistics, B by those of the channel average.
        bytes_per_sample: working memory per sample of a segment.
        reduced_overlaps: as in the recipe.
        shifted_passes: as in the recipe.
        max_together: segments of one run, if the engine runs several together.
    """

    engine: Engine
    sources: tuple[str, ...]
    valid_length: Callable[[int], int]
    chunking: Segmentation
    normalisation: Normalisation
    bytes_per_sample: int = SEGMENT_BYTES_PER_SAMPLE
    reduced_overlaps: tuple[float, ...] = (0.25, 0.1)
    shifted_passes: int = 2
    max_together: int = SEGMENTS_TOGETHER

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of the one network."""
        return (self.engine,)

    @property
    def segments_together(self) -> int:
        """Segments that cost clearly less together than one after the other; their memory adds up."""
        return self.max_together if isinstance(self.engine, SegmentsEngine) else 1

    @property
    def is_streamable(self) -> bool:
        """Whether the song is cut into segments."""
        return self.chunking.bounded is self.chunking

    def open_weights(self) -> None:
        """Open the network's weights now, if that is deferred to their first use."""
        if isinstance(self.engine, DeferredEngine):
            self.engine.open()

    def long_song_passes(self, samples: int) -> float:
        """Return more than one if segments at least as long as ``samples`` overlap."""
        is_one_segment = self.chunking.bounded.segment_samples >= samples
        return 1 / (1 - self.chunking.overlap_ratio) if is_one_segment else 1.0

    # ---- the work on a song ----

    def stages(self, song: SongContext) -> SongStages:
        """Return the segments, and passes over shifted segments as refinements."""
        if song.has_deadline:
            self.open_weights()  # the cost of a run must be known
        grids = self.chunking.grids(song.samples, self.reduced_overlaps)
        min_overlap = grids[-1].segment_samples - grids[-1].stride_samples
        buffer = SegmentBuffer(
            song.stores(self.sources),
            song.samples,
            mean_and_std=mean_and_std(song.mixture, self.normalisation),
            grid=grids[-1],
            fade_samples=min(FADE_SAMPLES, min_overlap // 2),
        )
        key, benefit = self._cost_key(song), song.blended_benefit
        # Segments run together without a deadline. With one they run alone, so that the cost of each is known.
        together = 1 if song.has_deadline else self.segments_together
        key_together = key if together == 1 else f"{key} x{together}"
        stage = SegmentStage(
            song.name, key_together, self, song.mixture, buffer, grids=grids, benefit=benefit, together=together
        )
        passes = self.shifted_passes
        shifts = [grids[0].stride_samples * (index + 1) // (passes + 1) for index in range(passes)]
        refinements = tuple(
            ShiftedStage(
                f"{song.name}, shifted pass {number}",
                key,
                self,
                song.mixture,
                buffer,
                grid=grids[0],
                shift_samples=shift,
                benefit=benefit,
            )
            for number, shift in enumerate(shifts, start=1)
        )
        return SongStages(buffer, (stage,), refinements)

    def _cost_key(self, song: SongContext) -> str:
        return song.cost_key(song.name, runs_on=self.engine.runs_on, chunking=self.chunking)

    def probe_cost(self, mixture: Mixture | None = None) -> float:
        """Run a twentieth of a segment and return its share of a whole one.

        The probe takes the middle of the song, on which an engine may choose its arithmetic. It takes noise without a
        song and for silence, because an engine may skip silence.
        """
        probed = np.zeros((2, self.probe_samples), np.float32)
        if mixture is not None:
            length = self._probe_length
            probed = self._network_input(mixture, (mixture.samples - length) // 2, length)
        if not probed.any():
            probed = np.random.default_rng(0).standard_normal(probed.shape, dtype=np.float32)
        self.engine.run(probed[None])
        return self.probe_samples / self.valid_length(self.chunking.bounded.segment_samples)

    @property
    def probe_samples(self) -> int:
        """Samples that a probe feeds the network."""
        return self.valid_length(self._probe_length)

    @property
    def _probe_length(self) -> int:
        return max(1, self.chunking.bounded.segment_samples // _PROBE_SHARE)

    def segment(self, mixture: Mixture, offset: int, length: int, *, is_last: bool = False) -> Waveform:
        """Return estimates (sources, 2, length) of one segment, anywhere in the song, still normalised.

        Rows are in the order of ``sources``; ``mean_and_std`` returns the values that undo the normalisation.
        """
        separated: Waveform = self.engine.run(self._network_input(mixture, offset, length)[None], is_last=is_last)[0]
        return _centred(separated, length)

    def segments(self, mixture: Mixture, spans: Sequence[tuple[int, int]], *, is_last: bool = False) -> list[Waveform]:
        """Return estimates of several segments (offset, length), in one run if the engine runs segments together."""
        if len(spans) == 1 or not isinstance(self.engine, SegmentsEngine):
            last = len(spans) - 1
            return [self.segment(mixture, *span, is_last=is_last and at == last) for at, span in enumerate(spans)]
        separated = self.engine.run_together([self._network_input(mixture, *span) for span in spans], is_last=is_last)
        return [_centred(one, length) for one, (_, length) in zip(separated, spans, strict=True)]

    def _network_input(self, mixture: Mixture, offset: int, length: int) -> Waveform:
        """Return the samples that the network is fed for a segment: normalised, with the song around it."""
        mean, std = mean_and_std(mixture, self.normalisation)
        needed = self.valid_length(length)
        start = offset - (needed - length) // 2
        fed: Waveform = (mixture.store.read(start, start + needed) - np.float32(mean)) / np.float32(std)
        # Silence beyond the song follows the normalisation.
        fed[:, : max(0, -start)] = 0
        fed[:, max(0, mixture.samples - start) :] = 0
        return fed

    # ---- memory ----

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the mechanism with shorter segments, down to the minimum; the stems change a little."""
        length = self._fitting_length(limit.free_bytes)
        need = self.bytes_per_sample * self.valid_length(length)
        limit.require(f"the shortest segment of {', '.join(self.sources)}", need)
        return self._with_length(length, "to stay within the memory limit")

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the mechanism with shorter segments, and as many together as fit; a whole song stays whole."""
        if self.chunking.bounded is not self.chunking:
            return Fitted(self)
        length = self._fitting_length(limit.usable_bytes)
        fitting = limit.usable_bytes // (self.bytes_per_sample * self.valid_length(length))
        together = max(1, min(DEVICE_SEGMENTS_TOGETHER, fitting))
        return replace(self, max_together=together)._with_length(length, limit.reason)

    def _fitting_length(self, free_bytes: int) -> int:
        """Return the longest segment up to the published one that fits, or the shortest that is allowed."""
        published = self.chunking.bounded.segment_samples
        fitting = free_bytes // self.bytes_per_sample
        length = published
        while length > published // SHORTEST_SHARE and self.valid_length(length) > fitting:
            length = max(published // SHORTEST_SHARE, int(0.9 * length))
            length -= length % 2
        return length

    def _with_length(self, length: int, reason: str) -> Fitted[Self]:
        """Return the mechanism with segments of another length, and a note if that changes anything."""
        grid = self.chunking.bounded
        is_whole = grid is not self.chunking
        if length == grid.segment_samples and not is_whole:
            return Fitted(self)
        before = "the whole song" if is_whole else f"{grid.segment_samples / SAMPLE_RATE:.1f} s"
        note = f"segments of {length / SAMPLE_RATE:.1f} s instead of {before}, {reason}"
        return Fitted(replace(self, chunking=grid.with_segment(length)), (note,))


def _centred(separated: Waveform, length: int) -> Waveform:
    excess = separated.shape[-1] - length
    return separated[..., excess // 2 : excess // 2 + length]


def mean_and_std(mixture: Mixture, normalisation: Normalisation) -> tuple[float, float]:
    """Return the mean to subtract and the standard deviation to divide by; the deviation is never zero.

    "mono" uses the joint statistics if both channels cancel in the average (L = −R), instead of dividing by about zero.
    A silent mixture is divided by one. "none" does not ask for the statistics, which take a pass over the song.
    """
    if normalisation == "none":
        return 0.0, 1.0
    statistics = mixture.statistics
    mean, std = statistics.joint_mean, statistics.joint_std
    if normalisation == "mono" and statistics.mono_std > _OUT_OF_PHASE_RATIO * std:
        mean, std = statistics.mono_mean, statistics.mono_std
    return mean, std if std > 0 else 1.0
