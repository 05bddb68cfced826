"""Whole-song ratios in decibels: the challenge's global SDR and the scale-invariant SDR.

Both are sums of products over every sample and channel. Each has a function for arrays and an accumulator for songs
that are read block by block. BSSEval v4 is in :mod:`evaluator.bsseval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.floating[Any]]
"""Any floating array; the evaluator's arrays are (channels, samples)."""

GLOBAL_SDR_EPSILON = 1e-7
"""Added to both energies of the global SDR, as in the challenge's scorer: silence against silence is 0 dB."""


@dataclass
class GlobalSdr:
    """Accumulator of the global SDR of one source of one song; energies are summed in float64."""

    reference_energy: float = 0.0
    error_energy: float = 0.0

    def add(self, reference: Samples, estimate: Samples) -> None:
        """Add one block of any shape; ValueError if the shapes differ."""
        _check_shapes(reference, estimate)
        reference64 = np.asarray(reference, np.float64)
        self.reference_energy += _energy(reference64)
        self.error_energy += _energy(reference64 - estimate)

    @property
    def decibels(self) -> float:
        """The ratio so far, in dB."""
        numerator = self.reference_energy + GLOBAL_SDR_EPSILON
        return float(10.0 * np.log10(numerator / (self.error_energy + GLOBAL_SDR_EPSILON)))


def global_sdr(reference: Samples, estimate: Samples) -> float:
    """Return the challenge's signal-to-distortion ratio in dB.

    ``10·log10((Σ ref² + 1e-7) / (Σ (ref − est)² + 1e-7))``, both sums over all samples and channels of the
    whole song, in float64. Source: the scorers of the Music Demixing Challenge 2021 and of the Sound
    Demixing Challenge 2023; a song's score is the mean over its sources, a board's the mean over its songs.
    The result is 0 for silence against silence and finite for every finite input.

    Args:
        reference: the true stem, any shape, usually (channels, samples).
        estimate: the separated stem, same shape.

    Raises:
        ValueError: the shapes differ.
    """
    score = GlobalSdr()
    score.add(reference, estimate)
    return score.decibels


@dataclass
class SiSdr:
    """Accumulator of the scale-invariant SDR of one source of one song."""

    reference_energy: float = 0.0
    estimate_energy: float = 0.0
    cross_energy: float = 0.0

    def add(self, reference: Samples, estimate: Samples) -> None:
        """Add one block of any shape; ValueError if the shapes differ."""
        _check_shapes(reference, estimate)
        reference64, estimate64 = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
        self.reference_energy += _energy(reference64)
        self.estimate_energy += _energy(estimate64)
        self.cross_energy += _inner(reference64, estimate64)

    @property
    def decibels(self) -> float:
        """The ratio so far, in dB; NaN for a silent reference."""
        if self.reference_energy == 0.0:
            return float("nan")
        target = self.cross_energy**2 / self.reference_energy
        if target == 0.0:
            return float("-inf")
        residual = self.estimate_energy - target
        # The subtraction cannot resolve less than the rounding of the estimate's energy.
        if residual <= np.finfo(np.float64).eps * self.estimate_energy:
            return float("inf")
        return float(10.0 * np.log10(target / residual))


def si_sdr(reference: Samples, estimate: Samples) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    ``10·log10(‖α·ref‖² / ‖α·ref − est‖²)`` with ``α = ⟨est, ref⟩ / ‖ref‖²``, over all samples and channels
    at once, without removing a mean. Source: Le Roux, Wisdom, Erdogan, Hershey, "SDR: half-baked or well
    done?", ICASSP 2019.

    Args:
        reference: the true stem, any shape, usually (channels, samples).
        estimate: the separated stem, same shape.

    Returns:
        dB; NaN for a silent reference, -inf for a silent or orthogonal estimate, +inf for a scaled copy.

    Raises:
        ValueError: the shapes differ.
    """
    score = SiSdr()
    score.add(reference, estimate)
    return score.decibels


def _inner(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    # einsum instead of a BLAS dot product, whose threads wait for each other on a busy machine
    return float(np.einsum("i,i->", first.reshape(-1), second.reshape(-1)))


def _energy(samples: npt.NDArray[np.float64]) -> float:
    return _inner(samples, samples)


def _check_shapes(reference: Samples, estimate: Samples) -> None:
    if reference.shape != estimate.shape:
        raise ValueError(f"reference {reference.shape} and estimate {estimate.shape} differ in shape")
