"""Two networks of masks as one engine of waveform chunks: the ratio of their masks makes the target of a mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from my_submission.dsp.stft import istft, stft
from my_submission.engines.base import Batch, Engine
from my_submission.geometry import StftGeometry

_EPSILON = 1e-10
"""Keeps the ratio defined where both masks are zero."""


class RatioMaskEngine:
    """The mixture times t^p / (t^p + r^p), with the masks t of the target and r of the rest.

    The mean mask of the topmost bin that the networks see is applied to all bins above it.

    Args:
        target: maps magnitudes float32 (batch, 2, frames, bins) to the mask of the target, of the same shape.
        rest: the same for all other sources.
        stft: the transform; ``kept_bins`` are those that the networks see.
        exponent: p.
    """

    def __init__(self, target: Engine, rest: Engine, stft: StftGeometry, *, exponent: float = 1.0) -> None:
        self._target = target
        self._rest = rest
        self._n_network_bins = stft.kept_bins
        self._whole = replace(stft, kept_bins=stft.n_bins)
        self._exponent = exponent

    @property
    def runs_on(self) -> str:
        """Library and device of the networks."""
        return self._target.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Return the target of chunks float32 (batch, 2, hop · (frames − 1)), in the same shape."""
        spectra = stft(batch, self._whole)
        magnitudes = np.abs(spectra[..., : self._n_network_bins])
        target, rest = (
            network.run(magnitudes, is_last=is_last) ** np.float32(self._exponent)
            for network in (self._target, self._rest)
        )
        mask = (target + np.float32(_EPSILON / 2)) / (target + rest + np.float32(_EPSILON))
        spectra[..., : self._n_network_bins] *= mask
        spectra[..., self._n_network_bins :] *= mask[..., -1:]
        return istft(spectra, self._whole)
