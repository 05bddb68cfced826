"""Masks of the mixture's magnitude, with its phase: how BandSplitRNN and X-UMX are applied, with a Wiener filter after.

A mask depends on a stretch of frames, the Wiener filter on all masks of the song. So masks are estimated first and
kept in a store; what the filter must know of the song is gathered meanwhile; then stems are made, anywhere in the song
and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from my_submission.audio_io import MemoryStore, Mixture, SampleStore
from my_submission.dsp.overlap_add import trapezoid
from my_submission.dsp.song_frames import SongFrames
from my_submission.dsp.stft import Spectrogram
from my_submission.dsp.wiener import Masks, WienerFilter, WienerSettings
from my_submission.engines import Engine
from my_submission.engines.base import Batch
from my_submission.geometry import FrameChunking, StftGeometry
from my_submission.separators.base import Piece
from my_submission.stems import Stems, Waveform, unstack_stems

MASK_ONLY = WienerSettings(has_residual=False, iterations=0)
"""The masked mixture as it is."""

STEREO = 2

REHEARSED_FRAMES = 43
"""A second of sound at the published hop."""

FILTERED_FRAMES = 32
"""Frames that the Wiener filter works on at once: 2 MiB a channel and source in double precision."""

PIECE_SAMPLES = 1 << 17
"""Samples of a piece (3 s): as few as make little of the frames that two neighbours both need."""


class MaskingSeparator:
    """Estimates one or more sources by masking the mixture's spectrogram.

    Args:
        sources: what the engine's masks are of, in its order.
        engine: maps magnitudes, float32 (batch, 2, bins, frames), to masks of them, float32 (batch, sources, 2, bins,
            frames), or the same without the second axis where there is one source; for any number of frames.
        stft: the transform.
        chunking: stretches of frames, for songs that are not taken whole.
        wiener: the filter after the masks.
        is_whole: show the network the whole song at once, as published; memory grows with it.
    """

    def __init__(
        self,
        sources: Sequence[str],
        engine: Engine,
        *,
        stft: StftGeometry,
        chunking: FrameChunking,
        wiener: WienerSettings = MASK_ONLY,
        is_whole: bool = False,
    ) -> None:
        self._sources = tuple(sources)
        self.engine = engine
        self.stft = stft
        self.chunking = chunking
        self.wiener = wiener
        self.is_whole = is_whole

    @property
    def sources(self) -> tuple[str, ...]:
        """What the masks are of."""
        return self._sources

    @property
    def runs_on(self) -> str:
        """Where the network runs."""
        return self.engine.runs_on

    def mask_channels(self, samples: int) -> tuple[int, int]:
        """Channels and length of the store that a song's masks need."""
        frames = SongFrames(_nothing, samples, self.stft).count
        return len(self._sources) * STEREO * self.stft.n_bins, frames

    def masks(self, spectrum: Spectrogram, *, is_last: bool = False) -> Masks:
        """Masks, float32 (sources, 2, frames, bins), of a spectrum (2, frames, bins)."""
        magnitudes = np.abs(spectrum).swapaxes(-1, -2)[None]
        estimated: Batch = self.engine.run(np.ascontiguousarray(magnitudes, np.float32), is_last=is_last)
        shaped = estimated.reshape(len(self._sources), *magnitudes.shape[1:])
        return shaped.swapaxes(-1, -2)

    def pieces(self, mixture: Mixture) -> Iterator[Piece]:
        """One piece every three seconds, once all masks are known."""
        channels, frames = self.mask_channels(mixture.samples)
        song = MaskedSong(self, mixture, MemoryStore(channels=channels, samples=frames))
        while not song.is_masked:
            song.put(song.estimate())
        song.learn_all()
        for start, stop in song.blocks():
            yield Piece(start, stop, song.stems(start, stop))

    def rehearse(self) -> float:
        """Run a second of noise."""
        shape = (1, STEREO, self.stft.n_bins, REHEARSED_FRAMES)
        self.engine.run(np.abs(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)))
        return min(1.0, REHEARSED_FRAMES / self.chunking.frames)


class MaskedSong:
    """The masks of one song as far as they are known, and the filter that learns from them.

    Args:
        separator: estimates the masks.
        mixture: the song.
        store: where the masks are kept; ``separator.mask_channels`` says how large it must be.

    Attributes:
        spans: stretches of frames that are still without masks.
        n_masked: frames, from the first, that have theirs.
    """

    def __init__(self, separator: MaskingSeparator, mixture: Mixture, store: SampleStore) -> None:
        self.separator = separator
        self.samples = mixture.samples
        self.frames = SongFrames(mixture.store.read, mixture.samples, separator.stft)
        self.n_masked = 0
        self._n_learned = 0
        self._store = store
        self.spans: list[tuple[int, int]] = []
        self.cut(separator.chunking if not separator.is_whole else FrameChunking(self.frames.count))
        bins, n_targets = separator.stft.n_bins, len(separator.sources)
        self._filter = WienerFilter(n_targets, STEREO, bins, separator.wiener)

    @property
    def is_masked(self) -> bool:
        """Whether every frame has its masks."""
        return not self.spans

    @property
    def is_learned(self) -> bool:
        """Whether the filter is ready."""
        return self._filter.n_passes == self.separator.wiener.iterations

    @property
    def masked_samples(self) -> int:
        """Samples from the song's start that stems can be made of."""
        return self.frames.samples_of(self.n_masked)

    @property
    def next_span(self) -> tuple[int, int]:
        """The frames that :meth:`estimate` looks at."""
        return self.spans[0]

    def cut(self, chunking: FrameChunking) -> None:
        """Look at the song in these stretches.

        Raises:
            ValueError: some masks are known already.
        """
        if self.n_masked:
            raise ValueError(f"{self.n_masked} frames have their masks already")
        self.spans = chunking.spans(self.frames.count)

    def estimate(self) -> Masks:
        """Masks of the next stretch, float32 (sources, 2, frames, bins); nothing is changed."""
        first, last = self.next_span
        return self.separator.masks(self.frames.spectrum(first, last), is_last=len(self.spans) == 1)

    def put(self, masks: Masks) -> None:
        """Keep the masks of the next stretch, faded into those of the one before, and learn from what is now known."""
        first, last = self.spans.pop(0)
        shared = self.n_masked - first
        if shared:
            weights = trapezoid(2 * shared, shared)[:shared, None]
            known = self._read(first, self.n_masked)
            masks = np.concatenate([known + weights * (masks[:, :, :shared] - known), masks[:, :, shared:]], axis=2)
        self._store.write(first, masks.swapaxes(-1, -2).reshape(-1, last - first))
        self.n_masked = last
        self._learn(self.spans[0][0] if self.spans else last)

    def learn_all(self) -> None:
        """Make the filter ready with the masks that there are; none can be added after that."""
        self.spans = []
        while not self.is_learned:
            self._learn(self.n_masked)
            self._filter.finish_pass()
            self._n_learned = 0

    def blocks(self, *, from_sample: int = 0) -> Iterator[tuple[int, int]]:
        """Samples [start, stop) to make stems of, one block after the other, as far as there are masks."""
        for start in range(from_sample, self.masked_samples, PIECE_SAMPLES):
            yield start, min(start + PIECE_SAMPLES, self.masked_samples)

    def stems(self, start: int, stop: int) -> Stems:
        """Stems (2, stop − start) of samples that have their masks, once everything is learned."""
        first, last = self.frames.frames_of(start, stop)
        last = min(last, self.n_masked)
        sources = self.separator.sources
        spectra = np.empty((len(sources), STEREO, last - first, self.separator.stft.n_bins), np.complex64)
        mixture = self.frames.spectrum(first, last)
        for at in range(first, last, FILTERED_FRAMES):
            block = slice(at - first, min(at + FILTERED_FRAMES, last) - first)
            masks = self._read(at, min(at + FILTERED_FRAMES, last))
            spectra[:, :, block] = self._filter.apply(masks, mixture[:, block])[: len(sources)]
        stacked: Waveform = self.frames.waveform(spectra, first, start, stop)
        return unstack_stems(stacked, sources)

    def _learn(self, until: int) -> None:
        """Learn from the frames before ``until`` that were not learned from yet: their masks are final."""
        if self.is_learned:
            return
        for first in range(self._n_learned, until, FILTERED_FRAMES):
            last = min(first + FILTERED_FRAMES, until)
            self._filter.learn(self._read(first, last), self.frames.spectrum(first, last))
        self._n_learned = max(until, self._n_learned)

    def _read(self, first: int, last: int) -> Masks:
        stored = self._store.read(first, last)
        shaped = stored.reshape(len(self.separator.sources), STEREO, -1, last - first)
        return shaped.swapaxes(-1, -2)


def _nothing(start: int, stop: int) -> Waveform:
    return np.zeros((STEREO, stop - start), np.float32)
