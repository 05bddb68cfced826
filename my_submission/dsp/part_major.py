"""Spectra in the channel layout of the LaSAFT networks: parts before sides, frames before bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from my_submission.dsp.stft import istft, stft
from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform


def to_part_major(waves: Waveform, geometry: StftGeometry) -> npt.NDArray[np.float32]:
    """Network input of stereo chunks.

    Args:
        waves: float32 (batch, 2, samples).
        geometry: the network's transform.

    Returns:
        float32 (batch, 4, frames, kept_bins); channels L.re, R.re, L.im, R.im.
    """
    spectra = stft(waves, geometry)
    return np.concatenate([spectra.real, spectra.imag], axis=1)


def from_part_major(channels: npt.NDArray[np.float32], geometry: StftGeometry) -> Waveform:
    """Inverse of :func:`to_part_major`: float32 (..., 4, frames, kept_bins) to (..., 2, hop · (frames − 1))."""
    sides = channels.shape[-3] // 2
    spectra = np.empty((*channels.shape[:-3], sides, *channels.shape[-2:]), dtype=np.complex64)
    spectra.real = channels[..., :sides, :, :]
    spectra.imag = channels[..., sides:, :, :]
    return istft(spectra, geometry)
