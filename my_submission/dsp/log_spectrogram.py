"""Log spectrogram of a song for pictures: a bounded number of columns for any length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.dsp.fourier import rfft
from my_submission.dsp.stft import hann_window
from my_submission.stems import Waveform

N_FFT = 4096
"""93 ms at 44.1 kHz: resolves semitones above about 180 Hz and still shows beats."""

FLOOR_DB = -120.0
"""Minimum of the picture, drawn for silence. The noise of 16-bit files lies at −98 dB."""

_MIN_HOP = 64


@dataclass(frozen=True)
class LogSpectrogram:
    """Mean power over channels and over the frames of a column.

    Attributes:
        decibels: float32 (rows, columns); 0 dB is a sine at full scale, FLOOR_DB the minimum.
        frequencies_hz: frequency of each row, ascending.
        seconds: length of the signal.
    """

    decibels: npt.NDArray[np.float32]
    frequencies_hz: npt.NDArray[np.float64]
    seconds: float

    def on_log_frequencies(self, low_hz: float, high_hz: float, *, rows: int) -> LogSpectrogram:
        """Return the spectrogram on rows evenly spaced on a logarithmic axis from ``low_hz`` to ``high_hz``.

        A row is the mean power of the bins inside its edges, interpolated if there are none (at low frequencies).
        """
        centres = np.geomspace(low_hz, high_hz, rows)
        ratio = np.sqrt(centres[1] / centres[0])
        power = 10 ** (self.decibels.astype(np.float64) / 10)
        summed = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)])
        first = np.searchsorted(self.frequencies_hz, centres / ratio)
        last = np.searchsorted(self.frequencies_hz, centres * ratio)
        n_inside = (last - first)[:, None]
        means = (summed[last] - summed[first]) / np.maximum(n_inside, 1)
        between = self._interpolated(power, centres)
        return LogSpectrogram(decibels_of(np.where(n_inside > 1, means, between)), centres, self.seconds)

    def _interpolated(self, power: npt.NDArray[np.float64], wanted_hz: npt.NDArray[np.float64]) -> Waveform:
        position = np.interp(wanted_hz, self.frequencies_hz, np.arange(len(power)))
        below = np.minimum(position.astype(np.int64), len(power) - 2)
        share = (position - below)[:, None]
        mixed: Waveform = (1 - share) * power[below] + share * power[below + 1]
        return mixed


class LogSpectrogramAccumulator:
    """Accumulates a LogSpectrogram from consecutive blocks (channels, n).

    Frames are centred; the signal is padded with zeros. Short signals get a shorter hop; for long ones a column is the
    mean of several frames, so memory does not grow with the length.

    Args:
        sample_rate: sample rate in Hz.
        samples: length of the whole signal.
        columns: maximum number of columns.
    """

    def __init__(self, sample_rate: int, samples: int, *, columns: int) -> None:
        self._sample_rate, self._samples = sample_rate, samples
        self._hop = min(max(samples // columns, _MIN_HOP), N_FFT // 2)
        self._columns = min(columns, 1 + (samples - 1) // self._hop)
        self._power = np.zeros((self._columns, N_FFT // 2 + 1))
        self._counts = np.zeros(self._columns, np.int64)
        self._waiting: Waveform | None = None
        self._centre = 0

    def push(self, block: Waveform) -> None:
        """Add the next block."""
        if self._waiting is None:
            self._waiting = np.zeros((block.shape[0], N_FFT // 2), np.float32)
        self._add(np.concatenate([self._waiting, block.astype(np.float32, copy=False)], axis=1))

    def result(self) -> LogSpectrogram:
        """Return the spectrogram of all blocks."""
        if self._waiting is not None:
            self._add(np.pad(self._waiting, ((0, 0), (0, N_FFT // 2))))
        full_scale = np.square(hann_window(N_FFT).sum(dtype=np.float64) / 2)
        power = self._power / (np.maximum(self._counts, 1)[:, None] * full_scale)
        frequencies = np.arange(N_FFT // 2 + 1) * self._sample_rate / N_FFT
        return LogSpectrogram(decibels_of(power.T), frequencies, self._samples / self._sample_rate)

    def _add(self, signal: Waveform) -> None:
        n_frames = max(0, (signal.shape[1] - N_FFT) // self._hop + 1)
        for start, frames in _framed(signal, self._hop, n_frames):
            spectra = rfft(frames * hann_window(N_FFT))
            power = np.mean(spectra.real.astype(np.float64) ** 2 + spectra.imag.astype(np.float64) ** 2, axis=0)
            centres = self._centre + self._hop * np.arange(start, start + len(power))
            columns = np.minimum(centres * self._columns // self._samples, self._columns - 1)
            np.add.at(self._power, columns, power)
            np.add.at(self._counts, columns, 1)
        self._centre += n_frames * self._hop
        self._waiting = signal[:, n_frames * self._hop :]


def decibels_of(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return power in decibels, at least FLOOR_DB."""
    return (10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))).astype(np.float32)


def _framed(signal: Waveform, hop: int, n_frames: int) -> Iterator[tuple[int, Waveform]]:
    """Yield frames (channels, n, N_FFT) in blocks, each with the number of its first."""
    if not n_frames:
        return
    frames = np.lib.stride_tricks.sliding_window_view(signal, N_FFT, axis=-1)[:, ::hop][:, :n_frames]
    for start in range(0, n_frames, 64):
        yield start, frames[:, start : start + 64]
