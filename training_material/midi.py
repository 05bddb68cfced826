"""General MIDI songs: files, drum notes and channels by program."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import mido

from my_submission.errors import InputError

DRUM_CHANNEL = 9
"""MIDI channel 10, counted from 0."""

BASS_PROGRAMS = frozenset({*range(32, 40), 43})
"""Electric, acoustic and bowed basses."""

VOICE_PROGRAMS = frozenset({52, 53, 54, 85, 91})
"""Choirs and voices; they are left out, because a listener would call them vocals."""

TEMPO_RANGE = (0.85, 1.2)
"""Range of the random tempo factor per song."""


@dataclass(frozen=True)
class DrumNote:
    """One drum note: onset in seconds, MIDI note number, velocity from 1 to 127."""

    seconds: float
    note: int
    velocity: int


def midi_files(folder: Path, suffixes: Collection[str] = (".mid",)) -> list[Path]:
    """Return the MIDI files of a folder, sorted by name.

    Raises:
        InputError: the folder contains no MIDI file.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in suffixes)
    if not files:
        raise InputError("contains no .mid file", where=folder, hint="name a folder of MIDI files")
    return files


def read_midi(path: Path) -> mido.MidiFile:
    """Read a MIDI file; data bytes out of range are clipped.

    Raises:
        InputError: the file is damaged or is not MIDI.
    """
    try:
        return mido.MidiFile(path, clip=True)
    except (OSError, EOFError, ValueError, IndexError, KeyError) as error:  # mido raises all of these for damaged files
        raise InputError(
            f"is not a readable MIDI file ({error})", where=path, hint="remove it from the folder"
        ) from error


def drum_notes(song: mido.MidiFile, *, max_seconds: float, tempo: float = 1.0) -> list[DrumNote]:
    """Return the notes of the drum channel, played ``tempo`` times as fast, up to ``max_seconds``."""
    found, now = [], 0.0
    for message in song:
        now += message.time / tempo
        if now >= max_seconds:
            break
        if message.type == "note_on" and message.channel == DRUM_CHANNEL and message.velocity > 0:
            found.append(DrumNote(now, message.note, message.velocity))
    return found
