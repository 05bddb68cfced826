"""Formats levels and durations for reports and pages."""

from __future__ import annotations

import math

from my_submission.dsp.overview import Overview

INAUDIBLE_DB = -60.0
"""Energy of a difference relative to the song below which it is inaudible."""

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


def duration(seconds: float) -> str:
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


def track_name(name: str) -> str:
    """Return the name of a track as a heading: "Vocals", "Mixture", "Without other"."""
    source = name.removeprefix("no_")
    return f"Without {source}" if source != name else name[:1].upper() + name[1:]


def together(db: float | None, *, stems_add_up: bool = True, common_gain_db: float = 0.0) -> str:
    """Return a sentence on how far the stems, played together, are from the song; empty if that was not measured.

    Args:
        db: energy of mixture − Σ stems over that of the mixture, in dB.
        stems_add_up: whether the stems are all of the song.
        common_gain_db: gain that was applied to all stems against clipping.
    """
    if not stems_add_up:
        return ""
    if common_gain_db:
        quieter = f"{-common_gain_db:.1f} dB"
        return f"All stems were made up to {quieter} quieter, so that they do not clip."
    if db is None:
        return "The song is silent."
    if db == -math.inf:
        return "Played together, the stems add up exactly to the song."
    if db <= INAUDIBLE_DB:
        return "Played together, the stems sound like the song: the difference is inaudible."
    return f"Played together, the stems differ from the song; the difference is {-db:.0f} dB quieter than the song."


def beside_song(track: Overview, song: Overview) -> str:
    """Return how loud a track is beside the song: "7 dB quieter than the song", "silent"."""
    if not track.rms or not song.rms:
        return "silent"
    if track.loudness_lufs is not None and song.loudness_lufs is not None:
        difference = round(track.loudness_lufs - song.loudness_lufs)
    else:
        difference = round(20 * math.log10(track.rms / song.rms))
    if not difference:
        return "as loud as the song"
    return f"{abs(difference)} dB {'louder' if difference > 0 else 'quieter'} than the song"
