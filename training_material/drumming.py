"""Plays the drums of MIDI songs with recorded one-shots, and repeats recorded drum loops.

A General MIDI sound font has few drum kits. Here every song draws a kit of its own: for each piece one of the
recordings that are named for it, at another tuning, level and place; every stroke differs a little in time and level.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from terminal.names import system_name
from training.data.stems import FULL_SCALE, SPOOL_SUFFIX, write_stem
from training_material.render import DRUM_CHANNEL, TEMPO_RANGE, read_midi
from training_material.singing import in_a_room

logger = logging.getLogger(__name__)

PIECES: Mapping[str, tuple[str, ...]] = {
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
"""SubgraphEngine of a kit to patterns of the recordings' names; the names are those of Sonic Pi's samples."""

NOTES: Mapping[str, tuple[int, ...]] = {
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
"""Notes of channel 10 that each piece plays; all others are left out."""

MAX_SEMITONES = 3.0
LOOP_SEMITONES = 2.0
STROKE_JITTER_SECONDS = 0.003
STROKE_JITTER_DB = 1.0
PEAK = 0.7
FEWEST_STROKES = 24
"""A song with fewer is passed over."""

Mono = npt.NDArray[np.float64]
Stereo = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stroke:
    """One stroke: when, on which piece, how hard (0 to 1)."""

    seconds: float
    piece: str
    velocity: float


def strokes(song: mido.MidiFile, *, tempo: float, max_seconds: float) -> list[Stroke]:
    """The strokes of channel 10, ``tempo`` times as fast, up to ``max_seconds``."""
    piece_of = {note: piece for piece, notes in NOTES.items() for note in notes}
    found, now = [], 0.0
    for message in song:
        now += message.time / tempo
        if now >= max_seconds:
            break
        is_stroke = message.type == "note_on" and message.channel == DRUM_CHANNEL and message.velocity > 0
        if is_stroke and message.note in piece_of:
            found.append(Stroke(now, piece_of[message.note], message.velocity / 127.0))
    return found


def draw_kit(recordings: Mapping[str, Sequence[Path]], rng: np.random.Generator) -> dict[str, Stereo]:
    """For every piece one recording ``(2, samples)``, at a tuning, level and place of its own."""
    kit = {}
    for piece, choices in recordings.items():
        mono = tuned(_read(choices[int(rng.integers(len(choices)))]).mean(axis=0), rng.normal(0.0, MAX_SEMITONES / 2))
        level = 10.0 ** (rng.normal(0.0, 3.0) / 20.0) / max(1e-6, float(np.abs(mono).max()))
        right = 0.5 if piece in {"kick", "snare"} else float(np.clip(rng.normal(0.5, 0.15), 0.1, 0.9))
        kit[piece] = np.stack((mono * np.sqrt(1.0 - right), mono * np.sqrt(right))) * level
    return kit


def tuned(mono: Mono, semitones: float) -> Mono:
    """A recording played faster, and so higher, by so many semitones (at most three, up or down)."""
    ratio = 2.0 ** (float(np.clip(semitones, -MAX_SEMITONES, MAX_SEMITONES)) / 12.0)
    return np.asarray(soxr.resample(mono, SAMPLE_RATE * ratio, SAMPLE_RATE))


def play(line: Sequence[Stroke], kit: Mapping[str, Stereo], rng: np.random.Generator, *, seconds: float) -> Stereo:
    """``(2, samples)`` of a kit playing the strokes."""
    out = np.zeros((2, int(seconds * SAMPLE_RATE)))
    for stroke in line:
        sound = kit.get(stroke.piece)
        start = round(max(0.0, stroke.seconds + rng.normal(0.0, STROKE_JITTER_SECONDS)) * SAMPLE_RATE)
        if sound is None or start >= out.shape[1]:
            continue
        gain = stroke.velocity**1.5 * 10.0 ** (rng.normal(0.0, STROKE_JITTER_DB) / 20.0)
        length = min(sound.shape[1], out.shape[1] - start)
        out[:, start : start + length] += gain * sound[:, :length]
    return out


def drum_folder(
    one_shots: Path, midi_folder: Path, loops: Sequence[Path], collection: Path, *, seed: int, max_seconds: float
) -> int:
    """Writes a song of drums alone for every MIDI file with drums and for every loop; songs that are there are kept.

    Args:
        one_shots: folder of recordings named as in ``PIECES``.
        midi_folder: of ``.mid`` files.
        loops: recordings that are repeated.
        collection: folder of the songs written.
        seed: of kits, tempi and strokes.
        max_seconds: of each song.

    Returns:
        Songs that are there now.

    Raises:
        InputError: there is no MIDI file, no recording of kick or snare, or a recording cannot be read.
    """
    songs = sorted(midi_folder.glob("*.mid"))
    if not songs:
        raise InputError("holds no .mid file", where=midi_folder, hint="name a folder of MIDI files")
    recordings = _recordings(one_shots)
    n_written = 0
    for index, path in enumerate(songs):
        rng = np.random.default_rng([seed, index])
        folder = collection / f"drums-{path.stem}"
        n_written += _is_there(folder) or _drum_song(folder, path, recordings, rng, max_seconds)
    for index, path in enumerate(loops):
        rng = np.random.default_rng([seed, len(songs) + index])
        folder = collection / f"loop-{path.stem}"
        n_written += _is_there(folder) or _loop_song(folder, path, rng, max_seconds)
    return n_written


def _recordings(folder: Path) -> dict[str, list[Path]]:
    found = {
        piece: sorted({path for pattern in patterns for path in folder.glob(f"{pattern}.flac")})
        for piece, patterns in PIECES.items()
    }
    if not found["kick"] or not found["snare"]:
        hint = "name a folder of one-shots such as bd_haus.flac and sn_dub.flac"
        raise InputError("holds no recording of a kick or of a snare", where=folder, hint=hint)
    return {piece: paths for piece, paths in found.items() if paths}


def _drum_song(
    folder: Path, midi: Path, recordings: Mapping[str, Sequence[Path]], rng: np.random.Generator, max_seconds: float
) -> bool:
    line = strokes(read_midi(midi), tempo=float(rng.uniform(*TEMPO_RANGE)), max_seconds=max_seconds)
    if len(line) < FEWEST_STROKES:
        logger.info("%s has too few strokes", midi.stem)
        return False
    seconds = min(max_seconds, line[-1].seconds + 2.0)
    dry = play(line, draw_kit(recordings, rng), rng, seconds=seconds)
    room = in_a_room(dry.mean(axis=0), rng) - dry.mean(axis=0)
    return _write(folder, dry + room * rng.uniform(0.0, 0.6))


def _loop_song(folder: Path, recording: Path, rng: np.random.Generator, max_seconds: float) -> bool:
    semitones = rng.uniform(-LOOP_SEMITONES, LOOP_SEMITONES)
    once = np.stack([tuned(channel, semitones) for channel in _read(recording)])
    n_times = int(np.ceil(max_seconds * SAMPLE_RATE / once.shape[1]))
    return _write(folder, np.tile(once, n_times)[:, : int(max_seconds * SAMPLE_RATE)])


def _is_there(folder: Path) -> bool:
    return (folder / f"drums{SPOOL_SUFFIX}").is_file()


def _write(folder: Path, drums: Stereo) -> bool:
    scaled = drums * (PEAK / max(1e-9, float(np.abs(drums).max())))
    logger.info("%s", folder.name)
    return write_stem(folder, "drums", (scaled.T * (FULL_SCALE - 1)).astype(np.int16))


def _read(path: Path) -> Stereo:
    """``(2, samples)`` at 44.1 kHz."""
    try:
        wave, rate = soundfile.read(system_name(path), always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"cannot be read ({error})", where=path, hint="name another recording") from error
    if rate != SAMPLE_RATE:
        wave = soxr.resample(wave, rate, SAMPLE_RATE)
    return np.asarray(np.broadcast_to(wave.T, (2, len(wave))) if wave.shape[1] == 1 else wave.T[:2])
