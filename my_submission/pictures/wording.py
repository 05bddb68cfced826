"""Formats levels and durations for reports and pages."""

from __future__ import annotations

import math

_STEPS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200)
"""Distances of the labels on a time axis."""


def decibels(amplitude: float) -> str:
    """Return an amplitude in dB of full scale."""
    return f"{signed(20 * math.log10(amplitude))} dBFS" if amplitude > 0 else "silent"


def loudness(lufs: float | None) -> str:
    """Return an integrated loudness in LUFS."""
    return "—" if lufs is None else f"{signed(lufs)} LUFS"


def residual(db: float | None, *, stems_add_up: bool = True, common_gain_db: float = 0.0) -> str:
    """Return the energy of mixture − Σ stems in words."""
    if not stems_add_up:
        return "not measured: only some stems were requested"
    if common_gain_db:
        return f"not measured: the stems are up to {signed(-common_gain_db)} dB quieter, so that they do not clip"
    if db is None:
        return "the mixture is silent"
    return "none: the stems add up exactly" if db == -math.inf else f"{signed(db)} dB of the mixture"


def signed(value: float) -> str:
    """Return a number with one decimal and a typographic minus sign."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def clock(seconds: float) -> str:
    """Return a duration in minutes and seconds, or in tenths of a second below a minute."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


def clock_ticks(seconds: float, *, at_most: int) -> list[float]:
    """Return the times to label on an axis of some seconds, evenly spaced from zero."""
    step = next((step for step in _STEPS_SECONDS if seconds / step < at_most), _STEPS_SECONDS[-1])
    while seconds / step >= at_most:
        step *= 2
    return [round(index * step, 1) for index in range(int(seconds / step) + 1)]


def clock_label(seconds: float) -> str:
    """Return a time as a player shows it: ``1:05``, ``1:02:03``, and ``0:00.5`` between seconds."""
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:02.0f}" if float(rest).is_integer() else f"{rest:04.1f}"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"
