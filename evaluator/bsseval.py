"""BSSEval v4 (images, one set of filters per song): SDR, ISR, SIR and SAR of every one-second frame.

The definition is that of museval's defaults (window = hop = 1 s, 512-tap filters, no permutation). For source ``j``
and one frame, let ``s`` be the true image, ``e`` the estimate, ``P_j e`` and ``P e`` the projections of the estimate
on the delayed channels of source ``j`` and of all sources. The filters are fitted once over the whole song and applied
to the frame's references with their tails. In dB,

    SDR = ‖s‖² / ‖e − s‖²          ISR = ‖s‖² / ‖P_j e − s‖²
    SIR = ‖P_j e‖² / ‖P e − P_j e‖²    SAR = ‖P e‖² / ‖e − P e‖²

SDR needs no filters. A frame in which any reference or any estimate is silent (its channels sum to zero at every
sample) is NaN for every source. A song's value is the median over its finite frames, a data set's the median over its
songs. Source: Stöter, Liutkus, Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018; Vincent et al.,
IEEE TASLP 14(4), 2006.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluator.projection import Floats, correlation_block_samples, correlations, projection_filters

RATIOS = ("SDR", "ISR", "SIR", "SAR")
"""Names of the four ratios, in the order of the arrays of this module."""

FILTER_TAPS = 512
"""Length of the distortion filters: about 12 ms at 44.1 kHz."""

_BLOCKS_PER_READ = 16
"""Correlation blocks read from disk at once: about 1.3 s, so that reading is cheap compared with computing."""

_FIRST_SAMPLES = 64
"""Samples tested for silence before the whole frame is summed; usually enough to show that it is not silent."""


class PairedSignal(Protocol):
    """References and estimates of one song, which can be read more than once."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sources, channels, samples), the same for references and estimates."""
        ...

    def blocks(self, block_samples: int) -> Iterator[tuple[Floats, Floats]]:
        """Yield both as float64 (sources, channels, block_samples); the last block may be shorter."""
        ...


@dataclass(frozen=True)
class BssEval:
    """Ratios of one song.

    Attributes:
        frames: (4, sources, frames) in dB, first axis as :data:`RATIOS`. NaN for frames with a silent source and for
            ratios that were not requested, +inf for frames without error.
        silent_references: indices of sources whose reference is silent in the whole song; they are not compared.
        silent_estimates: the same for estimates.
        window_samples: length of a frame.
    """

    frames: Floats
    silent_references: tuple[int, ...]
    silent_estimates: tuple[int, ...]
    window_samples: int

    def medians(self) -> Floats:
        """Return the median over the finite frames, (4, sources); NaN without finite frames."""
        return finite_median(self.frames)


def finite_median(values: Floats) -> Floats:
    """Return the median of the finite values along the last axis, as museval does; NaN without finite values."""
    finite = np.where(np.isfinite(values), values, np.nan)
    has_values = np.any(np.isfinite(finite), axis=-1, keepdims=True)
    medians = np.nanmedian(np.where(has_values, finite, 0.0), axis=-1)
    return np.asarray(np.where(has_values[..., 0], medians, np.nan))


def bsseval_v4(pair: PairedSignal, *, window_samples: int, sdr_only: bool = False) -> BssEval:
    """Compute BSSEval v4 of one song, frame by frame.

    A source whose reference or estimate is silent in the whole song is treated as absent from the song and named in
    the result; its own ratios are NaN. (museval raises an error.)

    Args:
        pair: references and estimates; read once for ``sdr_only``, twice otherwise. Memory is one frame and one Gram
            matrix, 134 MB for four stereo sources, independent of the song's length.
        window_samples: length and hop of frames; museval's default is one second. A shorter song is one frame; an
            incomplete last frame is dropped.
        sdr_only: compute SDR alone, which needs no filters; the values are the same.

    Raises:
        ValueError: no samples, or a window below one sample.
    """
    _, n_channels, n_samples = pair.shape
    if n_samples < 1 or window_samples < 1:
        raise ValueError(f"{n_samples} samples cannot be cut into windows of {window_samples}")
    window_samples = min(window_samples, n_samples)
    if sdr_only:
        sdr, is_silent = _framewise_sdr(pair, window_samples)
        frames = np.full((4, *sdr.shape), np.nan)
        frames[0] = sdr
        whole_silent = np.asarray(is_silent.all(axis=2))
    else:
        correlation, whole_silent = _correlate(pair)
        active = [int(j) for j in np.flatnonzero(~np.any(whole_silent, axis=0))]
        filters = _Filters.fit(correlation, active, n_channels, window_samples) if active else None
        del correlation
        frames, is_silent = _framewise(pair, filters, active, window_samples)
    n_frames = n_samples // window_samples
    frames = frames[:, :, :n_frames]
    is_left_out = np.any(whole_silent, axis=0)
    is_blank = np.any(is_silent[:, ~is_left_out, :n_frames], axis=(0, 1))
    frames[:, :, is_blank] = np.nan
    frames[:, is_left_out] = np.nan
    silent_references, silent_estimates = (tuple(int(j) for j in np.flatnonzero(side)) for side in whole_silent)
    return BssEval(frames, silent_references, silent_estimates, window_samples)


@dataclass(frozen=True)
class _Filters:
    """Spectra of the distortion filters at the bins of one frame's FFT.

    Attributes:
        on_all: (reference channels, estimate channels, bins), over all active sources.
        on_own: (sources, reference channels, estimate channels, bins), each source on its own references.
    """

    n_fft: int
    on_all: npt.NDArray[np.complex128]
    on_own: npt.NDArray[np.complex128]

    @classmethod
    def fit(cls, correlation: Floats, active: list[int], n_channels: int, window_samples: int) -> _Filters:
        from scipy import fft

        n_fft = fft.next_fast_len(window_samples + FILTER_TAPS - 1, real=True)
        n_fft += n_fft % 2  # _energy needs an even length
        own = [[j * n_channels + c for c in range(n_channels)] for j in active]
        everything = [channel for channels in own for channel in channels]
        on_all = projection_filters(correlation, everything, everything)
        on_own = np.stack([projection_filters(correlation, channels, channels) for channels in own])
        return cls(n_fft, fft.rfft(on_all, n_fft), fft.rfft(on_own, n_fft))

    def ratios(self, references: Floats, estimates: Floats) -> Floats:
        """Return ISR, SIR and SAR (3, active sources) of one frame (active sources, channels, samples)."""
        from scipy import fft

        true = fft.rfft(references, self.n_fft)
        estimated = fft.rfft(estimates, self.n_fft)
        projected = np.zeros_like(true)
        flat, share = projected.reshape(-1, projected.shape[-1]), np.empty_like(self.on_all[0])
        for spectrum, responses in zip(true.reshape(flat.shape), self.on_all, strict=True):
            flat += np.multiply(responses, spectrum, out=share)
        own = np.einsum("jcof,jcf->jof", self.on_own, true)
        return np.stack(
            (
                _decibels(self._energy(true), self._energy(own - true)),
                _decibels(self._energy(own), self._energy(projected - own)),
                _decibels(self._energy(projected), self._energy(estimated - projected)),
            )
        )

    def _energy(self, spectrum: npt.NDArray[np.complex128]) -> Floats:
        """Return the energy per source of spectra (sources, channels, bins) by Parseval's theorem."""
        # einsum instead of a BLAS dot product, whose threads cost more than they save at this size
        parts = spectrum.reshape(len(spectrum), -1).view(np.float64)
        counted_once = (np.abs(spectrum[:, :, [0, -1]]) ** 2).sum(axis=(1, 2))
        return np.asarray((2 * np.einsum("jn,jn->j", parts, parts) - counted_once) / self.n_fft)


def _is_silent(signals: Floats) -> npt.NDArray[np.bool_]:
    """Return per source whether its channels sum to zero at every sample."""
    return np.array(
        [not (source[:, :_FIRST_SAMPLES].sum(axis=0).any() or source.sum(axis=0).any()) for source in signals]
    )


def _decibels(numerator: Floats, denominator: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator == 0, np.inf, 10 * np.log10(numerator / denominator)))


def _frame_sdr(references: Floats, estimates: Floats) -> Floats:
    return _decibels(*(np.einsum("jcn,jcn->j", side, side) for side in (references, references - estimates)))


def _framewise_sdr(pair: PairedSignal, window_samples: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return SDR (sources, frames) and silence (2, sources, frames), including an incomplete last frame."""
    ratios, silence = [], []
    for references, estimates in pair.blocks(window_samples):
        ratios.append(_frame_sdr(references, estimates))
        silence.append(np.stack((_is_silent(references), _is_silent(estimates))))
    return np.stack(ratios, axis=-1), np.stack(silence, axis=-1)


def _framewise(
    pair: PairedSignal, filters: _Filters | None, active: list[int], window_samples: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return all ratios (4, sources, frames) and silence (2, sources, frames); NaN in frames with a silent source."""
    n_sources = pair.shape[0]
    ratios, silence = [], []
    for references, estimates in pair.blocks(window_samples):
        frame = np.full((4, n_sources), np.nan)
        silent = np.stack((_is_silent(references), _is_silent(estimates)))
        if filters is not None and references.shape[2] == window_samples and not silent[:, active].any():
            frame[0] = _frame_sdr(references, estimates)
            frame[1:, active] = filters.ratios(references[active], estimates[active])
        ratios.append(frame)
        silence.append(silent)
    return np.stack(ratios, axis=-1), np.stack(silence, axis=-1)


def _correlate(pair: PairedSignal) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return correlations of all channels, and which references and estimates (2, sources) are silent throughout."""
    n_sources, n_channels, _ = pair.shape
    silent = np.ones((2, n_sources), bool)

    def flat_blocks() -> Iterator[tuple[Floats, Floats]]:
        step = correlation_block_samples(FILTER_TAPS)
        for references, estimates in pair.blocks(step * _BLOCKS_PER_READ):
            np.logical_and(silent, (_is_silent(references), _is_silent(estimates)), out=silent)
            flat = [side.reshape(n_sources * n_channels, -1) for side in (references, estimates)]
            for start in range(0, references.shape[2], step):
                yield flat[0][:, start : start + step], flat[1][:, start : start + step]

    return correlations(flat_blocks(), n_lags=FILTER_TAPS), silent
