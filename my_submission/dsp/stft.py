"""Short-time Fourier transform, and spectra as the networks take them: complex numbers as pairs of real channels.

The definition is that of the published systems: periodic Hann window of n_fft samples, frames centred with
reflected borders, one-sided, un-normalised, inverted by overlap-add divided by the overlapped squared window.
Float32 throughout; frames go through the FFT in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from my_submission.dsp.fourier import irfft, rfft
from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform

Spectrogram = npt.NDArray[np.complex64]
"""complex64 (..., frames, bins)."""

Samples = npt.NDArray[np.float32]
"""float32 (samples,): one channel."""

Channels = npt.NDArray[np.float32]
"""float32 (..., 4, ...): real and imaginary parts of a stereo spectrum."""

_BLOCK_SAMPLES = 1 << 19
"""Samples of windowed frames per block: 2 MiB of float32, about a core's share of the cache."""

_PART_MAJOR = (0, 2, 1, 3)
"""From L.re, L.im, R.re, R.im to L.re, R.re, L.im, R.im and back."""


@lru_cache(maxsize=32)
def hann_window(n_fft: int) -> npt.NDArray[np.float32]:
    """Return the periodic Hann window, float32 (n_fft,); it is shared, therefore read-only."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=32)
def _inverse_envelope(n_fft: int, hop: int, frames: int) -> npt.NDArray[np.float32]:
    """Return one over the overlapped squared window, for the samples that an inverse transform keeps."""
    squared = hann_window(n_fft).astype(np.float64) ** 2
    envelope = np.zeros(hop * (frames - 1) + n_fft)
    for frame in range(frames):
        envelope[frame * hop : frame * hop + n_fft] += squared
    inside = envelope[n_fft // 2 : n_fft // 2 + hop * (frames - 1)]
    inverse = (1 / inside).astype(np.float32)
    inverse.flags.writeable = False
    return inverse


def stft(waveform: Waveform, geometry: StftGeometry) -> Spectrogram:
    """Return the kept bins of a spectrum.

    Args:
        waveform: float32 (..., samples) with more than n_fft/2 samples, so that the border can be reflected.
        geometry: n_fft, hop and kept_bins.

    Returns:
        complex64 (..., samples // hop + 1, kept_bins); the first ``silent_bins`` are zero.

    Raises:
        ValueError: the waveform is too short to reflect.
    """
    samples = waveform.shape[-1]
    frames = samples // geometry.hop + 1
    rows = np.asarray(waveform, dtype=np.float32).reshape(-1, samples)
    spectra = np.empty((len(rows), frames, geometry.kept_bins), dtype=np.complex64)
    for row, out in zip(rows, spectra, strict=True):
        for place, block in _spectrum_blocks(row, geometry):
            out[place] = block
    return spectra.reshape(*waveform.shape[:-1], frames, geometry.kept_bins)


def istft(spectrum: Spectrogram, geometry: StftGeometry) -> Waveform:
    """Return the waveform of a spectrum whose bins above the kept ones are zero.

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
        _invert(row.__getitem__, geometry, out)
    return waves.reshape(*leading, -1)


def to_frames(waves: Waveform, geometry: StftGeometry, *, workers: int = 1) -> Channels:
    """Return spectra as channels, frame by frame as a real FFT computes them.

    Args:
        waves: float32 (batch, 2, samples).
        geometry: the network's transform.
        workers: threads; each transforms whole waveforms, so the result does not depend on their number.

    Returns:
        float32 (batch, 4, frames, kept_bins); channels L.re, L.im, R.re, R.im.
    """
    batch, stereo, samples = waves.shape
    planes = np.empty((batch * stereo, 2, samples // geometry.hop + 1, geometry.kept_bins), dtype=np.float32)
    rows = np.asarray(waves, dtype=np.float32).reshape(-1, samples)

    def transform(index: int) -> None:
        for place, block in _spectrum_blocks(rows[index], geometry):
            planes[index, 0, place] = block.real
            planes[index, 1, place] = block.imag

    _for_each(transform, len(rows), workers)
    return planes.reshape(batch, 2 * stereo, *planes.shape[2:])


def from_frames(channels: Channels, geometry: StftGeometry, *, workers: int = 1) -> Waveform:
    """Inverse of :func:`to_frames`: float32 (..., 4, frames, kept_bins) to (..., 2, hop · (frames − 1))."""
    *batch, doubled, frames, bins = channels.shape
    planes = channels.reshape(-1, 2, frames, bins)
    waves = np.empty((len(planes), geometry.hop * (frames - 1)), dtype=np.float32)

    def invert(index: int) -> None:
        real, imaginary = planes[index]

        def block_of(place: slice) -> Spectrogram:
            block = np.empty(real[place].shape, dtype=np.complex64)
            block.real, block.imag = real[place], imaginary[place]
            return block

        _invert(block_of, geometry, waves[index])

    _for_each(invert, len(planes), workers)
    return waves.reshape(*batch, doubled // 2, -1)


def to_channels(waves: Waveform, geometry: StftGeometry) -> Channels:
    """As :func:`to_frames`, in the layout of the KUIELab networks: float32 (batch, 4, kept_bins, frames)."""
    return np.ascontiguousarray(to_frames(waves, geometry).swapaxes(-1, -2))


def from_channels(channels: Channels, geometry: StftGeometry) -> Waveform:
    """Inverse of :func:`to_channels`: float32 (..., 4, kept_bins, frames) to (..., 2, hop · (frames − 1))."""
    return from_frames(channels.swapaxes(-1, -2), geometry)


def to_part_major(waves: Waveform, geometry: StftGeometry) -> Channels:
    """As :func:`to_frames`, in the channel order of the LaSAFT networks: L.re, R.re, L.im, R.im."""
    return to_frames(waves, geometry)[:, _PART_MAJOR]


def from_part_major(channels: Channels, geometry: StftGeometry) -> Waveform:
    """Inverse of :func:`to_part_major`: float32 (..., 4, frames, kept_bins) to (..., 2, hop · (frames − 1))."""
    return from_frames(channels[..., _PART_MAJOR, :, :], geometry)


def _spectrum_blocks(row: Samples, geometry: StftGeometry) -> Iterator[tuple[slice, Spectrogram]]:
    """Consecutive frames of a waveform (samples,): which ones, and complex64 (frames, kept_bins)."""
    n_fft, half = geometry.n_fft, geometry.n_fft // 2
    if len(row) <= half:
        raise ValueError(f"{len(row)} samples are too few for n_fft={n_fft}: the border cannot be reflected")
    padded = np.pad(row, half, mode="reflect")
    framed = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: geometry.hop]
    for place in _blocks(len(framed), n_fft):
        spectrum = rfft(framed[place] * hann_window(n_fft))[:, : geometry.kept_bins]
        spectrum[:, : geometry.silent_bins] = 0
        yield place, spectrum


def _invert(block_of: Callable[[slice], Spectrogram], geometry: StftGeometry, out: Samples) -> None:
    """Invert one waveform into ``out`` (samples,); ``block_of`` returns some frames, complex64 (n, kept_bins)."""
    n_fft, hop, half = geometry.n_fft, geometry.hop, geometry.n_fft // 2
    frames = len(out) // hop + 1
    summed = np.zeros(len(out) + n_fft + hop, dtype=np.float32)
    for place in _blocks(frames, n_fft):
        block = irfft(block_of(place), n_fft) * hann_window(n_fft)
        _overlap_add(block, summed[place.start * hop :], hop)
    np.multiply(summed[half : half + len(out)], _inverse_envelope(n_fft, hop, frames), out=out)


def _blocks(frames: int, n_fft: int) -> Iterator[slice]:
    """Frames 0 … frames − 1 in blocks of ``_BLOCK_SAMPLES``."""
    step = max(1, _BLOCK_SAMPLES // n_fft)
    return (slice(first, min(first + step, frames)) for first in range(0, frames, step))


def _overlap_add(frames: npt.NDArray[np.float32], target: npt.NDArray[np.float32], hop: int) -> None:
    """Add frames (n, n_fft) into ``target`` at multiples of the hop."""
    n_frames, n_fft = frames.shape
    for start in range(0, n_fft, hop):
        part = frames[:, start : start + hop]
        view = target[start : start + n_frames * hop].reshape(n_frames, hop)
        view[:, : part.shape[1]] += part


def _for_each(task: Callable[[int], None], count: int, workers: int) -> None:
    """Run a task for 0 … count − 1, in threads if there are several: FFT and numpy release the interpreter lock."""
    if min(workers, count) < 2:
        for index in range(count):
            task(index)
        return
    with ThreadPoolExecutor(min(workers, count)) as pool:
        for _ in pool.map(task, range(count)):
            pass
