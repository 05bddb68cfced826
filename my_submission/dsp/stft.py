"""Short-time Fourier transform between waveforms and the channel layout of the KUIELab networks.

The definition is that of the published systems: periodic Hann window of n_fft samples, frames centred with
reflected borders, one-sided, un-normalised, inverted by overlap-add divided by the overlapped squared window.
Float32 throughout; frames go through the FFT in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy import fft

from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform

Spectrogram = npt.NDArray[np.complex64]
"""complex64, shape (..., frames, bins)."""

Samples = npt.NDArray[np.float32]
"""float32 (samples,): one channel."""

_BLOCK_SAMPLES = 1 << 19
"""Samples of windowed frames worked on at once: 2 MiB of float32, about a core's share of the cache."""


@lru_cache(maxsize=32)
def hann_window(n_fft: int) -> npt.NDArray[np.float32]:
    """Periodic Hann window, float32 (n_fft,); read-only, because it is shared."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=32)
def _inverse_envelope(n_fft: int, hop: int, frames: int) -> npt.NDArray[np.float32]:
    """One over the overlapped squared window, for the samples that an inverse transform keeps."""
    squared = hann_window(n_fft).astype(np.float64) ** 2
    envelope = np.zeros(hop * (frames - 1) + n_fft)
    for frame in range(frames):
        envelope[frame * hop : frame * hop + n_fft] += squared
    inside = envelope[n_fft // 2 : n_fft // 2 + hop * (frames - 1)]
    inverse = (1 / inside).astype(np.float32)
    inverse.flags.writeable = False
    return inverse


def stft(waveform: Waveform, geometry: StftGeometry) -> Spectrogram:
    """Spectrum of the kept bins.

    Args:
        waveform: float32 (..., samples) with more than n_fft/2 samples, so that the border can be reflected.
        geometry: n_fft, hop and kept_bins.

    Returns:
        complex64 (..., samples // hop + 1, kept_bins).

    Raises:
        ValueError: the waveform is too short to reflect.
    """
    samples = waveform.shape[-1]
    leading = waveform.shape[:-1]
    frames = samples // geometry.hop + 1
    rows = np.asarray(waveform, dtype=np.float32).reshape(-1, samples)
    spectra = np.empty((len(rows), frames, geometry.kept_bins), dtype=np.complex64)
    for row, out in zip(rows, spectra, strict=True):
        for first, block in _spectrum_blocks(row, geometry):
            out[first : first + len(block)] = block
    return spectra.reshape(*leading, frames, geometry.kept_bins)


def _spectrum_blocks(row: Samples, geometry: StftGeometry) -> Iterator[tuple[int, Spectrogram]]:
    """Consecutive frames of a waveform (samples,), as the first one's number and complex64 (frames, kept_bins)."""
    n_fft, half = geometry.n_fft, geometry.n_fft // 2
    if len(row) <= half:
        raise ValueError(f"{len(row)} samples are too few for n_fft={n_fft}: the border cannot be reflected")
    padded = np.pad(row, half, mode="reflect")
    framed = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: geometry.hop]
    window = hann_window(n_fft)
    step = max(1, _BLOCK_SAMPLES // n_fft)
    for first in range(0, len(framed), step):
        block = framed[first : first + step] * window
        yield first, fft.rfft(block, axis=-1, overwrite_x=True)[:, : geometry.kept_bins]


def istft(spectrum: Spectrogram, geometry: StftGeometry) -> Waveform:
    """Waveform of a spectrum whose bins above the kept ones are zero.

    Args:
        spectrum: complex64 (..., frames, kept_bins) with at least two frames.
        geometry: as given to :func:`stft`.

    Returns:
        float32 (..., hop · (frames − 1)).
    """
    leading, frames = spectrum.shape[:-2], spectrum.shape[-2]
    rows = spectrum.reshape(-1, frames, geometry.kept_bins)
    waves = np.empty((len(rows), geometry.hop * (frames - 1)), dtype=np.float32)
    for row, out in zip(rows, waves, strict=True):
        _add_frames(partial(_rows_between, row), geometry, out)
    return waves.reshape(*leading, -1)


def _rows_between(spectrum: Spectrogram, first: int, last: int) -> Spectrogram:
    return spectrum[first:last]


def _add_frames(block_of: Callable[[int, int], Spectrogram], geometry: StftGeometry, out: Samples) -> None:
    """Invert one waveform into ``out`` (samples,); ``block_of`` gives complex64 (last − first, kept_bins)."""
    n_fft, hop, half = geometry.n_fft, geometry.hop, geometry.n_fft // 2
    frames = len(out) // hop + 1
    window = hann_window(n_fft)
    step = max(1, _BLOCK_SAMPLES // n_fft)
    summed = np.zeros(len(out) + n_fft + hop, dtype=np.float32)
    for first in range(0, frames, step):
        block = fft.irfft(block_of(first, min(first + step, frames)), n=n_fft, axis=-1) * window
        _overlap_add(block, summed[first * hop :], hop)
    np.multiply(summed[half : half + len(out)], _inverse_envelope(n_fft, hop, frames), out=out)


def _overlap_add(frames: npt.NDArray[np.float32], target: npt.NDArray[np.float32], hop: int) -> None:
    """Add frames (n, n_fft) into ``target`` at multiples of the hop."""
    n_frames, n_fft = frames.shape
    for start in range(0, n_fft, hop):
        part = frames[:, start : start + hop]
        view = target[start : start + n_frames * hop].reshape(n_frames, hop)
        view[:, : part.shape[1]] += part


def to_channels(waves: Waveform, geometry: StftGeometry) -> npt.NDArray[np.float32]:
    """Network input of stereo chunks.

    Args:
        waves: float32 (batch, 2, samples).
        geometry: the network's transform.

    Returns:
        float32 (batch, 4, kept_bins, frames); channels L.re, L.im, R.re, R.im.
    """
    spectra = stft(waves, geometry)
    batch, stereo, frames, bins = spectra.shape
    channels = np.empty((batch, stereo, 2, bins, frames), dtype=np.float32)
    for index in np.ndindex(batch, stereo):
        channels[index][0] = spectra[index].real.T
        channels[index][1] = spectra[index].imag.T
    return channels.reshape(batch, 2 * stereo, bins, frames)


def from_channels(channels: npt.NDArray[np.float32], geometry: StftGeometry) -> Waveform:
    """Inverse of :func:`to_channels`: float32 (batch, 4, kept_bins, frames) to (batch, 2, hop · (frames − 1))."""
    batch, doubled, bins, frames = channels.shape
    parts = channels.reshape(batch, doubled // 2, 2, bins, frames)
    spectra = np.empty((batch, doubled // 2, frames, bins), dtype=np.complex64)
    spectra.real = parts[:, :, 0].swapaxes(-1, -2)
    spectra.imag = parts[:, :, 1].swapaxes(-1, -2)
    return istft(spectra, geometry)


def to_frames(waves: Waveform, geometry: StftGeometry, *, workers: int = 1) -> npt.NDArray[np.float32]:
    """Network input of stereo chunks as a real FFT makes it, frame after frame.

    Args:
        waves: float32 (batch, 2, samples).
        geometry: the network's transform.
        workers: threads; every one does whole waveforms, so the result does not depend on how many there are.

    Returns:
        float32 (batch, 4, frames, kept_bins); channels L.re, L.im, R.re, R.im.
    """
    batch, stereo, samples = waves.shape
    planes = np.empty((batch * stereo, 2, samples // geometry.hop + 1, geometry.kept_bins), dtype=np.float32)
    rows = np.asarray(waves, dtype=np.float32).reshape(-1, samples)

    def transform(index: int) -> None:
        for first, block in _spectrum_blocks(rows[index], geometry):
            planes[index, 0, first : first + len(block)] = block.real
            planes[index, 1, first : first + len(block)] = block.imag

    _for_each(transform, len(rows), workers)
    return planes.reshape(batch, 2 * stereo, *planes.shape[2:])


def from_frames(channels: npt.NDArray[np.float32], geometry: StftGeometry, *, workers: int = 1) -> Waveform:
    """Inverse of :func:`to_frames`: float32 (batch, 4, frames, kept_bins) to (batch, 2, hop · (frames − 1))."""
    batch, doubled, frames, bins = channels.shape
    planes = channels.reshape(-1, 2, frames, bins)
    waves = np.empty((len(planes), geometry.hop * (frames - 1)), dtype=np.float32)

    def invert(index: int) -> None:
        real, imaginary = planes[index]

        def block_of(first: int, last: int) -> Spectrogram:
            block = np.empty((last - first, bins), dtype=np.complex64)
            block.real, block.imag = real[first:last], imaginary[first:last]
            return block

        _add_frames(block_of, geometry, waves[index])

    _for_each(invert, len(planes), workers)
    return waves.reshape(batch, doubled // 2, -1)


def _for_each(task: Callable[[int], None], count: int, workers: int) -> None:
    """Do a task for 0 … count − 1, in threads where that helps: the FFT and numpy's loops leave the interpreter."""
    if min(workers, count) < 2:
        for index in range(count):
            task(index)
        return
    with ThreadPoolExecutor(min(workers, count)) as pool:
        for _ in pool.map(task, range(count)):
            pass
