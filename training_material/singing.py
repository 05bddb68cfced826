"""Synthetic singing: MIDI melodies sung with recorded or spoken syllables.

Every syllable is analysed once by the WORLD vocoder (pitch, spectral envelope, aperiodicity) and resynthesised at the
pitch and length of the melody's notes, with a random vocal tract length per song.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import pyworld

from my_submission.documents import convert
from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from terminal.documents import DocumentError, read_json
from training.data.stems import Pcm
from training.programs import require_program, run
from training_material.midi import DRUM_CHANNEL, VOICE_PROGRAMS, midi_files, read_midi
from training_material.recordings import Mono, read_mono, recordings_in
from training_material.stem_writer import write_missing

logger = logging.getLogger(__name__)

FLITE = "flite"
FRAME_SECONDS = 0.005
ONSET_FRAMES = 30
"""Number of frames at the start of a syllable that are not stretched: the consonant."""
FADE_FRAMES = 8
VOICE_CENTRES = (48, 52, 57, 62, 67)
"""Central MIDI note of each voice, from bass to soprano."""
MIN_NOTE_SECONDS = 0.12
MAX_NOTE_SECONDS = 3.0
DUET_PROBABILITY = 0.3
"""Probability that a song has a second voice."""
MIN_SUNG_SHARE = 0.25
"""Melodies that fill a smaller share of the song are skipped."""

WORDS = (
    "love night baby heart time never over away tonight always fire dream feel alone hold light world "
    "dancing stars falling rain burning forever believe remember tomorrow sky water running shadow silence "
    "summer winter morning river golden broken angel devil heaven calling waiting dying living breathing "
    "yeah oh ah hey you me we they why how know show go home road run sun gone long strong song wrong "
    "eyes mind soul control lost found ground down town crown free see be believe leave need bleed dream"
)
"""Words spoken by a speech synthesiser, which are sung like syllables."""

PHRASES_INDEX = "index.json"
SMALL_KANA = frozenset("ぁぃぅぇぉゃゅょゎァィゥェォャュョヮ")

Frames = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Syllable:
    """WORLD parameters of one syllable, per frame of 5 ms: envelope and aperiodicity ``(frames, bins)``, voicing."""

    envelope: Frames
    aperiodicity: Frames
    is_voiced: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Phrase:
    """An entry of ``index.json``: recording, syllables in kana, bounds in samples."""

    file: str
    name: str
    start: int
    stop: int

    @property
    def n_syllables(self) -> int:
        """Number of syllables: of kana that are not small, which belong to the one before."""
        return max(1, sum(kana not in SMALL_KANA for kana in self.name))


@dataclass(frozen=True)
class SungNote:
    """One note of a melody: start and length in seconds, MIDI pitch."""

    start: float
    length: float
    pitch: int


def analyse(mono: Mono) -> Syllable:
    """Analyse a recording at 44.1 kHz; silence around the syllable is cut off."""
    mono = np.ascontiguousarray(mono) * (0.1 / np.sqrt(np.mean(mono * mono)))
    f0, times = pyworld.dio(mono, SAMPLE_RATE, frame_period=FRAME_SECONDS * 1000)
    f0 = pyworld.stonemask(mono, f0, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(mono, f0, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(mono, f0, times, SAMPLE_RATE)
    level = envelope.mean(axis=1)
    loud = np.flatnonzero(level > 1e-3 * level.max())
    kept = slice(loud[0], loud[-1] + 1)
    return Syllable(envelope[kept], aperiodicity[kept], f0[kept] > 0)


def recorded_singer(folder: Path) -> list[Syllable]:
    """Return the syllables of a voice bank, which is a folder of recordings."""
    return [analyse(read_mono(path)) for path in recordings_in(folder)]


def phrase_singer(folder: Path) -> list[Syllable]:
    """Return the syllables of sung phrases: a folder with ``index.json``, a list of phrases of evenly sung syllables.

    Every phrase has the name of its recording (``file``), its Japanese syllables in kana (``name``), and its bounds in
    samples (``start``, ``stop``).

    Raises:
        InputError: the index or a recording cannot be read, or a phrase lies outside its recording.
    """
    index = folder / PHRASES_INDEX
    try:
        phrases = convert(list[Phrase], read_json(index))
    except (OSError, DocumentError) as error:
        hint = f"name a folder with {PHRASES_INDEX} and the recordings that it lists"
        raise InputError(f"is no list of phrases ({error})", where=index, hint=hint) from error
    recordings = {name: read_mono(folder / name) for name in {phrase.file for phrase in phrases}}
    syllables: list[Syllable] = []
    for phrase in phrases:
        mono = recordings[phrase.file]
        if not 0 <= phrase.start < phrase.stop <= len(mono):
            problem = f"the phrase {phrase.name} lies outside {phrase.file}, which has {len(mono)} samples"
            raise InputError(problem, where=index, hint="correct start and stop")
        syllables.extend(_divided(analyse(mono[phrase.start : phrase.stop]), phrase.n_syllables))
    return syllables


def _divided(phrase: Syllable, n_parts: int) -> list[Syllable]:
    """Divide the frames of a phrase into equal parts."""
    frames = (phrase.envelope, phrase.aperiodicity, phrase.is_voiced)
    return [Syllable(*part) for part in zip(*(np.array_split(of_phrase, n_parts) for of_phrase in frames), strict=True)]


def spoken_singer(voice: str) -> list[Syllable]:
    """Return words spoken by a voice of the speech synthesiser ``flite``, as syllables."""
    require_program(FLITE)
    syllables = []
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "word.wav"
        for word in WORDS.split():
            run([FLITE, "-voice", voice, "-t", word, "-o", str(wav)])
            syllables.append(analyse(read_mono(wav)))
    return syllables


def melody(song: mido.MidiFile, rng: np.random.Generator) -> list[SungNote]:
    """Return the melody of a random pitched channel, shifted to start at 0; empty if the song has none."""
    channels: dict[int, list[SungNote]] = {}
    sounding: dict[tuple[int, int], float] = {}
    program = [0] * 16
    now = 0.0
    for message in song:
        now += message.time
        if message.type == "program_change":
            program[message.channel] = message.program
        if message.type not in {"note_on", "note_off"} or message.channel == DRUM_CHANNEL:
            continue
        key = (message.channel, message.note)
        if key in sounding:
            start = sounding.pop(key)
            channels.setdefault(key[0], []).append(SungNote(start, now - start, key[1]))
        if message.type == "note_on" and message.velocity and program[message.channel] not in VOICE_PROGRAMS:
            sounding[key] = now
    melodies = [notes for notes in channels.values() if len(notes) > 40 and len({n.pitch for n in notes}) > 5]
    return _monophonic(melodies[int(rng.integers(len(melodies)))]) if melodies else []


def _monophonic(notes: Sequence[SungNote]) -> list[SungNote]:
    """Keep the highest of notes that start together, and end each note where the next one starts."""
    line: list[SungNote] = []
    for note in sorted(notes, key=lambda n: (n.start, -n.pitch)):
        if line and note.start - line[-1].start < MIN_NOTE_SECONDS:
            continue
        if line:
            line[-1] = SungNote(line[-1].start, min(line[-1].length, note.start - line[-1].start), line[-1].pitch)
        line.append(SungNote(note.start, min(note.length, MAX_NOTE_SECONDS), note.pitch))
    sung = [n for n in line if n.length >= MIN_NOTE_SECONDS]
    return [SungNote(n.start - sung[0].start, n.length, n.pitch) for n in sung]


def sing(
    notes: Sequence[SungNote], syllables: Sequence[Syllable], rng: np.random.Generator, *, max_seconds: float
) -> Mono:
    """Sing a melody with random syllables; returns ``(samples,)`` at 44.1 kHz."""
    n_bins = syllables[0].envelope.shape[1]
    n_frames = int(max_seconds / FRAME_SECONDS)
    f0 = np.zeros(n_frames)
    envelope = np.full((n_frames, n_bins), 1e-12)
    aperiodicity = np.ones((n_frames, n_bins))
    centre = int(rng.choice(VOICE_CENTRES)) + int(rng.integers(-2, 3))
    tract = rng.uniform(0.9, 1.1) * 2.0 ** ((centre - 55) / 90.0)
    sources = np.clip(np.arange(n_bins) / tract, 0, n_bins - 1).astype(np.int64)
    previous = centre
    for note in notes:
        first, length = int(note.start / FRAME_SECONDS), int(note.length / FRAME_SECONDS)
        if first + length > n_frames:
            break
        pitch = centre + (note.pitch - centre + 6) % 12 - 6
        syllable = syllables[int(rng.integers(len(syllables)))]
        rows = _stretch(len(syllable.envelope), length)
        shape = np.minimum(1.0, np.minimum(np.arange(length) + 1, length - np.arange(length)) / FADE_FRAMES)
        loudness = 10.0 ** (rng.normal(0.0, 2.5) / 10.0)
        span = slice(first, first + length)
        envelope[span] = syllable.envelope[rows][:, sources] * (shape**2 * loudness)[:, None] + 1e-12
        aperiodicity[span] = syllable.aperiodicity[rows][:, sources]
        f0[span] = _contour(pitch, previous, length, rng) * syllable.is_voiced[rows]
        previous = pitch
    return np.asarray(pyworld.synthesize(f0, envelope, aperiodicity, SAMPLE_RATE, FRAME_SECONDS * 1000))


def _stretch(n_available: int, length: int) -> npt.NDArray[np.int64]:
    """Return the frames to read: the onset unchanged, the rest stretched evenly."""
    onset = min(ONSET_FRAMES, length, n_available)
    rest = np.linspace(onset, max(onset, n_available - 1), length - onset)
    return np.minimum(np.concatenate((np.arange(onset), rest)), n_available - 1).astype(np.int64)


def _contour(pitch: int, previous: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the pitch of a note in Hz per frame: a slide from the previous note, a late vibrato, a slow drift."""
    seconds = np.arange(length) * FRAME_SECONDS
    slide = np.clip(previous - pitch, -5, 5) * np.exp(-seconds / rng.uniform(0.01, 0.06))
    depth = rng.uniform(0.0, 0.5) * np.clip((seconds - 0.15) / 0.3, 0.0, 1.0)
    vibrato = depth * np.sin(2.0 * np.pi * rng.uniform(4.5, 6.5) * seconds + rng.uniform(0.0, 6.28))
    drift = np.cumsum(rng.normal(0.0, 0.01, length))
    return np.asarray(440.0 * 2.0 ** ((pitch + slide + vibrato + drift - 69.0) / 12.0))


def with_reverb(mono: Mono, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Add a random stereo reverb tail; ``(samples,)`` to ``(2, samples)``."""
    n_tail = int(rng.uniform(0.3, 1.8) * SAMPLE_RATE)
    decay = np.exp(-np.linspace(0.0, 6.0, n_tail))
    tail = np.cumsum(rng.normal(size=(2, n_tail)), axis=1) * 0.05 + rng.normal(size=(2, n_tail))
    tail *= decay / np.sqrt(np.sum((tail * decay) ** 2, axis=1, keepdims=True))
    size = 1 << int(np.ceil(np.log2(len(mono) + n_tail)))
    wet = np.fft.irfft(np.fft.rfft(mono, size) * np.fft.rfft(tail, size), size)[:, : len(mono)]
    return mono + wet * rng.uniform(0.0, 0.5)


def sing_folder(
    singers: Sequence[Sequence[Syllable]],
    midi_folder: Path,
    collection: Path,
    *,
    seed: int,
    n_songs: int,
    max_seconds: float,
) -> int:
    """Write up to ``n_songs`` songs that have only vocals, using the singers in turn; existing songs are kept.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: there is no MIDI file or no singer.
    """
    songs = midi_files(midi_folder)
    if not singers:
        raise InputError("there is no singer", hint="name a folder of syllables or a voice")

    def make(index: int) -> Pcm | None:
        rng = np.random.default_rng([seed, index])
        path = songs[int(rng.integers(len(songs)))]
        return _sung(path, singers[index % len(singers)], rng, max_seconds)

    return sum(
        write_missing(collection / f"sung-{index:03d}", "vocals", partial(make, index)) for index in range(n_songs)
    )


def _sung(path: Path, syllables: Sequence[Syllable], rng: np.random.Generator, max_seconds: float) -> Pcm | None:
    """Return one song, int16 ``(samples, 2)``, or None if the MIDI file's melody is too short."""
    notes = melody(read_midi(path), rng)
    if sum(n.length for n in notes if n.start + n.length <= max_seconds) < MIN_SUNG_SHARE * max_seconds:
        logger.info("the melody of %s is too short and is skipped", path.stem)
        return None
    voices = with_reverb(sing(notes, syllables, rng, max_seconds=max_seconds), rng)
    if rng.random() < DUET_PROBABILITY:
        voices = voices + 0.5 * with_reverb(sing(notes, syllables, rng, max_seconds=max_seconds), rng)
    voices *= 0.5 / max(1e-9, float(np.abs(voices).max()))
    return np.asarray((voices.T * 32767).astype(np.int16))
