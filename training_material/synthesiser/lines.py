"""Bass lines made from a MIDI song's bass part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training_material.band.strings import StringNote, monophonic
from training_material.synthesiser.basses import HIGHEST_PITCH, LOWEST_PITCH

WRITTEN, HELD, OFFBEAT, ROLLING, QUARTERS = "written", "held", "offbeat", "rolling", "quarters"
SYNCOPATED, ON_KICKS = "syncopated", "on kicks"
STYLES = (WRITTEN, HELD, OFFBEAT, ROLLING, QUARTERS, SYNCOPATED, ON_KICKS)
STYLE_WEIGHTS = (0.3, 0.15, 0.1, 0.1, 0.1, 0.15, 0.1)

BEATS: dict[str, tuple[float, float]] = {OFFBEAT: (1.0, 0.5), ROLLING: (0.25, 0.0), QUARTERS: (1.0, 0.0)}
"""Step and offset in beats of the repeated styles."""

SHORTEST_SECONDS = 0.05
STACCATO_PROBABILITY = 0.3
STACCATO_SECONDS = (0.07, 0.25)
"""Longest note of a staccato line: as short as a kick drum, so that the two are hard to separate."""

SIXTEENTHS_PER_BAR = 16
SYNCOPATED_NOTES = (4, 9)
"""Fewest and most notes of a bar of the syncopated style."""

SPAN = 16
"""Semitones from the lowest to the highest note of a line."""


@dataclass(frozen=True)
class Grid:
    """Beats of a song: length of a beat and time of the first one, in seconds."""

    beat: float
    first: float = 0.0


def bass_line(
    notes: Sequence[StringNote], grid: Grid, kicks: Sequence[float], rng: np.random.Generator, *, seconds: float
) -> list[StringNote]:
    """Return a line of single notes between 30 and 200 Hz in a random style and articulation.

    Args:
        notes: the song's bass part.
        grid: the song's beats.
        kicks: onsets of the kick drum in seconds; without any, a line on kicks plays quarters.
        rng: style, range and articulation.
        seconds: length of the song.
    """
    style = str(rng.choice(STYLES, p=STYLE_WEIGHTS))
    gate = float(rng.choice([1.0, rng.uniform(0.35, 0.95)]))
    lowest = int(rng.integers(LOWEST_PITCH, HIGHEST_PITCH - SPAN + 1))
    line = [replace(note, pitch=folded(note.pitch, lowest)) for note in monophonic(notes)]
    if style == HELD:
        line = held(line, grid, beats=float(rng.choice([2.0, 4.0, 8.0])), seconds=seconds)
    elif style == SYNCOPATED:
        line = syncopated(line, grid, rng, seconds=seconds)
    elif style == ON_KICKS and len(kicks):
        line = at_times(line, kicks, grid, seconds=seconds)
    elif style == ON_KICKS:
        line = repeated(line, grid, QUARTERS, seconds=seconds)
    elif style != WRITTEN:
        line = repeated(line, grid, style, seconds=seconds)
    longest = float(rng.uniform(*STACCATO_SECONDS)) if rng.random() < STACCATO_PROBABILITY else seconds
    shortened = [replace(note, end=note.seconds + min(longest, gate * (note.end - note.seconds))) for note in line]
    return [note for note in shortened if note.end - note.seconds > SHORTEST_SECONDS * gate]


def folded(pitch: int, lowest: int) -> int:
    """Move a pitch by octaves to at least ``lowest`` and at most :data:`SPAN` above it."""
    return pitch + 12 * -(-(lowest - pitch) // 12) if pitch < lowest else _down(pitch, lowest + SPAN)


def _down(pitch: int, highest: int) -> int:
    return pitch - 12 * -(-(pitch - highest) // 12) if pitch > highest else pitch


def held(line: Sequence[StringNote], grid: Grid, *, beats: float, seconds: float) -> list[StringNote]:
    """Hold the note that sounds at the start of every few beats until the next ones."""
    step = beats * grid.beat
    found: list[StringNote] = []
    for start in np.arange(grid.first, seconds, step):
        root = sounding(line, float(start), within=step)
        if root is None:
            continue
        end = min(seconds, float(start) + step)
        if found and found[-1].pitch == root.pitch and abs(found[-1].end - start) < 1e-6:
            found[-1] = replace(found[-1], end=end)
        else:
            found.append(replace(root, seconds=float(start), end=end))
    return found


def repeated(line: Sequence[StringNote], grid: Grid, style: str, *, seconds: float) -> list[StringNote]:
    """Repeat the note of each beat on off-beats, sixteenths or quarters."""
    step, offset = (beats * grid.beat for beats in BEATS[style])
    length = min(step, 0.5 * grid.beat if style == OFFBEAT else step)
    found = []
    for start in np.arange(grid.first + offset, seconds, step):
        beat = float(grid.first + np.floor((start - grid.first) / grid.beat + 1e-6) * grid.beat)
        root = sounding(line, beat, within=2 * grid.beat)
        if root is not None:
            accent = 20 if style == ROLLING and abs(start - beat) < 1e-6 else 0
            end = min(seconds, float(start) + length)
            found.append(replace(root, seconds=float(start), end=end, velocity=min(127, root.velocity + accent)))
    return found


def syncopated(line: Sequence[StringNote], grid: Grid, rng: np.random.Generator, *, seconds: float) -> list[StringNote]:
    """Play the note of each beat in a rhythm of sixteenths, drawn once and repeated every bar."""
    n_notes = int(rng.integers(SYNCOPATED_NOTES[0], SYNCOPATED_NOTES[1] + 1))
    hits = np.sort(rng.choice(SIXTEENTHS_PER_BAR, size=n_notes, replace=False))
    step = grid.beat / 4
    n_bars = int(np.ceil(max(0.0, seconds - grid.first) / (SIXTEENTHS_PER_BAR * step)))
    starts = [grid.first + (bar * SIXTEENTHS_PER_BAR + int(hit)) * step for bar in range(n_bars) for hit in hits]
    return at_times(line, starts, grid, seconds=seconds)


def at_times(line: Sequence[StringNote], starts: Sequence[float], grid: Grid, *, seconds: float) -> list[StringNote]:
    """Play the note that sounds at each onset; it lasts to the next onset, two beats at most."""
    found = []
    for start, following in zip(starts, [*starts[1:], seconds], strict=True):
        root = sounding(line, start, within=2 * grid.beat)
        end = min(following, start + 2 * grid.beat, seconds)
        if root is not None and end > start:
            found.append(replace(root, seconds=start, end=end))
    return found


def sounding(line: Sequence[StringNote], time: float, *, within: float) -> StringNote | None:
    """Return the note that sounds at a time or starts or ended at most ``within`` seconds from it; None without one."""
    near = [note for note in line if note.seconds <= time + 0.03 and time - note.end < within]
    if near:
        return near[-1]
    return next((note for note in line if time < note.seconds < time + within), None)
