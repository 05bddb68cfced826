"""Formats levels and durations for reports and pages."""

from __future__ import annotations

import math


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
