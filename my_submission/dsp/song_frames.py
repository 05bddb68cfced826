"""Spectrogram of a whole song, computed some frames at a time: the same frames as those of the song at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from my_submission.dsp.stft import Spectrogram, istft, stft
from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform


class SongFrames:
    """Frames of a song's transform, which reflects the song only at its two ends.

    Args:
        read: returns the samples [start, stop) of the song, (channels, stop − start), zeros beyond its end.
        samples: length of the song.
        geometry: the transform.
    """

    def __init__(self, read: Callable[[int, int], Waveform], samples: int, geometry: StftGeometry) -> None:
        self._read = read
        self._samples = samples
        self._geometry = geometry
        self._padded = max(samples, geometry.n_fft // 2 + 1)  # the minimum that can be reflected
        self._half_window_frames = -(-geometry.n_fft // (2 * geometry.hop))

    @property
    def count(self) -> int:
        """Number of frames of the song."""
        return self._padded // self._geometry.hop + 1

    def samples_of(self, frames: int) -> int:
        """Return how many samples from the start depend only on the first ``frames`` frames."""
        if frames >= self.count:
            return self._samples
        return max(0, min(self._samples, frames * self._geometry.hop - self._geometry.n_fft // 2))

    def frames_of(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range [first, last) of frames that samples [start, stop) depend on."""
        hop, reach = self._geometry.hop, self._half_window_frames
        return max(0, start // hop - reach), min(self.count, (stop - 1) // hop + reach + 2)

    def spectrum(self, first: int, last: int) -> Spectrogram:
        """Return frames first … last − 1, complex64 (channels, last − first, kept_bins)."""
        hop, reach = self._geometry.hop, self._half_window_frames
        begin = max(0, first - reach - 1)
        waveform = self._read(begin * hop, min(self._padded, (last + reach) * hop))
        return stft(waveform, self._geometry)[..., first - begin : last - begin, :]

    def waveform(self, spectrum: Spectrogram, first: int, start: int, stop: int) -> Waveform:
        """Return samples [start, stop) of the song from a part of its spectrum.

        Args:
            spectrum: complex64 (..., frames, kept_bins), the frames that :meth:`frames_of` returns.
            first: number of its first frame.
            start: first sample.
            stop: the sample after the last.

        Returns:
            float32 (..., stop − start); zeros behind the centre of the last frame, as published.
        """
        offset = first * self._geometry.hop
        inverted = istft(spectrum, self._geometry)[..., start - offset : stop - offset]
        missing = stop - start - inverted.shape[-1]
        return np.pad(inverted, [(0, 0)] * (inverted.ndim - 1) + [(0, missing)]) if missing else inverted
