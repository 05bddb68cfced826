"""The masks of one song as far as they are known, and the Wiener filter that learns from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from my_submission.audio_io import Mixture, SampleStore
from my_submission.dsp.song_frames import SongFrames
from my_submission.dsp.stft import Spectrogram
from my_submission.dsp.wiener import Masks, WienerFilter, WienerSettings
from my_submission.fade_weights import trapezoid
from my_submission.geometry import FrameChunking, StftGeometry
from my_submission.stems import Stems, Waveform, unstack_stems

STEREO = 2

FILTERED_FRAMES = 32
"""Frames that the Wiener filter works on at once: 2 MiB per channel and source in double precision."""

BLOCK_SAMPLES = 1 << 17
"""Samples of a block of stems (3 s): short enough for memory, long enough that few frames are computed twice."""


class MaskEstimator(Protocol):
    """Estimates masks of a spectrum."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the masks."""
        ...

    @property
    def stft(self) -> StftGeometry:
        """The transform."""
        ...

    @property
    def chunking(self) -> FrameChunking:
        """Stretches of frames, for songs that are not taken whole."""
        ...

    @property
    def wiener(self) -> WienerSettings:
        """The filter after the masks."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the network sees the whole song at once."""
        ...

    def masks(self, spectrum: Spectrogram, *, is_last: bool = False) -> Masks:
        """Return masks, float32 (sources, 2, frames, bins), of a spectrum (2, frames, bins)."""
        ...


class MaskedSong:
    """The masks of one song as far as they are known, and the filter that learns from them.

    Args:
        estimator: estimates the masks.
        mixture: the song.
        store: where the masks are kept; :func:`mask_store_shape` tells its size.

    Attributes:
        spans: stretches of frames that are still without masks.
        n_masked: frames, from the first, that have theirs.
    """

    def __init__(self, estimator: MaskEstimator, mixture: Mixture, store: SampleStore) -> None:
        self.estimator = estimator
        self.samples = mixture.samples
        self.frames = SongFrames(mixture.store.read, mixture.samples, estimator.stft)
        self.n_masked = 0
        self._n_learned = 0
        self._is_closed = False
        self._store = store
        self.spans: list[tuple[int, int]] = []
        self.cut(estimator.chunking if not estimator.is_whole else FrameChunking(self.frames.count))
        bins, n_targets = estimator.stft.n_bins, len(estimator.sources)
        self._filter = WienerFilter(n_targets, STEREO, bins, estimator.wiener)

    @property
    def is_masked(self) -> bool:
        """Whether every frame has its masks."""
        return not self.spans

    @property
    def is_learned(self) -> bool:
        """Whether the filter is ready."""
        return self._is_closed and self._has_all_passes

    @property
    def _has_all_passes(self) -> bool:
        return self._filter.n_passes == self.estimator.wiener.iterations

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
        return self.estimator.masks(self.frames.spectrum(first, last), is_last=len(self.spans) == 1)

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
        self.spans, self._is_closed = [], True
        while not self._has_all_passes:
            self._learn(self.n_masked)
            self._filter.finish_pass()
            self._n_learned = 0

    def blocks(self, *, from_sample: int = 0) -> Iterator[tuple[int, int]]:
        """Samples [start, stop) to make stems of, one block after the other, as far as there are masks."""
        for start in range(from_sample, self.masked_samples, BLOCK_SAMPLES):
            yield start, min(start + BLOCK_SAMPLES, self.masked_samples)

    def stems(self, start: int, stop: int) -> Stems:
        """Stems (2, stop − start) of samples that have their masks, once everything is learned."""
        first, last = self.frames.frames_of(start, stop)
        last = min(last, self.n_masked)
        sources = self.estimator.sources
        spectra = np.empty((len(sources), STEREO, last - first, self.estimator.stft.n_bins), np.complex64)
        mixture = self.frames.spectrum(first, last)
        for at in range(first, last, FILTERED_FRAMES):
            block = slice(at - first, min(at + FILTERED_FRAMES, last) - first)
            masks = self._read(at, min(at + FILTERED_FRAMES, last))
            spectra[:, :, block] = self._filter.apply(masks, mixture[:, block])[: len(sources)]
        stacked: Waveform = self.frames.waveform(spectra, first, start, stop)
        return unstack_stems(stacked, sources)

    def _learn(self, until: int) -> None:
        """Learn from the frames before ``until`` that were not learned from yet: their masks are final."""
        if self._has_all_passes:
            return
        for first in range(self._n_learned, until, FILTERED_FRAMES):
            last = min(first + FILTERED_FRAMES, until)
            self._filter.learn(self._read(first, last), self.frames.spectrum(first, last))
        self._n_learned = max(until, self._n_learned)

    def _read(self, first: int, last: int) -> Masks:
        stored = self._store.read(first, last)
        shaped = stored.reshape(len(self.estimator.sources), STEREO, -1, last - first)
        return shaped.swapaxes(-1, -2)


def mask_store_shape(estimator: MaskEstimator, samples: int) -> tuple[int, int]:
    """Return channels and length of the store that the masks of a song of ``samples`` need."""
    frames = SongFrames(_nothing, samples, estimator.stft).count
    return len(estimator.sources) * STEREO * estimator.stft.n_bins, frames


def _nothing(start: int, stop: int) -> Waveform:
    return np.zeros((STEREO, stop - start), np.float32)
