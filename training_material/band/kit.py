"""A recorded drum kit with velocity layers, round robins, a choked hi-hat and room microphones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training_material.band.tables import recording, rows
from training_material.midi import DrumNote

Stereo = npt.NDArray[np.float32]

HITS = "hits.csv"
PERFORMANCES = "performances.csv"

CLASS_DB: Mapping[str, float] = {"kick": 4.0, "snare": 0.0, "tom": 0.0, "hat": -5.0, "cymbal": -2.0}
"""Gain from the recorded level to the level in a mix, per class of drum."""

CLASS_DEVIATION_DB = 2.0
PEDAL_NOTE = 44
PEDAL_VELOCITY = 0.6
"""Factor on the velocity of the pedal hi-hat, which is softer than a stick hit of the same velocity."""

CHOKING = frozenset({"HihatClosed"})
CHOKED = frozenset({"HihatOpen", "HihatClosed"})
CHOKE_SECONDS = 0.05

GENERAL_MIDI: Mapping[int, int] = {35: 36, 39: 38, 41: 43, 54: 42, 69: 42, 70: 42, 56: 53}
"""Substitutes for General MIDI percussion notes that the kit lacks."""


@dataclass(frozen=True)
class RecordedHit:
    """One recorded hit and its velocity layer."""

    file: str
    drum_class: str
    low_velocity: int
    high_velocity: int


@dataclass(frozen=True)
class Kit:
    """A recorded kit.

    Attributes:
        folder: folder with the recordings, in ``close/`` and ``room/``.
        hits: recorded hits per articulation.
        articulations: articulations per MIDI note, the usual one first.
    """

    folder: Path
    hits: Mapping[str, Sequence[RecordedHit]]
    articulations: Mapping[int, Sequence[str]]


@dataclass(frozen=True)
class Performance:
    """A drum performance on disk."""

    path: Path
    bpm: float
    seconds: float


def read_kit(folder: Path, notes: Path) -> Kit:
    """Read the kit of a folder and the table that maps notes to articulations.

    Raises:
        InputError: a table cannot be read, or a note names an articulation that the kit lacks.
    """
    hits: dict[str, list[RecordedHit]] = defaultdict(list)
    for row in rows(folder / HITS, ("file", "articulation", "drum_class", "low_velocity", "high_velocity")):
        hit = RecordedHit(row["file"], row["drum_class"], int(row["low_velocity"]), int(row["high_velocity"]))
        hits[row["articulation"]].append(hit)
    articulations = {}
    for row in rows(notes, ("note", "kit_articulation", "alternatives")):
        names = [row["kit_articulation"], *row["alternatives"].split()]
        if unknown := [name for name in names if name not in hits]:
            raise InputError(f"note {row['note']} plays {unknown[0]}, which {folder / HITS} lacks", where=notes)
        articulations[int(row["note"])] = names
    return Kit(folder, hits, articulations)


def read_performances(folder: Path, *, is_evaluation: bool, shortest_seconds: float) -> list[Performance]:
    """Return the performances of whole beats, of the training split or of the evaluation session.

    Raises:
        InputError: the table cannot be read or names no such performance.
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


def repeated(notes: Sequence[DrumNote], period: float, seconds: float) -> list[DrumNote]:
    """Repeat notes every ``period`` seconds, up to ``seconds``."""
    n_times = int(np.ceil(seconds / period))
    shifted = [replace(note, seconds=note.seconds + turn * period) for turn in range(n_times) for note in notes]
    return [note for note in shifted if note.seconds < seconds]


def play(kit: Kit, notes: Sequence[DrumNote], rng: np.random.Generator, *, seconds: float, room: float) -> Stereo:
    """Play notes on a kit; returns the close microphones plus ``room`` times the room ones, ``float32 (2, samples)``.

    Notes without an articulation are left out. Notes with several draw one of them per call.
    """
    out = np.zeros((2, int(seconds * SAMPLE_RATE)), dtype=np.float32)
    chosen = {note: names[int(rng.integers(len(names)))] for note, names in sorted(kit.articulations.items())}
    gains = {name: 10.0 ** (rng.normal(db, CLASS_DEVIATION_DB) / 20.0) for name, db in sorted(CLASS_DB.items())}
    played = [(note, chosen[_note(note.note)]) for note in notes if _note(note.note) in chosen]
    closings = np.array([note.seconds for note, name in played if name in CHOKING], dtype=np.float64)
    last: dict[str, str] = {}
    for note, name in played:
        velocity = max(1, round(note.velocity * (PEDAL_VELOCITY if note.note == PEDAL_NOTE else 1.0)))
        hit = _draw_hit(kit.hits[name], velocity, last.get(name), rng)
        last[name] = hit.file
        close, distant = (recording(kit.folder / microphones / hit.file) for microphones in ("close", "room"))
        sound = close + np.float32(room) * distant
        if name in CHOKED:
            sound = _choked(sound, note.seconds, closings)
        _add(out, sound, note.seconds, gains.get(hit.drum_class, 1.0))
    return out


def _note(note: int) -> int:
    return GENERAL_MIDI.get(note, note)


def _draw_hit(hits: Sequence[RecordedHit], velocity: int, last: str | None, rng: np.random.Generator) -> RecordedHit:
    """Draw a hit of the nearest velocity layer, another one than the last if possible."""
    distances = [max(hit.low_velocity - velocity, velocity - hit.high_velocity, 0) for hit in hits]
    near = [hit for hit, distance in zip(hits, distances, strict=True) if distance == min(distances)]
    fresh = [hit for hit in near if hit.file != last] or near
    return fresh[int(rng.integers(len(fresh)))]


def _choked(sound: Stereo, seconds: float, closings: npt.NDArray[np.float64]) -> Stereo:
    """Fade out at the next closing of the hi-hat."""
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


def _add(out: Stereo, sound: Stereo, seconds: float, gain: float) -> None:
    start = round(seconds * SAMPLE_RATE)
    length = min(sound.shape[1], out.shape[1] - start)
    if length > 0:
        out[:, start : start + length] += np.float32(gain) * sound[:, :length]
