"""The masks of one song so far, and the Wiener filter that learns from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.dsp.song_frames import SongFrames
from my_submission.dsp.wiener import Masks, WienerFilter
from my_submission.fade_weights import trapezoid
from my_submission.geometry import FrameChunking
from my_submission.mechanisms.song_context import NewStore
from my_submission.stems import Stems, Waveform, unstack_stems

if TYPE_CHECKING:
    from my_submission.mechanisms.masking import MaskingMechanism

STEREO = 2

FILTERED_FRAMES = 32
"""Frames of one step of the Wiener filter: 2 MiB per channel and source in double precision."""

BLOCK_SAMPLES = 1 << 17
"""Samples of a block of stems (3 s): short enough for memory, long enough that few frames are computed twice."""


class MaskedSong:
    """The masks of one song so far, and the filter that learns from them.

    Args:
        mechanism: estimates the masks.
        mixture: the song.
        new_store: makes the store of the masks.

    Attributes:
        spans: stretches of frames without masks.
        n_masked: number of frames, from the first, that have masks.
    """

    def __init__(self, mechanism: MaskingMechanism, mixture: Mixture, new_store: NewStore) -> None:
        self.mechanism = mechanism
        self.samples = mixture.samples
        self.frames = SongFrames(mixture.store.read, mixture.samples, mechanism.stft)
        self.n_masked = 0
        self._n_learned = 0
        self._is_closed = False
        self.spans: list[tuple[int, int]] = []
        self.cut(mechanism.chunking if not mechanism.is_whole else FrameChunking(self.frames.count))
        bins, n_targets = mechanism.stft.n_bins, len(mechanism.sources)
        self._store = new_store(n_targets * STEREO * bins, self.frames.count)
        self._filter = WienerFilter(n_targets, STEREO, bins, mechanism.wiener)

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
        return self._filter.n_passes == self.mechanism.wiener.iterations

    @property
    def masked_samples(self) -> int:
        """Samples, from the song's start, that have masks."""
        return self.frames.samples_of(self.n_masked)

    @property
    def next_span(self) -> tuple[int, int]:
        """The frames that :meth:`estimate` takes next."""
        return self.spans[0]

    def cut(self, chunking: FrameChunking) -> None:
        """Take the song in these stretches.

        Raises:
            ValueError: some frames have masks already.
        """
        if self.n_masked:
            raise ValueError(f"{self.n_masked} frames have their masks already")
        self.spans = chunking.spans(self.frames.count)

    def estimate(self) -> Masks:
        """Return the masks of the next stretch, float32 (sources, 2, frames, bins), and change nothing."""
        first, last = self.next_span
        return self.mechanism.masks(self.frames.spectrum(first, last), is_last=len(self.spans) == 1)

    def put(self, masks: Masks) -> None:
        """Store the masks of the next stretch, faded into the stretch before, and learn from the final ones."""
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
        """Make the filter ready with the masks so far; none can be added after that."""
        self.spans, self._is_closed = [], True
        while not self._has_all_passes:
            self._learn(self.n_masked)
            self._filter.finish_pass()
            self._n_learned = 0

    def blocks(self, *, from_sample: int = 0) -> Iterator[tuple[int, int]]:
        """Yield blocks of samples [start, stop) that have masks."""
        for start in range(from_sample, self.masked_samples, BLOCK_SAMPLES):
            yield start, min(start + BLOCK_SAMPLES, self.masked_samples)

    def stems(self, start: int, stop: int) -> Stems:
        """Return stems (2, stop − start) of samples that have masks, once everything is learned."""
        first, last = self.frames.frames_of(start, stop)
        last = min(last, self.n_masked)
        sources = self.mechanism.sources
        spectra = np.empty((len(sources), STEREO, last - first, self.mechanism.stft.n_bins), np.complex64)
        mixture = self.frames.spectrum(first, last)
        for at in range(first, last, FILTERED_FRAMES):
            block = slice(at - first, min(at + FILTERED_FRAMES, last) - first)
            masks = self._read(at, min(at + FILTERED_FRAMES, last))
            spectra[:, :, block] = self._filter.apply(masks, mixture[:, block])[: len(sources)]
        stacked: Waveform = self.frames.waveform(spectra, first, start, stop)
        return unstack_stems(stacked, sources)

    def _learn(self, until: int) -> None:
        """Learn from the new frames before ``until``, whose masks are final."""
        if self._has_all_passes:
            return
        for first in range(self._n_learned, until, FILTERED_FRAMES):
            last = min(first + FILTERED_FRAMES, until)
            self._filter.learn(self._read(first, last), self.frames.spectrum(first, last))
        self._n_learned = max(until, self._n_learned)

    def _read(self, first: int, last: int) -> Masks:
        stored = self._store.read(first, last)
        shaped = stored.reshape(len(self.mechanism.sources), STEREO, -1, last - first)
        return shaped.swapaxes(-1, -2)
