"""Masks of the mixture's magnitude, with its phase, and a Wiener filter after them, as BandSplitRNN and X-UMX work.

A mask depends on a stretch of frames, the Wiener filter on all masks of the song. So masks are estimated first and
stored while the filter accumulates its covariances. Then stems can be made anywhere in the song and in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, cast

import numpy as np

from my_submission.dsp.stft import Spectrogram
from my_submission.dsp.wiener import Masks, WienerSettings
from my_submission.engines import Engine
from my_submission.engines.base import Batch
from my_submission.engines.torch_engine import open_torch
from my_submission.errors import WeightsError
from my_submission.geometry import SAMPLE_RATE, FrameChunking, StftGeometry
from my_submission.mechanisms.mask_stages import FILTER_SECONDS_PER_SECOND, PROBED_FRAMES, FilterStage, MaskStage
from my_submission.mechanisms.masked_song import STEREO, MaskedSong
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import MemoryLimit
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.spectral_networks import whole_stft_of
from my_submission.planning import ChunkBuffer
from my_submission.planning.estimates import refuse_not_finite

if TYPE_CHECKING:
    from my_submission.networks.band_split_rnn import BandSplitRNN
    from my_submission.networks.x_umx import XUmx

MASK_ONLY = WienerSettings(has_residual=False, iterations=0)
"""The masked mixture without a filter."""

FRAME_BYTES = 900_000
"""Working memory of a frame of the published BandSplitRNN (0.83 MB); X-UMX needs half as much."""

MIN_FRAMES = 129
"""Three seconds, the length of BandSplitRNN's training examples."""


@dataclass(frozen=True)
class MaskingRecipe(Recipe):
    """A network that masks the mixture's spectrogram, and the Wiener filter after it.

    Attributes:
        network: artefact name.
        sources: sources of its masks, in the checkpoint's order.
        chunking: stretches of frames of one run.
        wiener: the filter.
        is_whole: run the whole song at once, as published, if time allows; memory grows with it.
    """

    network: str
    sources: tuple[str, ...]
    chunking: FrameChunking
    wiener: WienerSettings
    is_whole: bool = False

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that it needs."""
        return (self.network,)

    def open(self, opening: Opening) -> MaskingMechanism:
        """Open the network in torch."""
        artefact, path, options = opening.artefact(self.network), opening.path(self.network), opening.options
        precision, threads = options.torch_precision, options.threads
        engine = open_torch(path, artefact.architecture, device=options.device, precision=precision, threads=threads)
        config = cast("BandSplitRNN | XUmx", engine.network).config
        if config.n_sources != len(self.sources):
            raise WeightsError(
                f"it masks {config.n_sources} sources, but the system expects {', '.join(self.sources)}",
                where=path,
                hint="use a network that was trained on these targets",
            )
        return MaskingMechanism(
            self.sources,
            engine,
            stft=whole_stft_of(artefact, path, config.bins),
            chunking=self.chunking,
            wiener=self.wiener,
            is_whole=self.is_whole,
        )


@dataclass(frozen=True)
class MaskingMechanism(Mechanism):
    """Estimates one or more sources by masking the mixture's spectrogram.

    Attributes:
        sources: sources of the engine's masks, in its order.
        engine: maps magnitudes, float32 (batch, 2, bins, frames), to masks of them, float32 (batch, sources, 2, bins,
            frames), or the same without the second axis for one source; for any number of frames.
        stft: the transform.
        chunking: stretches of frames, for songs that are not taken whole.
        wiener: the filter after the masks.
        is_whole: run the whole song at once, as published; memory grows with it.
    """

    sources: tuple[str, ...]
    engine: Engine
    stft: StftGeometry
    chunking: FrameChunking
    wiener: WienerSettings = MASK_ONLY
    is_whole: bool = False

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of the one network."""
        return (self.engine,)

    @property
    def is_streamable(self) -> bool:
        """False: the filter learns from the masks of the whole song."""
        return False

    def stages(self, song: SongContext) -> SongStages:
        """Return the masks of the whole song, then the filter that learns from them."""
        buffer = ChunkBuffer(song.stores(self.sources), song.samples)
        masked = MaskedSong(self, song.mixture, song.new_store)
        filter_name = f"{song.name}, filter"
        key, filter_key = (
            song.cost_key(name, runs_on=self.engine.runs_on, chunking=self.chunking)
            for name in (song.name, filter_name)
        )
        song.forecast.costs.assume(filter_key, FILTER_SECONDS_PER_SECOND)
        masks = MaskStage(song.name, key, masked, filter_key=filter_key)
        return SongStages(buffer, (masks, FilterStage(filter_name, filter_key, masked, buffer)))

    def masks(self, spectrum: Spectrogram, *, is_last: bool = False) -> Masks:
        """Return masks, float32 (sources, 2, frames, bins), of a spectrum (2, frames, bins)."""
        magnitudes = np.abs(spectrum).swapaxes(-1, -2)[None]
        estimated: Batch = self.engine.run(np.ascontiguousarray(magnitudes, np.float32), is_last=is_last)
        shaped = estimated.reshape(len(self.sources), *magnitudes.shape[1:])
        for source, mask in zip(self.sources, shaped, strict=True):
            refuse_not_finite(source, mask)
        return shaped.swapaxes(-1, -2)

    def probe_cost(self) -> float:
        """Run a second of noise and return its share of a stretch."""
        shape = (1, STEREO, self.stft.n_bins, PROBED_FRAMES)
        self.engine.run(np.abs(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)))
        return min(1.0, PROBED_FRAMES / self.chunking.frames)

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the mechanism with shorter stretches, down to the training length; the stems change a little."""
        chunking, fitting = self.chunking, limit.free_bytes // FRAME_BYTES
        limit.require(f"three seconds of {', '.join(self.sources)}", MIN_FRAMES * FRAME_BYTES)
        if chunking.frames <= fitting and not self.is_whole:
            return Fitted(self)
        seconds_per_frame = self.stft.hop / SAMPLE_RATE
        before = "the whole song" if self.is_whole else f"{chunking.frames * seconds_per_frame:.1f} s"
        frames = min(chunking.frames, fitting)
        shorter = replace(chunking, frames=frames, overlap_frames=min(chunking.overlap_frames, frames // 10))
        note = f"stretches of {frames * seconds_per_frame:.1f} s instead of {before}, to stay within the memory limit"
        return Fitted(replace(self, is_whole=False, chunking=shorter), (note,))
