"""Electronic songs: MIDI parts arranged for synthesisers, and mixed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training.augment.room import Room
from training.data.stems import FULL_SCALE, write_stem
from training_material import drumming
from training_material.band.amplifier import compressed
from training_material.band.mixing import mixed
from training_material.band.songs import Score, bpm_of, parts_of
from training_material.band.strings import StringNote
from training_material.midi import (
    BASS_PROGRAMS,
    TEMPO_RANGE,
    VOICE_PROGRAMS,
    DrumNote,
    drum_notes,
    midi_files,
    read_midi,
)
from training_material.render import Part
from training_material.stem_writer import whole_song, write_songs
from training_material.synthesiser import basses, electronic_kit, layers
from training_material.synthesiser.lines import Grid, bass_line
from training_material.synthesiser.signal_chain import Wave, ducking

logger = logging.getLogger(__name__)

BALANCE_DB: Mapping[str, tuple[float, float]] = {"drums": (0.0, 2.5), "bass": (0.5, 4.0), "other": (-1.5, 3.0)}
"""Mean and standard deviation of each stem's level in its non-silent parts."""

EFFECT_PROGRAMS = frozenset(range(112, 128))
"""Percussion and sound effects, which have no pitch."""

SEMITONES = 6
MIN_NOTES = 8
"""A part with fewer notes in the window is left out."""

USUAL_BEAT = 0.5
BEATS_PER_BAR = 4
MAX_LAYERS = 4
OWN_BEAT_PROBABILITY = 0.4
"""Probability of a beat with kicks on every quarter instead of the MIDI song's drums."""

NO_DRUMS_PROBABILITY = 0.08


@dataclass(frozen=True)
class Arrangement:
    """A window of a MIDI song: its parts, beats and length."""

    name: str
    seconds: float
    grid: Grid
    bass: Sequence[StringNote]
    others: Sequence[Sequence[StringNote]]
    drums: Sequence[DrumNote]

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return int(self.seconds * SAMPLE_RATE)


def synthesise_songs(
    midi_folders: Sequence[Path], collection: Path, *, seed: int, songs: range, max_seconds: float
) -> int:
    """Write ``collection/synth-<number>`` for every number; existing songs are kept.

    A song depends only on the seed, its number and the MIDI files. A song that fails does not stop the others.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: there is no MIDI file, or songs failed; the first ones are named.
    """
    files = [path for folder in midi_folders for path in midi_files(folder)]

    def write(folder: Path, number: int) -> None:
        synthesise_song(files, folder, rng_key=(seed, number), max_seconds=max_seconds)

    return write_songs(collection, "synth", songs, write)


def synthesise_song(files: Sequence[Path], folder: Path, *, rng_key: tuple[int, int], max_seconds: float) -> None:
    """Write one song unless its folder exists; the folder is complete when it appears.

    Raises:
        MdxError: a file cannot be read, or no file has a part for a bass.
    """
    if folder.is_dir():
        return
    rng = np.random.default_rng(rng_key)
    song = draw_arrangement(files, rng, max_seconds=max_seconds)
    drums = _drum_notes(song, rng)
    kicks = electronic_kit.kick_onsets(drums)
    patch = basses.draw_patch(rng)
    if patch.kind == "wobble":
        patch = replace(patch, wobble_hertz=float(rng.choice([0.5, 1.0, 1.5, 2.0, 3.0, 4.0])) / song.grid.beat)
    line = bass_line(song.bass, song.grid, kicks, rng, seconds=song.seconds)
    stems = {
        "drums": _drums(drums, rng, seconds=song.seconds),
        "bass": basses.bass_stem(patch, line, kicks, rng, n_samples=song.n_samples),
        "other": _other(song, kicks, rng),
    }
    sounding = {source: wave for source, wave in stems.items() if wave.any()}
    with whole_song(folder) as (parts, _):
        for source, wave in mixed(sounding, rng, balance_db=BALANCE_DB).items():
            write_stem(parts, source, np.rint(wave.T * (FULL_SCALE - 1)).astype(np.int16))
    logger.info("%s: %s with the bass %s", folder.name, song.name, patch.kind)


def draw_arrangement(files: Sequence[Path], rng: np.random.Generator, *, max_seconds: float) -> Arrangement:
    """Draw a MIDI song with a bass and other parts, its tempo, key and a window of it.

    Raises:
        InputError: no file has enough notes.
    """
    for index in rng.permutation(len(files)):
        song = read_midi(files[index])
        parts = parts_of(song)
        tempo, semitones = float(rng.uniform(*TEMPO_RANGE)), int(rng.integers(-SEMITONES, SEMITONES + 1))
        score = Score(song, tempo, semitones, song.length / tempo)
        bpm = bpm_of(song)
        beat = USUAL_BEAT if bpm is None else 60.0 / bpm / tempo
        bar = BEATS_PER_BAR * beat
        start = float(rng.integers(0, 1 + max(0, int((score.seconds - max_seconds) / bar)))) * bar
        seconds = min(max_seconds, score.seconds - start)
        played = {
            part: _window(score.notes([part]), start, seconds)
            for part, n_notes in sorted(parts.items())
            if n_notes >= MIN_NOTES and part[1] not in VOICE_PROGRAMS | EFFECT_PROGRAMS
        }
        played = {part: notes for part, notes in played.items() if len(notes) >= MIN_NOTES}
        chosen = _bass_part(played)
        if chosen is None:
            continue
        others = [notes for part, notes in played.items() if part != chosen and part[1] not in BASS_PROGRAMS]
        drums = [
            replace(note, seconds=note.seconds - start)
            for note in drum_notes(song, tempo=tempo, max_seconds=start + seconds)
            if note.seconds >= start
        ]
        grid = Grid(beat if 0.25 < beat < 1.0 else USUAL_BEAT)
        return Arrangement(files[index].name, seconds, grid, played[chosen], others or [played[chosen]], drums)
    hint = f"name folders of songs with at least {MIN_NOTES} notes in a part"
    raise InputError("no MIDI song has a part for the bass", where=files[0].parent, hint=hint)


def _window(notes: Sequence[StringNote], start: float, seconds: float) -> list[StringNote]:
    """Return the notes that begin in a window, at times relative to it, cut at its end."""
    return [
        replace(note, seconds=note.seconds - start, end=min(note.end - start, seconds))
        for note in notes
        if start <= note.seconds < start + seconds
    ]


def _bass_part(played: Mapping[Part, Sequence[StringNote]]) -> Part | None:
    """Return the longest part of a bass program, else the lowest part; None without parts."""
    of_bass = [part for part in played if part[1] in BASS_PROGRAMS]
    if of_bass:
        return max(of_bass, key=lambda part: len(played[part]))
    return min(played, key=lambda part: float(np.median([note.pitch for note in played[part]])), default=None)


def _drum_notes(song: Arrangement, rng: np.random.Generator) -> list[DrumNote]:
    if rng.random() < NO_DRUMS_PROBABILITY:
        return []
    own = drumming.playable_notes(song.drums)
    if len(own) < drumming.MIN_NOTES or rng.random() < OWN_BEAT_PROBABILITY:
        return electronic_kit.four_to_the_floor(song.grid.beat, song.grid.first, rng, seconds=song.seconds)
    return own


def _drums(notes: Sequence[DrumNote], rng: np.random.Generator, *, seconds: float) -> Wave:
    dry = drumming.play(notes, electronic_kit.draw_kit(rng), rng, seconds=seconds, timing_seconds=0.0)
    wave = np.asarray(dry, dtype=np.float32)
    if rng.random() < 0.5:
        room = Room(probability=1.0, shortest_seconds=0.1, longest_seconds=0.8, quietest_db=-28.0, loudest_db=-14.0)
        wave = np.asarray(room.apply(wave, rng), dtype=np.float32)
    if wave.any() and rng.random() < 0.6:
        wave = compressed(wave, threshold_db=float(rng.uniform(-4.0, 2.0)), ratio=float(rng.uniform(2.0, 5.0)))
    return wave


def _other(song: Arrangement, kicks: Sequence[float], rng: np.random.Generator) -> Wave:
    """Return two to four layers, in a room."""
    n_layers = int(rng.integers(2, MAX_LAYERS + 1))
    order = rng.permutation(len(song.others))
    total = np.zeros((2, song.n_samples), dtype=np.float32)
    for number in range(n_layers):
        notes = song.others[order[number % len(order)]]
        wave = layers.layer(layers.draw_patch(rng), notes, song.grid, rng, n_samples=song.n_samples)
        if wave is not None:
            total += wave
    room = Room(probability=1.0, shortest_seconds=0.3, longest_seconds=2.5, quietest_db=-24.0, loudest_db=-7.0)
    wet = np.asarray(room.apply(total, rng), dtype=np.float32)
    if rng.random() < 0.3:
        depth, seconds = float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.1, 0.35))
        wet = wet * ducking(kicks, song.n_samples, depth=depth, seconds=seconds)
    return wet
