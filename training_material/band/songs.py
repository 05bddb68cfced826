"""Songs of a sampled band: arrangement and mix.

A drum performance is repeated for the length of the song. Bass, guitars and all other parts come from a MIDI song at
its tempo. Basses and guitars are played on recorded notes; a sound font plays the remaining parts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from training.augment.tone import OCTAVES_HZ, equalised
from training.data.stems import FULL_SCALE, write_stem
from training_material.band import kit as drums
from training_material.band import strings
from training_material.band.amplifier import amplified, bass_channel, compressed
from training_material.band.mixing import mixed, panned, with_room
from training_material.midi import BASS_PROGRAMS, DRUM_CHANNEL, VOICE_PROGRAMS, drum_notes, midi_files, read_midi
from training_material.render import Part, split, synthesised
from training_material.stem_writer import whole_song, write_songs

logger = logging.getLogger(__name__)

Stereo = npt.NDArray[np.float32]
GUITAR_PROGRAMS = frozenset(range(24, 32))
MUTED_PROGRAM = 28
DISTORTED_PROGRAMS = frozenset({29, 30})
TEMPO_LIMITS = (0.7, 1.45)
BEATS_PER_BAR = 4
MIDI_DRUMS_PROBABILITY = 0.25
"""Probability that the drums play the MIDI song's drum part instead of a performance."""

BORROWED_PART_PROBABILITY = 0.7
"""Probability that a guitar plays another instrument's part, in songs without guitars."""

DOUBLE_TRACK_PROBABILITY = 0.6
SEMITONES = 4


@dataclass(frozen=True)
class BandInstruments:
    """Instruments of a band.

    Attributes:
        kit: the recorded drum kit.
        performances: drum performances to choose from.
        basses: instruments for the bass part.
        guitars: instruments for guitar parts.
        sound_fonts: sound fonts for all other parts.
    """

    kit: drums.Kit
    performances: Sequence[drums.Performance]
    basses: Sequence[strings.Instrument]
    guitars: Sequence[strings.Instrument]
    sound_fonts: Sequence[Path]


def play_songs(
    band: BandInstruments, midi_folder: Path, collection: Path, *, seed: int, songs: range, max_seconds: float
) -> int:
    """Write ``collection/band-<number>`` for every number; existing songs are kept.

    A song depends only on the seed, its number and the input files. A song that fails does not stop the others.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: there is no MIDI file, or songs failed; the first ones are named.
    """
    files = midi_files(midi_folder)

    def write(folder: Path, number: int) -> None:
        play_song(band, files, folder, rng_key=(seed, number), max_seconds=max_seconds)

    return write_songs(collection, "band", songs, write)


def play_song(
    band: BandInstruments, files: Sequence[Path], folder: Path, *, rng_key: tuple[int, int], max_seconds: float
) -> None:
    """Write one song unless its folder exists; the folder is complete when it appears.

    Raises:
        MdxError: a file cannot be read, or fluidsynth fails.
    """
    if folder.is_dir():
        return
    rng = np.random.default_rng(rng_key)
    performance = band.performances[int(rng.integers(len(band.performances)))]
    path, song, tempo = _draw_song(performance.bpm, files, rng)
    seconds = min(max_seconds, song.length / tempo)
    with whole_song(folder) as (parts, scratch):
        score = Score(song, tempo, int(rng.integers(-SEMITONES, SEMITONES + 1)), seconds)
        stems = {
            "drums": _drums(band, performance, score, rng),
            "bass": _bass(band, score, rng),
            "other": _other(band, path, score, rng, scratch),
        }
        for source, wave in mixed({s: w for s, w in stems.items() if w.any()}, rng).items():
            write_stem(parts, source, np.rint(wave.T * (FULL_SCALE - 1)).astype(np.int16))
    logger.info("%s: %s with the drums of %s", folder.name, path.name, performance.path.name)


@dataclass(frozen=True)
class Score:
    """A MIDI song at a tempo factor, transposed and cut."""

    song: mido.MidiFile
    tempo: float
    semitones: int
    seconds: float

    def notes(self, parts: Sequence[Part]) -> list[strings.StringNote]:
        """Return the notes of some parts."""
        keep: dict[int, frozenset[int]] = {}
        for channel, program in parts:
            keep[channel] = keep.get(channel, frozenset()) | {program}
        return strings.notes_of(self.song, keep, tempo=self.tempo, semitones=self.semitones, max_seconds=self.seconds)


def parts_of(song: mido.MidiFile) -> Counter[Part]:
    """Count the notes of every part but drums."""
    programs, found = [0] * 16, Counter[Part]()
    for message in mido.merge_tracks(song.tracks):
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0 and message.channel != DRUM_CHANNEL:
            found[message.channel, programs[message.channel]] += 1
    return found


def bpm_of(song: mido.MidiFile) -> float | None:
    """Return the beats per minute of a song; None if its tempo changes."""
    tempi = {message.tempo for track in song.tracks for message in track if message.type == "set_tempo"}
    return None if len(tempi) > 1 else float(mido.tempo2bpm(tempi.pop() if tempi else 500_000))


def _draw_song(bpm: float, files: Sequence[Path], rng: np.random.Generator) -> tuple[Path, mido.MidiFile, float]:
    """Draw a MIDI song that can be played at a tempo, half or double; returns its path, itself and the tempo factor."""
    for index in rng.permutation(len(files)):
        song = read_midi(files[index])
        own = bpm_of(song)
        if own is None or not parts_of(song):
            continue
        tempo = min((bpm / own * factor for factor in (0.5, 1.0, 2.0)), key=lambda ratio: abs(np.log(ratio)))
        if TEMPO_LIMITS[0] <= tempo <= TEMPO_LIMITS[1]:
            return files[index], song, float(tempo)
    raise InputError(f"no MIDI song can be played at {bpm:.0f} beats a minute", where=files[0].parent)


def _drums(band: BandInstruments, performance: drums.Performance, score: Score, rng: np.random.Generator) -> Stereo:
    own = drum_notes(score.song, max_seconds=score.seconds, tempo=score.tempo)
    if rng.random() < MIDI_DRUMS_PROBABILITY and len(own) > score.seconds:
        notes = own
    else:
        bar = BEATS_PER_BAR * 60.0 / performance.bpm
        once = drum_notes(read_midi(performance.path), max_seconds=performance.seconds)
        period = max(1, round(performance.seconds / bar)) * bar
        notes = drums.repeated(once, period, score.seconds)
    wave = drums.play(band.kit, notes, rng, seconds=score.seconds, room=float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.6:
        squeezed = compressed(wave, threshold_db=float(rng.uniform(-6.0, 2.0)), ratio=float(rng.uniform(2.0, 6.0)))
        wave = np.asarray(wave + float(rng.uniform(0.3, 1.5)) * squeezed, dtype=np.float32)
    return equalised(wave, rng.normal(0.0, 2.0, len(OCTAVES_HZ)))


def _bass(band: BandInstruments, score: Score, rng: np.random.Generator) -> Stereo:
    parts = [part for part in parts_of(score.song) if part[1] in BASS_PROGRAMS]
    notes = strings.monophonic(score.notes(parts))
    instrument = band.basses[int(rng.integers(len(band.basses)))]
    mono = strings.play(instrument, strings.in_range(notes, instrument), rng, seconds=score.seconds)
    return np.repeat(bass_channel(mono, rng)[None], 2, axis=0)


def _other(band: BandInstruments, path: Path, score: Score, rng: np.random.Generator, scratch: Path) -> Stereo:
    """Return guitars plus the parts played by a sound font."""
    parts = parts_of(score.song)
    for_guitar = [part for part in sorted(parts) if part[1] in GUITAR_PROGRAMS]
    rest = [part for part in parts if part[1] not in GUITAR_PROGRAMS | BASS_PROGRAMS | VOICE_PROGRAMS]
    if not for_guitar and rest and rng.random() < BORROWED_PART_PROBABILITY:
        for_guitar = [max(rest, key=lambda part: (parts[part], part))]
    out = np.zeros((2, int(score.seconds * SAMPLE_RATE)), dtype=np.float32)
    for part in for_guitar:
        wave = _guitar(band.guitars, part, score, rng)
        out += wave * np.float32(10.0 ** (rng.normal(0.0, 3.0) / 20.0))
    if set(rest) - set(for_guitar):
        font = band.sound_fonts[int(rng.integers(len(band.sound_fonts)))]
        part = split(score.song, "other", semitones=score.semitones, tempo=score.tempo, skipped=for_guitar)
        pcm = synthesised(part, font, scratch, max_seconds=score.seconds, where=path)
        wave = pcm[: out.shape[1]].T.astype(np.float32) / np.float32(FULL_SCALE)
        level = np.sqrt(np.mean(wave * wave)) + 1e-9
        guitar_level = np.sqrt(np.mean(out * out)) or np.float32(0.1)
        out[:, : wave.shape[1]] += wave * np.float32(guitar_level / level * 10.0 ** (rng.normal(-1.0, 4.0) / 20.0))
    return out


def _guitar(guitars: Sequence[strings.Instrument], part: Part, score: Score, rng: np.random.Generator) -> Stereo:
    """Play a part once near the centre, or twice left and right."""
    is_distorted = part[1] in DISTORTED_PROGRAMS or (part[1] not in GUITAR_PROGRAMS and rng.random() < 0.4)
    drive_db = float(rng.uniform(12.0, 36.0) if is_distorted else rng.uniform(-14.0, 8.0))
    articulation = "staccato" if part[1] == MUTED_PROGRAM else "sustain"
    matching = [guitar for guitar in guitars if guitar.articulation == articulation] or list(guitars)
    notes = score.notes([part])
    is_double = rng.random() < (DOUBLE_TRACK_PROBABILITY if is_distorted else 0.2)
    side = float(np.clip(abs(rng.normal(0.7, 0.2)), 0.2, 1.0)) if is_double else float(rng.normal(0.0, 0.35))
    tone = int(rng.integers(2**31))
    out = np.zeros((2, int(score.seconds * SAMPLE_RATE)), dtype=np.float32)
    for position in (-side, side) if is_double else (side,):
        guitar = matching[int(rng.integers(len(matching)))]
        mono = strings.play(guitar, strings.in_range(notes, guitar), rng, seconds=score.seconds)
        out += panned(amplified(mono, drive_db, np.random.default_rng(tone)), position)
    return with_room(out, rng)
