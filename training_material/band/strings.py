"""Basses and guitars sampled note by note, playing the notes of MIDI parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import soxr

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training_material.band.tables import recording, rows

Mono = npt.NDArray[np.float32]

TABLE = "notes.csv"
RELEASE_SECONDS = 0.07
TIMING_SECONDS = 0.006
"""Standard deviation of the onsets from the beat."""

VELOCITY_DEVIATION = 6.0
SEMITONES_DEVIATION = 0.03
VELOCITY_EXPONENT = 0.4
"""Exponent of the velocity within a velocity layer."""


@dataclass(frozen=True)
class StringNote:
    """A note of a part: start and end in seconds, MIDI pitch and velocity."""

    seconds: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class RecordedNote:
    """One recorded note and its velocity layer."""

    path: Path
    pitch: int
    low_velocity: int
    high_velocity: int


@dataclass(frozen=True)
class Instrument:
    """Recorded notes of one articulation of an instrument."""

    name: str
    articulation: str
    notes: Sequence[RecordedNote]

    @property
    def lowest(self) -> int:
        """Lowest recorded pitch."""
        return min(note.pitch for note in self.notes)

    @property
    def highest(self) -> int:
        """Highest recorded pitch."""
        return max(note.pitch for note in self.notes)


def read_instruments(folder: Path) -> dict[tuple[str, str], Instrument]:
    """Return the instruments of a folder by name and articulation.

    Raises:
        InputError: the table cannot be read.
    """
    columns = ("file", "instrument", "articulation", "pitch", "low_velocity", "high_velocity")
    notes: dict[tuple[str, str], list[RecordedNote]] = defaultdict(list)
    for row in rows(folder / TABLE, columns):
        pitch, low, high = (int(row[column]) for column in columns[3:])
        recorded = RecordedNote(folder / row["file"], pitch, low, high)
        notes[row["instrument"], row["articulation"]].append(recorded)
    return {key: Instrument(*key, found) for key, found in notes.items()}


def instruments_named(known: Mapping[tuple[str, str], Instrument], names: Iterable[str]) -> list[Instrument]:
    """Return all articulations of the named instruments.

    Raises:
        InputError: a name is unknown.
    """
    found = []
    for name in names:
        of_name = [instrument for (kind, _), instrument in sorted(known.items()) if kind == name]
        if not of_name:
            kinds = ", ".join(sorted({kind for kind, _ in known}))
            raise InputError(f"there is no instrument {name!r}", hint=f"use {kinds}")
        found += of_name
    return found


def notes_of(
    song: mido.MidiFile, keep: Mapping[int, frozenset[int]], *, tempo: float, semitones: int, max_seconds: float
) -> list[StringNote]:
    """Return the notes of some parts of a song.

    Args:
        song: the MIDI song.
        keep: programs to keep, per channel.
        tempo: factor on the tempo.
        semitones: added to every pitch.
        max_seconds: notes are cut there.
    """
    found: list[StringNote] = []
    sounding: dict[tuple[int, int], tuple[float, int]] = {}
    programs, now = [0] * 16, 0.0

    def ended(key: tuple[int, int]) -> None:
        start, velocity = sounding.pop(key)
        found.append(StringNote(start, now, key[1] + semitones, velocity))

    for message in song:
        now += message.time / tempo
        if now >= max_seconds:
            break
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in {"note_on", "note_off"}:
            key = (message.channel, message.note)
            if key in sounding:
                ended(key)
            is_kept = programs[message.channel] in keep.get(message.channel, frozenset())
            if message.type == "note_on" and message.velocity > 0 and is_kept:
                sounding[key] = (now, message.velocity)
    now = min(now, max_seconds)
    for key in list(sounding):
        ended(key)
    return sorted(found, key=lambda note: (note.seconds, note.pitch))


def in_range(notes: Sequence[StringNote], instrument: Instrument) -> list[StringNote]:
    """Transpose notes by octaves into the range of an instrument."""
    moved = []
    for note in notes:
        pitch = note.pitch
        while pitch < instrument.lowest:
            pitch += 12
        while pitch > instrument.highest + 1:
            pitch -= 12
        moved.append(replace(note, pitch=pitch))
    return moved


def monophonic(notes: Sequence[StringNote]) -> list[StringNote]:
    """Keep the lowest of notes that start together, and end each note where the next one starts."""
    line: list[StringNote] = []
    for note in notes:
        if line and note.seconds - line[-1].seconds < 0.02:
            continue
        if line and line[-1].end > note.seconds:
            line[-1] = replace(line[-1], end=note.seconds)
        line.append(note)
    return line


def play(instrument: Instrument, notes: Sequence[StringNote], rng: np.random.Generator, *, seconds: float) -> Mono:
    """Play notes, each on a random recording near its pitch and velocity; returns ``float32 (samples,)``."""
    out = np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32)
    n_release = int(RELEASE_SECONDS * SAMPLE_RATE)
    for note in notes:
        velocity = float(np.clip(note.velocity + rng.normal(0.0, VELOCITY_DEVIATION), 1, 127))
        recorded = _nearest(instrument.notes, note.pitch, velocity, rng)
        shift = round(float(note.pitch - recorded.pitch) + SEMITONES_DEVIATION * float(rng.integers(-1, 2)), 3)
        start = max(0, round((note.seconds + rng.normal(0.0, TIMING_SECONDS)) * SAMPLE_RATE))
        sound = shifted(recorded.path, shift)
        n_held = max(n_release, round((note.end - note.seconds) * SAMPLE_RATE))
        length = min(len(sound), n_held + n_release, len(out) - start)
        if length <= 0:
            continue
        piece = sound[:length].copy()
        n_fade = min(n_release, max(0, length - n_held))
        if n_fade:
            piece[-n_fade:] *= np.linspace(1.0, 0.0, n_fade, dtype=np.float32)
        top = max(1, recorded.high_velocity)
        out[start : start + length] += piece * np.float32((velocity / top) ** VELOCITY_EXPONENT)
    return out


@lru_cache(maxsize=1024)
def shifted(path: Path, semitones: float) -> Mono:
    """Return a recording as mono, shifted in pitch by playing it faster or slower; it is cached."""
    mono = recording(path).mean(axis=0)
    if semitones == 0.0:
        return np.asarray(mono, dtype=np.float32)
    ratio = 2.0 ** (semitones / 12.0)
    return np.asarray(soxr.resample(mono, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="HQ"), dtype=np.float32)


def _nearest(notes: Sequence[RecordedNote], pitch: int, velocity: float, rng: np.random.Generator) -> RecordedNote:
    """Draw one of the recordings that are nearest in pitch, then in velocity."""
    distances = [
        (abs(note.pitch - pitch), max(note.low_velocity - velocity, velocity - note.high_velocity, 0.0))
        for note in notes
    ]
    best = min(distances)
    near = [note for note, distance in zip(notes, distances, strict=True) if distance == best]
    return near[int(rng.integers(len(near)))]
