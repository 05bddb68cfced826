"""Levels in words, the same in every report."""

from __future__ import annotations

import math


def decibels(amplitude: float) -> str:
    """An amplitude in dB of full scale."""
    return f"{signed(20 * math.log10(amplitude))} dBFS" if amplitude > 0 else "silent"


def loudness(lufs: float | None) -> str:
    """Integrated loudness."""
    return "—" if lufs is None else f"{signed(lufs)} LUFS"


def residual(db: float | None) -> str:
    """What mixture − Σ stems leaves."""
    if db is None:
        return "the mixture is silent"
    return "none: the stems add up exactly" if db == -math.inf else f"{signed(db)} dB of the mixture"


def signed(value: float) -> str:
    """A number with one decimal and a true minus sign."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def clock(seconds: float) -> str:
    """Minutes and seconds, tenths below a minute."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"
