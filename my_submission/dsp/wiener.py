"""Multichannel Wiener filter over masked spectra, in passes over a file that take constant memory.

Local Gaussian model: source j has the power v_j(t, f) and the spatial covariance R_j(f), so the mixture has the
covariance C = Σ v_j R_j, and the best linear estimate of the source is y_j = v_j R_j C⁻¹ x. Powers and covariances are
estimated from the masked mixture, and in further iterations from the filtered one (Nugraha, Liutkus and Vincent 2016;
Uhlich et al. 2017).

A covariance is a sum over the whole file. A first pass accumulates it block by block, a second pass applies the
filter; every further iteration is one more pass.

Shapes: a mixture is complex (channels, frames, bins) with one or two channels; masks are real (targets, channels,
frames, bins); estimates are complex128 (sources, channels, frames, bins), with the optional residual last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Spectra = npt.NDArray[np.complexfloating]
"""complex (channels, frames, bins)."""

Masks = npt.NDArray[np.floating]
"""float32 (targets, channels, frames, bins)."""

Estimates = npt.NDArray[np.complex128]
"""complex128 (sources, channels, frames, bins)."""

_Real = npt.NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
"""Regularises divisions by a power; its square root is added to the diagonal of the mixture's covariance."""

MODEL_EPS = float(np.finfo(np.float32).eps)
"""Minimum magnitude of the mixture from which the residual is computed."""

LOUDEST = 10.0
"""Maximum magnitude: louder spectra are scaled down to it, so that EPS has the same effect."""

BLOCK_FRAMES = 16
"""Frames filtered per block: 1 MB per source and channel in double precision at 4096 bins."""

MAX_CHANNELS = 2
"""Covariances are inverted in closed form, up to 2x2."""


@dataclass(frozen=True)
class WienerSettings:
    """Settings of a Wiener filter.

    Attributes:
        has_residual: model the mixture's magnitude minus the targets as one more source.
        is_soft: initial estimates are ratio masks of the targets' magnitudes, instead of the magnitudes with the
            mixture's phase.
        iterations: estimations of powers and covariances, each followed by the filter.
    """

    has_residual: bool = True
    is_soft: bool = False
    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"iterations={self.iterations} must not be negative")


class WienerFilter:
    """A filter whose covariances are estimated from all blocks of a file before it is applied.

    In each of ``settings.iterations`` passes, call :meth:`learn` with every block, in any order, then
    :meth:`finish_pass`. After that, :meth:`apply` filters any block. Blocks are ranges of frames.

    Args:
        n_targets: number of masks.
        channels: channels of the mixture, 1 or 2.
        bins: bins of the mixture.
        settings: which filter.
    """

    def __init__(self, n_targets: int, channels: int, bins: int, settings: WienerSettings) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(f"{channels} channels where 1 or {MAX_CHANNELS} are expected")
        if n_targets < 1:
            raise ValueError(f"n_targets={n_targets} must be at least 1")
        self.settings = settings
        self.n_sources = n_targets + settings.has_residual
        self._channels = channels
        self._sums = _Sums.empty(self.n_sources, channels, bins)
        self._scale = 1.0
        self._covariances: list[npt.NDArray[np.complex128]] = []

    @property
    def n_passes(self) -> int:
        """Number of finished passes."""
        return len(self._covariances)

    def learn(self, masks: Masks, mixture: Spectra) -> None:
        """Add a block to the sums of the current pass.

        Raises:
            ValueError: the shapes do not fit, or all passes are finished.
        """
        if self.n_passes == self.settings.iterations:
            raise ValueError(f"all {self.settings.iterations} passes are finished")
        self._sums.add(self._estimates(masks, mixture), mixture)

    def finish_pass(self) -> None:
        """End the pass; the next pass and :meth:`apply` filter with its covariances."""
        if not self._covariances:
            self._scale = max(1.0, self._sums.loudest / LOUDEST)
        self._covariances.append(self._sums.covariances(self._scale))
        self._sums = _Sums.empty(self.n_sources, self._channels, self._sums.powers.shape[-1])

    def apply(self, masks: Masks, mixture: Spectra) -> Estimates:
        """Filter a block.

        Returns:
            complex128 (sources, channels, frames, bins).

        Raises:
            ValueError: the shapes do not fit, or a pass is not finished.
        """
        if self.n_passes < self.settings.iterations:
            raise ValueError(f"{self.n_passes} of {self.settings.iterations} passes are finished")
        return self._estimates(masks, mixture)

    def _estimates(self, masks: Masks, mixture: Spectra) -> Estimates:
        """Filter a block with the covariances of every finished pass."""
        n_targets = self.n_sources - self.settings.has_residual
        if masks.shape != (n_targets, *mixture.shape) or mixture.shape[0] != self._channels:
            raise ValueError(f"masks of shape {masks.shape} do not fit a mixture of shape {mixture.shape}")
        precise = mixture.astype(np.complex128)
        estimates = _first_estimates(masks, mixture, precise, self.settings)
        for covariances in self._covariances:
            estimates = self._scale * _filtered(_powers(estimates / self._scale), covariances, precise / self._scale)
        return estimates


def filtered_together(estimates: Spectra, mixture: Spectra) -> npt.NDArray[np.complex64]:
    """Filter the mixture once, with powers and covariances from estimates that need not add up to it.

    Each source has one covariance per bin for all frames given. The results add up to the mixture, except for the
    regularisation.

    Args:
        estimates: complex64 (sources, channels, frames, bins).
        mixture: complex64 (channels, frames, bins) with one or two channels.

    Returns:
        complex64, shaped like ``estimates``.
    """
    channels, frames, bins = mixture.shape
    sums = _Sums.empty(len(estimates), channels, bins)
    blocks = [slice(first, first + BLOCK_FRAMES) for first in range(0, frames, BLOCK_FRAMES)]
    for block in blocks:
        sums.add(estimates[:, :, block].astype(np.complex128), mixture[:, block])
    scale = max(1.0, sums.loudest / LOUDEST)
    covariances = sums.covariances(scale)
    result = np.empty(estimates.shape, np.complex64)
    for block in blocks:
        powers = _powers(estimates[:, :, block].astype(np.complex128) / scale)
        mixed = mixture[:, block].astype(np.complex128) / scale
        result[:, :, block] = scale * _filtered(powers, covariances, mixed)
    return result


@dataclass
class _Sums:
    """Sums over the frames of a pass, per source and bin.

    Attributes:
        products: outer products, complex128 (sources, channels, channels, bins).
        powers: float64 (sources, bins).
        loudest: maximum magnitude of the mixture.
    """

    products: npt.NDArray[np.complex128]
    powers: _Real
    loudest: float = 0.0

    @classmethod
    def empty(cls, sources: int, channels: int, bins: int) -> _Sums:
        return cls(np.zeros((sources, channels, channels, bins), np.complex128), np.zeros((sources, bins)))

    def add(self, estimates: Estimates, mixture: Spectra) -> None:
        for first, second in np.ndindex(self.products.shape[1:3]):
            product = estimates[:, first] * estimates[:, second].conj()
            self.products[:, first, second] += product.sum(axis=1)
        self.powers += _powers(estimates).sum(axis=1)
        self.loudest = max(self.loudest, float(np.abs(mixture).max(initial=0.0)))

    def covariances(self, scale: float) -> npt.NDArray[np.complex128]:
        """Return the spatial covariances of spectra divided by ``scale``."""
        return self.products / scale**2 / (self.powers / scale**2 + EPS)[:, None, None]


def _first_estimates(
    masks: Masks, mixture: Spectra, precise: npt.NDArray[np.complex128], settings: WienerSettings
) -> Estimates:
    """Return the masked mixture; magnitudes are computed in the input's precision, as published."""
    magnitude = np.abs(mixture)
    models = masks * magnitude
    if settings.has_residual:
        left = np.maximum(np.maximum(magnitude, MODEL_EPS) - models.sum(axis=0), 0)
        models = np.concatenate([models, left[None]])
    wide: _Real = models.astype(np.float64)
    if settings.is_soft:
        shared: Estimates = wide / (wide.sum(axis=0) + EPS) * precise
        return shared
    size = np.abs(precise)
    phases = np.divide(precise, size, out=np.ones_like(precise), where=size > 0)
    return np.multiply(wide, phases, dtype=np.complex128)


def _powers(estimates: Estimates) -> _Real:
    """Return the mean over channels of |y|², float64 (sources, frames, bins)."""
    powers: _Real = (estimates.real**2 + estimates.imag**2).mean(axis=1)
    return powers


def _filtered(powers: _Real, covariances: npt.NDArray[np.complex128], mixture: npt.NDArray[np.complex128]) -> Estimates:
    """Return v_j R_j C⁻¹ x for every source."""
    if mixture.shape[0] == 1:
        whitened = mixture / (np.einsum("jtf,jf->tf", powers, covariances[:, 0, 0].real) + np.sqrt(EPS) + EPS)
    else:
        whitened = _whitened_stereo(powers, covariances, mixture)
    return np.stack(
        [
            sum(covariance[row, column] * whitened[column] for column in range(len(mixture))) * power
            for covariance, power in zip(covariances, powers, strict=True)
            for row in range(len(mixture))
        ]
    ).reshape(len(powers), *mixture.shape)


def _whitened_stereo(
    powers: _Real, covariances: npt.NDArray[np.complex128], mixture: npt.NDArray[np.complex128]
) -> npt.NDArray[np.complex128]:
    """Return C⁻¹ x for two channels; the Hermitian C is inverted in closed form."""
    left = np.einsum("jtf,jf->tf", powers, covariances[:, 0, 0].real) + np.sqrt(EPS)
    right = np.einsum("jtf,jf->tf", powers, covariances[:, 1, 1].real) + np.sqrt(EPS)
    cross = np.einsum("jtf,jf->tf", powers, covariances[:, 0, 1])
    determinant = left * right - (cross.real**2 + cross.imag**2)
    adjugated = [right * mixture[0] - cross * mixture[1], left * mixture[1] - cross.conj() * mixture[0]]
    whitened: npt.NDArray[np.complex128] = np.stack(adjugated) / determinant
    return whitened
