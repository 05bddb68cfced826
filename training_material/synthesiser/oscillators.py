"""Band-limited oscillators: tables of one cycle, one per cutoff of a resonant low-pass.

A table is the sum of the partials below :data:`HIGHEST_HERTZ`, so that no partial aliases. A cutoff that moves in time
is an interpolation between the tables of neighbouring cutoffs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mono = npt.NDArray[np.float32]
Curve = npt.NDArray[np.float64]

SIZE = 4096
HIGHEST_HERTZ = 19_000.0
LOWEST_CUTOFF_HERTZ = 40.0
CUTOFFS_PER_OCTAVE = 5
N_CUTOFFS = 46
"""Cutoffs from 40 Hz to 20 kHz."""

WAVES = ("sine", "triangle", "saw", "pulse")


@dataclass(frozen=True)
class LowPass:
    """A resonant low-pass of one or two stages of 12 dB per octave.

    Attributes:
        quality: gain of each stage at the cutoff.
        n_stages: number of stages.
    """

    quality: float = 0.7
    n_stages: int = 1


def partials(wave: str, n_partials: int, *, width: float = 0.5) -> npt.NDArray[np.complex128]:
    """Return the complex amplitudes of the partials from the fundamental on.

    Args:
        wave: a name in :data:`WAVES`.
        n_partials: number of partials.
        width: share of the cycle for which a pulse is high.
    """
    order = np.arange(1, n_partials + 1)
    if wave == "sine":
        return np.where(order == 1, -1j, 0j)
    if wave == "triangle":
        signs = np.where(order % 4 == 1, 1.0, -1.0)
        return np.asarray(np.where(order % 2 == 1, -0.81j * signs / order**2, 0j))
    if wave == "saw":
        return np.asarray(-0.64j / order)
    return np.asarray(-1.27j * np.sin(np.pi * order * width) / order)


def cycle_tables(wave: str, hertz: float, low_pass: LowPass | None, *, width: float = 0.5) -> Mono:
    """Return single cycles ``float32 (cutoffs, SIZE + 1)``; one row without a filter. The last sample is the first.

    Args:
        wave: a name in :data:`WAVES`.
        hertz: highest fundamental that the tables are played at.
        low_pass: the filter.
        width: share of the cycle for which a pulse is high.
    """
    n_partials = max(1, min(SIZE // 2 - 1, int(HIGHEST_HERTZ / hertz)))
    spectrum = np.zeros((1 if low_pass is None else N_CUTOFFS, SIZE // 2 + 1), dtype=np.complex128)
    spectrum[:, 1 : n_partials + 1] = partials(wave, n_partials, width=width) * (SIZE / 2)
    if low_pass is not None:
        cutoffs = LOWEST_CUTOFF_HERTZ * 2.0 ** (np.arange(N_CUTOFFS) / CUTOFFS_PER_OCTAVE)
        ratio = hertz * np.arange(n_partials + 1) / cutoffs[:, None]
        response = 1.0 / (1.0 - ratio**2 + 1j * ratio / low_pass.quality)
        spectrum[:, : n_partials + 1] *= response**low_pass.n_stages
    cycles = np.fft.irfft(spectrum, SIZE, axis=1)
    return np.asarray(np.concatenate((cycles, cycles[:, :1]), axis=1), dtype=np.float32)


def cutoff_positions(hertz: Curve) -> Mono:
    """Return the fractional row of :func:`cycle_tables` for each cutoff in Hz."""
    rows = np.log2(np.maximum(hertz, 1.0) / LOWEST_CUTOFF_HERTZ) * CUTOFFS_PER_OCTAVE
    return np.asarray(np.clip(rows, 0.0, N_CUTOFFS - 1.001), dtype=np.float32)


def looked_up(tables: Mono, cycles: Curve, positions: Mono | None) -> Mono:
    """Play tables: linear interpolation along the cycle and between two cutoffs.

    Args:
        tables: result of :func:`cycle_tables`.
        cycles: phase in cycles, ``(samples,)``.
        positions: fractional rows, ``(samples,)``; None plays the first row.
    """
    place = (cycles % 1.0) * SIZE
    index = np.minimum(place.astype(np.int64), SIZE - 1)
    share = (place - index).astype(np.float32)
    flat = tables.ravel()
    if positions is None:
        return _between(flat, index, share)
    row = positions.astype(np.int64)
    index += row * (SIZE + 1)
    low = _between(flat, index, share)
    high = _between(flat, index + (SIZE + 1), share)
    return np.asarray(low + (positions - row.astype(np.float32)) * (high - low))


def _between(flat: Mono, index: npt.NDArray[np.int64], share: Mono) -> Mono:
    first = flat[index]
    return np.asarray(first + share * (flat[index + 1] - first))
