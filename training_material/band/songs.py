"""Songs of a band: who plays what, and how it is mixed.

Bass, guitars and everything else come from MIDI songs at the tempo of a drum performance, which is repeated as long as
the song lasts. Notes of basses and guitars are played on recordings; what remains is left to a sound font.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from training.augment.tone import OCTAVES_HZ, equalised
from training.data.stems import FULL_SCALE, write_stem
from training_material.band import kit as drums
from training_material.band import strings
from training_material.band.amplifier import amplified, bass_channel, compressed
from training_material.band.mixing import mixed, placed, roomy
from training_material.render import (
    BASS_PROGRAMS,
    DRUM_CHANNEL,
    SUNG_PROGRAMS,
    Rendering,
    read_midi,
    split,
    synthesised,
)

logger = logging.getLogger(__name__)

Stereo = npt.NDArray[np.float32]
Part = tuple[int, int]
"""Channel and program."""

GUITAR_PROGRAMS = frozenset(range(24, 32))
MUTED_PROGRAM = 28
DISTORTED_PROGRAMS = frozenset({29, 30})
TEMPO_LIMITS = (0.7, 1.45)
BEATS_A_BAR = 4
OWN_DRUMS = 0.25
"""Share of songs whose drums play the MIDI song's own part instead of a performance."""

BORROWED_PART = 0.7
"""Share of songs without guitars in which a guitar plays another instrument's part."""

DOUBLE_TRACKED = 0.6
SEMITONES = 4


@dataclass(frozen=True)
class BandInstruments:
    """What a band plays with.

    Attributes:
        kit: of recorded drums.
        performances: of drummers.
        basses: instruments for bass.
        guitars: instruments for guitar parts.
        sound_fonts: for all other parts.
    """

    kit: drums.Kit
    performances: Sequence[drums.Performance]
    basses: Sequence[strings.Instrument]
    guitars: Sequence[strings.Instrument]
    sound_fonts: Sequence[Path]


def play_songs(
    band: BandInstruments, midi_folder: Path, collection: Path, *, seed: int, songs: range, max_seconds: float
) -> int:
    """Writes ``collection/band-<number>`` for every number; songs that are there already are kept.

    The song of a number depends on the seed, the number and the material alone. A song that fails does not stop the
    others.

    Returns:
        Songs that are there now.

    Raises:
        InputError: there is no MIDI file, or songs failed; the first are named.
    """
    files = sorted(midi_folder.glob("*.mid"))
    if not files:
        raise InputError("holds no .mid file", where=midi_folder, hint="name a folder of MIDI files")
    failures = []
    for number in songs:
        try:
            play_song(band, files, collection / f"band-{number:04d}", rng_key=(seed, number), max_seconds=max_seconds)
        except MdxError as error:
            logger.warning("band-%04d: %s", number, error)
            failures.append(str(error))
    if failures:
        raise InputError(f"{len(failures)} of {len(songs)} songs failed: {'; '.join(failures[:5])}", where=collection)
    return len(songs)


def play_song(
    band: BandInstruments, files: Sequence[Path], folder: Path, *, rng_key: tuple[int, int], max_seconds: float
) -> None:
    """Writes one song, in one step, unless its folder is there.

    Raises:
        MdxError: a file cannot be read, or the sound font's program fails.
    """
    if folder.is_dir():
        return
    rng = np.random.default_rng(rng_key)
    performance = band.performances[int(rng.integers(len(band.performances)))]
    path, song, tempo = _song_at(performance.bpm, files, rng)
    seconds = min(max_seconds, song.length / tempo)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".band-", dir=folder.parent) as scratch:
        score = Score(song, tempo, int(rng.integers(-SEMITONES, SEMITONES + 1)), seconds)
        stems = {
            "drums": _drums(band, performance, score, rng),
            "bass": _bass(band, score, rng),
            "other": _other(band, path, score, rng, Path(scratch)),
        }
        parts = Path(scratch) / "song"
        for source, wave in mixed({s: w for s, w in stems.items() if w.any()}, rng).items():
            write_stem(parts, source, np.rint(wave.T * (FULL_SCALE - 1)).astype(np.int16))
        os.replace(parts, folder)
    logger.info("%s: %s to the drums of %s", folder.name, path.name, performance.path.name)


@dataclass(frozen=True)
class Score:
    """A MIDI song as it is played: faster, transposed, cut."""

    song: mido.MidiFile
    tempo: float
    semitones: int
    seconds: float

    def notes(self, parts: Sequence[Part]) -> list[strings.StringNote]:
        """Of the parts named."""
        keep: dict[int, frozenset[int]] = {}
        for channel, program in parts:
            keep[channel] = keep.get(channel, frozenset()) | {program}
        return strings.notes_of(self.song, keep, tempo=self.tempo, semitones=self.semitones, max_seconds=self.seconds)

    def parts(self) -> Counter[Part]:
        """Notes of every part but drums."""
        return parts_of(self.song)


def parts_of(song: mido.MidiFile) -> Counter[Part]:
    """Notes of every channel and program but the drums'."""
    programs, found = [0] * 16, Counter[Part]()
    for message in mido.merge_tracks(song.tracks):
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0 and message.channel != DRUM_CHANNEL:
            found[message.channel, programs[message.channel]] += 1
    return found


def bpm_of(song: mido.MidiFile) -> float | None:
    """Beats a minute of a song that has one tempo; None where it has several."""
    tempi = {message.tempo for track in song.tracks for message in track if message.type == "set_tempo"}
    return None if len(tempi) > 1 else float(mido.tempo2bpm(tempi.pop() if tempi else 500_000))


def _song_at(bpm: float, files: Sequence[Path], rng: np.random.Generator) -> tuple[Path, mido.MidiFile, float]:
    """A random MIDI song that fits a tempo, and how much faster it is played; half and double time count too."""
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
    own = drums.strokes(score.song, max_seconds=score.seconds, tempo=score.tempo)
    if rng.random() < OWN_DRUMS and len(own) > score.seconds:
        line = own
    else:
        bar = BEATS_A_BAR * 60.0 / performance.bpm
        once = drums.strokes(read_midi(performance.path), max_seconds=performance.seconds)
        period = max(1, round(performance.seconds / bar)) * bar
        line = drums.repeated(once, period, score.seconds)
    wave = drums.play(band.kit, line, rng, seconds=score.seconds, room=float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.6:
        squeezed = compressed(wave, threshold_db=float(rng.uniform(-6.0, 2.0)), ratio=float(rng.uniform(2.0, 6.0)))
        wave = np.asarray(wave + float(rng.uniform(0.3, 1.5)) * squeezed, dtype=np.float32)
    return equalised(wave, rng.normal(0.0, 2.0, len(OCTAVES_HZ)))


def _bass(band: BandInstruments, score: Score, rng: np.random.Generator) -> Stereo:
    parts = [part for part in score.parts() if part[1] in BASS_PROGRAMS]
    notes = strings.one_at_a_time(score.notes(parts))
    instrument = band.basses[int(rng.integers(len(band.basses)))]
    mono = strings.play(instrument, strings.in_range(notes, instrument), rng, seconds=score.seconds)
    return np.repeat(bass_channel(mono, rng)[None], 2, axis=0)


def _other(band: BandInstruments, path: Path, score: Score, rng: np.random.Generator, scratch: Path) -> Stereo:
    """Guitars, and what the sound font plays."""
    parts = score.parts()
    for_guitar = [part for part in sorted(parts) if part[1] in GUITAR_PROGRAMS]
    rest = [part for part in parts if part[1] not in GUITAR_PROGRAMS | BASS_PROGRAMS | SUNG_PROGRAMS]
    if not for_guitar and rest and rng.random() < BORROWED_PART:
        for_guitar = [max(rest, key=lambda part: (parts[part], part))]
    out = np.zeros((2, int(score.seconds * SAMPLE_RATE)), dtype=np.float32)
    for part in for_guitar:
        wave = _guitar(band.guitars, part, score, rng)
        out += wave * np.float32(10.0 ** (rng.normal(0.0, 3.0) / 20.0))
    if set(rest) - set(for_guitar):
        font = band.sound_fonts[int(rng.integers(len(band.sound_fonts)))]
        job = Rendering(midi=path, sound_font=font, folder=scratch, seed=0, max_seconds=score.seconds)
        remaining = _without(score.song, frozenset(for_guitar))
        part_file = split(remaining, "other", semitones=score.semitones, tempo=score.tempo)
        pcm = synthesised(part_file, job, scratch)[: out.shape[1]].T.astype(np.float32) / np.float32(FULL_SCALE)
        level = np.sqrt(np.mean(pcm * pcm)) + 1e-9
        against = np.sqrt(np.mean(out * out)) or np.float32(0.1)
        out[:, : pcm.shape[1]] += pcm * np.float32(against / level * 10.0 ** (rng.normal(-1.0, 4.0) / 20.0))
    return out


def _guitar(guitars: Sequence[strings.Instrument], part: Part, score: Score, rng: np.random.Generator) -> Stereo:
    """One part, once in the middle or twice at the sides."""
    is_distorted = part[1] in DISTORTED_PROGRAMS or (part[1] not in GUITAR_PROGRAMS and rng.random() < 0.4)
    drive_db = float(rng.uniform(12.0, 36.0) if is_distorted else rng.uniform(-14.0, 8.0))
    wanted = "staccato" if part[1] == MUTED_PROGRAM else "sustain"
    fitting = [guitar for guitar in guitars if guitar.articulation == wanted] or list(guitars)
    notes = score.notes([part])
    is_double = rng.random() < (DOUBLE_TRACKED if is_distorted else 0.2)
    side = float(np.clip(abs(rng.normal(0.7, 0.2)), 0.2, 1.0)) if is_double else float(rng.normal(0.0, 0.35))
    tone = int(rng.integers(2**31))
    out = np.zeros((2, int(score.seconds * SAMPLE_RATE)), dtype=np.float32)
    for place in (-side, side) if is_double else (side,):
        guitar = fitting[int(rng.integers(len(fitting)))]
        mono = strings.play(guitar, strings.in_range(notes, guitar), rng, seconds=score.seconds)
        out += placed(amplified(mono, drive_db, np.random.default_rng(tone)), place)
    return roomy(out, rng)


def _without(song: mido.MidiFile, taken: frozenset[Part]) -> mido.MidiFile:
    """The song without the notes of some parts, as one track."""
    programs, waiting = [0] * 16, 0
    kept = mido.MidiFile(type=0, ticks_per_beat=song.ticks_per_beat)
    track = mido.MidiTrack()
    kept.tracks.append(track)
    for message in mido.merge_tracks(song.tracks):
        waiting += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in {"note_on", "note_off"} and (message.channel, programs[message.channel]) in taken:
            continue
        track.append(message.copy(time=waiting))
        waiting = 0
    return kept
