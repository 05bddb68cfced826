"""Drum stems: the drum parts of MIDI songs played on recorded one-shots, and repeated recorded loops.

A General MIDI sound font has few drum kits. Here every song draws its own kit: one recording per drum, with a random
tuning, level and position. Every note deviates a little in time and level.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soxr

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training.data.stems import FULL_SCALE, Pcm
from training_material.midi import TEMPO_RANGE, DrumNote, drum_notes, midi_files, read_midi
from training_material.recordings import Mono, Stereo, read_stereo
from training_material.singing import with_reverb
from training_material.stem_writer import write_missing

logger = logging.getLogger(__name__)

FILE_PATTERNS: Mapping[str, tuple[str, ...]] = {
    "kick": ("bd_*", "drum_bass_*", "drum_heavy_kick", "elec_*_kick"),
    "snare": ("sn_*", "drum_snare_*", "elec_*snare"),
    "rim": ("perc_snap*", "elec_wood", "elec_pop"),
    "closed": ("hat_*", "drum_cymbal_closed"),
    "pedal": ("drum_cymbal_pedal", "hat_*"),
    "open": ("drum_cymbal_open", "hat_metal"),
    "low tom": ("drum_tom_lo_*", "elec_fuzz_tom"),
    "mid tom": ("drum_tom_mid_*",),
    "high tom": ("drum_tom_hi_*",),
    "crash": ("drum_cymbal_hard", "drum_splash_hard"),
    "splash": ("drum_splash_*",),
    "ride": ("ride_*", "drum_cymbal_soft"),
    "bell": ("drum_cowbell", "perc_bell*", "elec_bell"),
}
"""File name patterns of the one-shots of each drum, as Sonic Pi names its samples."""

MIDI_NOTES: Mapping[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (37, 39),
    "closed": (42, 54, 69, 70),
    "pedal": (44,),
    "open": (46,),
    "low tom": (41, 43),
    "mid tom": (45, 47),
    "high tom": (48, 50, 60, 61, 62, 63, 64),
    "crash": (49, 52, 57),
    "splash": (55,),
    "ride": (51, 53, 59),
    "bell": (56, 67, 68),
}
"""General MIDI percussion notes played on each drum; other notes are left out."""

DRUM_OF_NOTE = {note: drum for drum, notes in MIDI_NOTES.items() for note in notes}

MAX_SEMITONES = 3.0
LOOP_SEMITONES = 2.0
TIMING_DEVIATION_SECONDS = 0.003
LEVEL_DEVIATION_DB = 1.0
PEAK = 0.7
MIN_NOTES = 24
"""Songs with fewer drum notes are skipped."""


def playable_notes(notes: Sequence[DrumNote]) -> list[DrumNote]:
    """Return the notes that belong to one of the drums."""
    return [note for note in notes if note.note in DRUM_OF_NOTE]


def draw_kit(recordings: Mapping[str, Sequence[Path]], rng: np.random.Generator) -> dict[str, Stereo]:
    """Draw one recording ``(2, samples)`` per drum, with a random tuning, level and position."""
    kit = {}
    for drum, choices in recordings.items():
        recording = read_stereo(choices[int(rng.integers(len(choices)))]).mean(axis=0)
        mono = tuned(recording, rng.normal(0.0, MAX_SEMITONES / 2))
        level = 10.0 ** (rng.normal(0.0, 3.0) / 20.0) / max(1e-6, float(np.abs(mono).max()))
        right = 0.5 if drum in {"kick", "snare"} else float(np.clip(rng.normal(0.5, 0.15), 0.1, 0.9))
        kit[drum] = np.stack((mono * np.sqrt(1.0 - right), mono * np.sqrt(right))) * level
    return kit


def tuned(mono: Mono, semitones: float) -> Mono:
    """Shift a recording by at most three semitones, by playing it faster or slower."""
    ratio = 2.0 ** (float(np.clip(semitones, -MAX_SEMITONES, MAX_SEMITONES)) / 12.0)
    return np.asarray(soxr.resample(mono, SAMPLE_RATE * ratio, SAMPLE_RATE))


def play(
    notes: Sequence[DrumNote],
    kit: Mapping[str, Stereo],
    rng: np.random.Generator,
    *,
    seconds: float,
    timing_seconds: float = TIMING_DEVIATION_SECONDS,
) -> Stereo:
    """Play notes on a kit, each at most a few ``timing_seconds`` early or late; returns ``(2, samples)``."""
    out = np.zeros((2, int(seconds * SAMPLE_RATE)))
    for note in notes:
        sound = kit.get(DRUM_OF_NOTE[note.note])
        start = round(max(0.0, note.seconds + rng.normal(0.0, timing_seconds)) * SAMPLE_RATE)
        if sound is None or start >= out.shape[1]:
            continue
        gain = (note.velocity / 127.0) ** 1.5 * 10.0 ** (rng.normal(0.0, LEVEL_DEVIATION_DB) / 20.0)
        length = min(sound.shape[1], out.shape[1] - start)
        out[:, start : start + length] += gain * sound[:, :length]
    return out


def drum_folder(
    one_shots: Path, midi_folder: Path, loops: Sequence[Path], collection: Path, *, seed: int, max_seconds: float
) -> int:
    """Write one song of drums per MIDI file with drums and per loop; existing songs are kept.

    Args:
        one_shots: folder of recordings named as in :data:`FILE_PATTERNS`.
        midi_folder: folder of ``.mid`` files.
        loops: recordings to repeat.
        collection: output folder.
        seed: seed of kits, tempi and deviations.
        max_seconds: length limit per song.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: there is no MIDI file, no recording of a kick or snare, or a recording cannot be read.
    """
    songs, recordings = midi_files(midi_folder), _recordings(one_shots)
    n_songs = 0
    for index, path in enumerate(songs):
        make = partial(_drum_part, path, recordings, np.random.default_rng([seed, index]), max_seconds)
        n_songs += write_missing(collection / f"drums-{path.stem}", "drums", make)
    for index, path in enumerate(loops, start=len(songs)):
        make_loop = partial(_loop, path, np.random.default_rng([seed, index]), max_seconds)
        n_songs += write_missing(collection / f"loop-{path.stem}", "drums", make_loop)
    return n_songs


def _recordings(folder: Path) -> dict[str, list[Path]]:
    found = {
        drum: sorted({path for pattern in patterns for path in folder.glob(f"{pattern}.flac")})
        for drum, patterns in FILE_PATTERNS.items()
    }
    if not found["kick"] or not found["snare"]:
        hint = "name a folder of one-shots such as bd_haus.flac and sn_dub.flac"
        raise InputError("contains no recording of a kick or of a snare", where=folder, hint=hint)
    return {drum: paths for drum, paths in found.items() if paths}


def _drum_part(
    midi: Path, recordings: Mapping[str, Sequence[Path]], rng: np.random.Generator, max_seconds: float
) -> Pcm | None:
    tempo = float(rng.uniform(*TEMPO_RANGE))
    notes = playable_notes(drum_notes(read_midi(midi), tempo=tempo, max_seconds=max_seconds))
    if len(notes) < MIN_NOTES:
        logger.info("%s has only %d drum notes and is skipped", midi.stem, len(notes))
        return None
    dry = play(notes, draw_kit(recordings, rng), rng, seconds=min(max_seconds, notes[-1].seconds + 2.0))
    reverb = with_reverb(dry.mean(axis=0), rng) - dry.mean(axis=0)
    return _as_pcm(dry + reverb * rng.uniform(0.0, 0.6))


def _loop(recording: Path, rng: np.random.Generator, max_seconds: float) -> Pcm:
    semitones = rng.uniform(-LOOP_SEMITONES, LOOP_SEMITONES)
    once = np.stack([tuned(channel, semitones) for channel in read_stereo(recording)])
    n_times = int(np.ceil(max_seconds * SAMPLE_RATE / once.shape[1]))
    return _as_pcm(np.tile(once, n_times)[:, : int(max_seconds * SAMPLE_RATE)])


def _as_pcm(drums: Stereo) -> Pcm:
    scaled = drums * (PEAK / max(1e-9, float(np.abs(drums).max())))
    return np.asarray((scaled.T * (FULL_SCALE - 1)).astype(np.int16))
