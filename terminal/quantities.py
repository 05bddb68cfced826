"""Durations, numbers of things and alternatives in words."""

from __future__ import annotations

from collections.abc import Iterable


def duration(seconds: float) -> str:
    """Return a duration in words: "0.4 s", "12 s", "3 min 12 s", "1 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest:02} min"


def about(seconds: float) -> str:
    """Return an estimated duration in words, with two digits: "about 25 s"."""
    for step in (1, 5, 15, 60, 300):
        if seconds < 40 * step or step == 300:
            return f"about {duration(max(1, round(seconds / step)) * step)}".replace(".0 s", " s")
    raise AssertionError


def clock(seconds: float) -> str:
    """Return a duration as on a clock: "0:12", "3:12", "1:05:00"."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def songs(n_songs: int) -> str:
    """Return "1 song" or "9 songs"."""
    return counted(n_songs, "song")


def counted(number: float, noun: str) -> str:
    """Return a number and a noun: "1 song", "9 songs", "0.5 CPUs"."""
    shown = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun}{'' if number == 1 else 's'}"


def either(names: Iterable[str]) -> str:
    """Return alternatives: "bass", "bass or drums", "bass, drums or other"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
