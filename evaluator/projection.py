"""Least-squares distortion filters of BSSEval: batched FFT correlations, one factorised Gram matrix for all sources.

For references ``a`` (every channel of every source) and lags ``0 … L-1``, the filters that bring the delayed
references closest to an estimate ``e`` solve ``G x = d`` with ``G[(a,i),(b,k)] = R_ab(i − k)``,
``d[(a,i)] = R_ae(i)`` and ``R_ab(l) = Σ_n a(n)·b(n + l)``. Both are summed over the whole song, block by block, so
memory is that of ``G``: (sources·channels·L)² doubles for any length. Source: Vincent, Gribonval, Févotte,
"Performance measurement in blind audio source separation", IEEE TASLP 14(4), 2006, section III.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = float(np.finfo(np.float64).eps)
"""Added to the Gram matrix's diagonal, as museval does."""

_SAME_CHANNEL = 1e-12
"""Channels with a squared correlation this close to 1 count as one; 16-bit rounding makes a far larger difference."""

_N_FFT = 4096
"""Length of a correlation FFT: long compared with 512 lags, and small enough for the processor's cache."""

_BATCH_BLOCKS = 16
"""Blocks transformed at once, for one matrix product per bin: about 25 MB for four stereo sources."""

log = logging.getLogger(__name__)


def correlation_block_samples(n_lags: int) -> int:
    """Return the samples per block that :func:`correlations` expects; at least ``n_lags``."""
    n_fft = max(_N_FFT, 1 << (2 * n_lags - 1).bit_length())
    return n_fft - n_lags + 1


def correlations(blocks: Iterable[tuple[Floats, Floats]], *, n_lags: int) -> Floats:
    """Correlate reference channels with each other and with estimate channels, over a song in blocks.

    Args:
        blocks: (references, estimates), each (channels, samples) in song order; every block but the last has
            ``correlation_block_samples(n_lags)`` samples.
        n_lags: lags ``0 … n_lags-1`` are computed.

    Returns:
        (references, references + estimates, n_lags): ``R_ab(l) = Σ_n a(n)·b(n + l)``.

    Raises:
        ValueError: there are no blocks.
    """
    block_samples = correlation_block_samples(n_lags)
    n_fft = block_samples + n_lags - 1
    spectrum: npt.NDArray[np.complex128] | None = None
    for block, extended in _batches(_with_lookahead(blocks, block_samples, n_lags)):
        # (blocks, channels, bins) becomes one matrix product over the blocks per bin
        left = np.fft.rfft(block, n_fft).transpose(2, 1, 0)
        right = np.fft.rfft(extended, n_fft).transpose(2, 0, 1)
        product = np.ascontiguousarray(left.conj()) @ np.ascontiguousarray(right)
        spectrum = product if spectrum is None else spectrum + product
    if spectrum is None:
        raise ValueError("no blocks to correlate")
    return np.fft.irfft(spectrum, n_fft, axis=0)[:n_lags].transpose(1, 2, 0)


def projection_filters(
    correlation: Floats, reference_channels: Sequence[int], estimate_channels: Sequence[int]
) -> Floats:
    """Return filters that project estimates on the delayed references of some channels.

    Args:
        correlation: result of :func:`correlations`.
        reference_channels: rows that span the subspace.
        estimate_channels: columns (counted after the references) to project.

    Returns:
        (reference channels, estimate channels, lags). A channel that is silent or a multiple of an earlier one gets
        zero filters, so that a source panned to the middle does not make the matrix singular.
    """
    n_references, _, n_lags = correlation.shape
    wanted = list(reference_channels)
    kept = _independent(correlation, wanted)
    rows = [wanted[index] for index in kept]
    targets = correlation[np.ix_(rows, [n_references + column for column in estimate_channels])]
    right_side = np.asfortranarray(targets.transpose(0, 2, 1).reshape(len(rows) * n_lags, -1))
    with _one_blas_thread():
        solution = _solve_positive(correlation[np.ix_(rows, rows)], right_side)
    filters = np.zeros((len(wanted), len(estimate_channels), n_lags))
    filters[kept] = solution.reshape(len(rows), n_lags, -1).transpose(0, 2, 1)
    return filters


def gram_matrix(correlation: Floats) -> Floats:
    """Return the block-Toeplitz Gram matrix of delayed references, with the ridge, in Fortran order.

    Args:
        correlation: (references, references, lags).

    Returns:
        (references · lags, references · lags), symmetric.
    """
    from scipy import linalg

    n_references, _, n_lags = correlation.shape
    gram = np.empty((n_references * n_lags, n_references * n_lags), order="F")
    for a in range(n_references):
        for b in range(n_references):
            block = linalg.toeplitz(correlation[a, b], correlation[b, a])
            gram[a * n_lags : (a + 1) * n_lags, b * n_lags : (b + 1) * n_lags] = block
    gram[np.diag_indices_from(gram)] += RIDGE
    return gram


def _independent(correlation: Floats, rows: list[int]) -> list[int]:
    """Return the indices in ``rows`` of channels that are neither silent nor a multiple of an earlier kept channel."""
    at_lag_0 = correlation[:, :, 0]
    kept: list[int] = []
    for index, row in enumerate(rows):
        energy = at_lag_0[row, row]
        bounds = [at_lag_0[rows[k], row] ** 2 / at_lag_0[rows[k], rows[k]] for k in kept]
        if energy > 0 and max(bounds, default=0.0) < (1 - _SAME_CHANNEL) * energy:
            kept.append(index)
    return kept


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Factorise with one thread, if threadpoolctl is installed.

    One thread takes a second for four stereo sources. Several threads are faster on an idle machine, but on a busy
    one they spin while they wait for each other, which was measured to take ten times as long.
    """
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        log.debug("threadpoolctl is not installed; the linear algebra library chooses its threads")
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def _solve_positive(correlation: Floats, right_side: Floats) -> Floats:
    """Solve with the Gram matrix by Cholesky; by LU if rounding made it indefinite, by least squares if singular."""
    from scipy import linalg

    factor, failed = linalg.lapack.dpotrf(gram_matrix(correlation), lower=1, overwrite_a=1, clean=0)
    if not failed:
        solution, _ = linalg.lapack.dpotrs(factor, right_side, lower=1)
        return np.asarray(solution)
    del factor
    log.debug("Gram matrix of %d rows is not positive definite to rounding; solving by LU", len(right_side))
    *_, solution, singular = linalg.lapack.dgesv(gram_matrix(correlation), right_side, overwrite_a=1)
    if singular:
        log.debug("Gram matrix is singular; solving by least squares")
        solution = np.linalg.lstsq(gram_matrix(correlation), right_side, rcond=None)[0]
    return np.asarray(solution)


def _with_lookahead(
    blocks: Iterable[tuple[Floats, Floats]], block_samples: int, n_lags: int
) -> Iterator[tuple[Floats, Floats]]:
    """Pair every block of references with the same samples of all channels plus ``n_lags - 1`` more, zero-padded."""
    before: Floats | None = None
    n_references = 0
    for references, estimates in blocks:
        n_references = len(references)
        both = np.concatenate((references, estimates))
        if before is not None:
            yield _zero_padded(before, both[:, : n_lags - 1], n_references, block_samples, n_lags)
        before = both
    if before is not None:
        yield _zero_padded(before, before[:, :0], n_references, block_samples, n_lags)


def _zero_padded(
    block: Floats, following: Floats, n_references: int, block_samples: int, n_lags: int
) -> tuple[Floats, Floats]:
    extended = np.zeros((len(block), block_samples + n_lags - 1))
    extended[:, : block.shape[1]] = block
    extended[:, block.shape[1] : block.shape[1] + following.shape[1]] = following
    alone = np.zeros((n_references, block_samples))
    alone[:, : block.shape[1]] = block[:n_references]
    return alone, extended


def _batches(pairs: Iterator[tuple[Floats, Floats]]) -> Iterator[tuple[Floats, Floats]]:
    """Stack pairs of equal shapes, ``_BATCH_BLOCKS`` at a time."""
    waiting: list[tuple[Floats, Floats]] = []
    for pair in pairs:
        waiting.append(pair)
        if len(waiting) == _BATCH_BLOCKS:
            yield _stacked(waiting)
            waiting = []
    if waiting:
        yield _stacked(waiting)


def _stacked(pairs: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    return np.stack([alone for alone, _ in pairs]), np.stack([extended for _, extended in pairs])
