"""A recorded drum kit played by drum performances: velocity layers, round robins, a choked hi-hat, room microphones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training_material.band.tables import recording, rows

Stereo = npt.NDArray[np.float32]

HITS = "hits.csv"
NOTES = "notes.csv"
PERFORMANCES = "performances.csv"

CLASS_DB: Mapping[str, float] = {"kick": 4.0, "snare": 0.0, "tom": 0.0, "hat": -5.0, "cymbal": -2.0}
"""From the microphones' levels to those of a mix, by class of drum."""

CLASS_DEVIATION_DB = 2.0
PEDAL_NOTE = 44
PEDAL_VELOCITY = 0.6
"""Foot time-keeping is softer than a stroke of the same velocity."""

CHOKING = frozenset({"HihatClosed"})
CHOKED = frozenset({"HihatOpen", "HihatClosed"})
CHOKE_SECONDS = 0.05

GENERAL_MIDI: Mapping[int, int] = {35: 36, 39: 38, 41: 43, 54: 42, 69: 42, 70: 42, 56: 53}
"""Notes of General MIDI's percussion that the performances' kit lacks, and what is played in their place."""


@dataclass(frozen=True)
class Hit:
    """One recorded hit."""

    file: str
    drum_class: str
    low_velocity: int
    high_velocity: int


@dataclass(frozen=True)
class DrumStroke:
    """One stroke of a performance: when, which note, how hard (1 to 127)."""

    seconds: float
    note: int
    velocity: int


@dataclass(frozen=True)
class Kit:
    """A recorded kit.

    Attributes:
        folder: of ``close/`` and ``room/``.
        hits: of every articulation.
        articulations: of every note, the first one the usual one.
    """

    folder: Path
    hits: Mapping[str, Sequence[Hit]]
    articulations: Mapping[int, Sequence[str]]


@dataclass(frozen=True)
class Performance:
    """A drum performance on disk."""

    path: Path
    bpm: float
    seconds: float


def read_kit(folder: Path, notes: Path) -> Kit:
    """The kit of a folder and the table of notes that play it.

    Raises:
        InputError: a table cannot be read, or a note plays what the kit lacks.
    """
    hits: dict[str, list[Hit]] = defaultdict(list)
    for row in rows(folder / HITS, ("file", "articulation", "drum_class", "low_velocity", "high_velocity")):
        hit = Hit(row["file"], row["drum_class"], int(row["low_velocity"]), int(row["high_velocity"]))
        hits[row["articulation"]].append(hit)
    articulations = {}
    for row in rows(notes, ("note", "kit_articulation", "alternatives")):
        names = [row["kit_articulation"], *row["alternatives"].split()]
        if unknown := [name for name in names if name not in hits]:
            raise InputError(f"note {row['note']} plays {unknown[0]}, which {folder / HITS} lacks", where=notes)
        articulations[int(row["note"])] = names
    return Kit(folder, hits, articulations)


def read_performances(folder: Path, *, is_evaluation: bool, shortest_seconds: float) -> list[Performance]:
    """Whole beats, either of the training split or of the evaluation session.

    Raises:
        InputError: the table cannot be read, or there is none.
    """
    columns = ("file", "bpm", "kind", "seconds", "split", "evaluation_session")
    found = [
        Performance(folder / row["file"], float(row["bpm"]), float(row["seconds"]))
        for row in rows(folder / PERFORMANCES, columns)
        if row["kind"] == "beat"
        and float(row["seconds"]) >= shortest_seconds
        and (row["evaluation_session"] == "1" if is_evaluation else row["split"] == "train")
    ]
    if not found:
        raise InputError("names no such performance", where=folder / PERFORMANCES)
    return found


def strokes(song: mido.MidiFile, *, channel: int = 9, max_seconds: float, tempo: float = 1.0) -> list[DrumStroke]:
    """The strokes of a MIDI song's drum channel, ``tempo`` times as fast, up to ``max_seconds``."""
    found, now = [], 0.0
    for message in song:
        now += message.time / tempo
        if now >= max_seconds:
            break
        if message.type == "note_on" and message.channel == channel and message.velocity > 0:
            found.append(DrumStroke(now, message.note, message.velocity))
    return found


def repeated(line: Sequence[DrumStroke], period: float, seconds: float) -> list[DrumStroke]:
    """A performance again and again, each after ``period`` seconds, until ``seconds`` are full."""
    n_times = int(np.ceil(seconds / period))
    shifted = [DrumStroke(s.seconds + turn * period, s.note, s.velocity) for turn in range(n_times) for s in line]
    return [stroke for stroke in shifted if stroke.seconds < seconds]


def play(kit: Kit, line: Sequence[DrumStroke], rng: np.random.Generator, *, seconds: float, room: float) -> Stereo:
    """``float32 (2, samples)``: close microphones plus ``room`` times the room's.

    Notes that no articulation plays are left out. Which of several toms, rides or kicks plays a note is drawn once.
    """
    out = np.zeros((2, int(seconds * SAMPLE_RATE)), dtype=np.float32)
    chosen = {note: names[int(rng.integers(len(names)))] for note, names in sorted(kit.articulations.items())}
    gains = {name: 10.0 ** (rng.normal(db, CLASS_DEVIATION_DB) / 20.0) for name, db in sorted(CLASS_DB.items())}
    hats: list[tuple[float, str]] = [(s.seconds, chosen.get(_note(s.note), "")) for s in line]
    closings = np.array([when for when, name in hats if name in CHOKING], dtype=np.float64)
    last: dict[str, str] = {}
    for stroke in line:
        name = chosen.get(_note(stroke.note))
        if name is None:
            continue
        velocity = max(1, round(stroke.velocity * (PEDAL_VELOCITY if stroke.note == PEDAL_NOTE else 1.0)))
        hit = _drawn(kit.hits[name], velocity, last.get(name), rng)
        last[name] = hit.file
        sound = recording(kit.folder / "close" / hit.file) + np.float32(room) * recording(
            kit.folder / "room" / hit.file
        )
        if name in CHOKED:
            sound = _choked(sound, stroke.seconds, closings)
        _added(out, sound, stroke.seconds, gains.get(hit.drum_class, 1.0))
    return out


def _note(note: int) -> int:
    return GENERAL_MIDI.get(note, note)


def _drawn(hits: Sequence[Hit], velocity: int, last: str | None, rng: np.random.Generator) -> Hit:
    """A hit of the layer that holds the velocity, or the nearest one; not the last one again where there are others."""
    distances = [max(hit.low_velocity - velocity, velocity - hit.high_velocity, 0) for hit in hits]
    near = [hit for hit, distance in zip(hits, distances, strict=True) if distance == min(distances)]
    fresh = [hit for hit in near if hit.file != last] or near
    return fresh[int(rng.integers(len(fresh)))]


def _choked(sound: Stereo, seconds: float, closings: npt.NDArray[np.float64]) -> Stereo:
    """Faded out at the next closing of the hi-hat."""
    after = closings[np.searchsorted(closings, seconds, side="right") :]
    if not after.size:
        return sound
    end = int((after[0] - seconds) * SAMPLE_RATE)
    n_fade = int(CHOKE_SECONDS * SAMPLE_RATE)
    if end + n_fade >= sound.shape[1]:
        return sound
    cut = sound[:, : end + n_fade].copy()
    cut[:, end:] *= np.linspace(1.0, 0.0, n_fade, dtype=np.float32)
    return cut


def _added(out: Stereo, sound: Stereo, seconds: float, gain: float) -> None:
    start = round(seconds * SAMPLE_RATE)
    length = min(sound.shape[1], out.shape[1] - start)
    if length > 0:
        out[:, start : start + length] += np.float32(gain) * sound[:, :length]
