"""Renders MIDI songs into drums, bass and other with fluidsynth and free General MIDI sound fonts.

Channel 10 is drums, programs 33 to 40 and 44 (electric, acoustic and bowed basses) are bass, the
rest is other. Key and tempo are shifted at random per rendering, so one song may be rendered often.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import mido
import numpy as np

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from training.data.stems import Pcm, write_stem
from training.programs import begin_of_output

logger = logging.getLogger(__name__)

DRUM_CHANNEL = 9
BASS_PROGRAMS = frozenset({*range(32, 40), 43})
SUNG_PROGRAMS = frozenset({52, 53, 54, 85, 91})
"""Choirs and voices: left out, since a listener would call them vocals."""
MAX_SEMITONES = 4
TEMPO_RANGE = (0.85, 1.2)
RENDER_GAIN = 0.4
TAIL_SECONDS = 10.0
"""How long a part may sound on after its last event; notes that never end would sound for ever."""
FRAME_BYTES = 4
"""Two channels of 16 bits."""
FLUIDSYNTH = "fluidsynth"
MIDI_SUFFIXES = frozenset({".mid", ".midi"})
SOURCES_RENDERED = ("drums", "bass", "other")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One song rendered once."""

    midi: Path
    sound_font: Path
    folder: Path
    seed: int
    max_seconds: float


def source_of(channel: int, program: int) -> str | None:
    """The stem a note belongs to, or None when it is left out."""
    if channel == DRUM_CHANNEL:
        return "drums"
    if program in SUNG_PROGRAMS:
        return None
    return "bass" if program in BASS_PROGRAMS else "other"


def split(song: mido.MidiFile, source: str, *, semitones: int, tempo: float) -> mido.MidiFile:
    """The song with only one source's notes, transposed (drums excepted) and ``tempo`` times as fast."""
    programs = [0] * 16
    part = mido.MidiFile(type=0, ticks_per_beat=song.ticks_per_beat)
    track = mido.MidiTrack()
    part.tracks.append(track)
    waiting = 0
    for message in mido.merge_tracks(song.tracks):
        waiting += message.time
        kept = message
        if message.type == "set_tempo":
            kept = message.copy(tempo=max(1, round(message.tempo / tempo)))
        elif message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in {"note_on", "note_off"}:
            if source_of(message.channel, programs[message.channel]) != source:
                continue
            if source != "drums":
                kept = message.copy(note=min(127, max(0, message.note + semitones)))
        elif message.is_meta and message.type != "end_of_track":
            continue
        track.append(kept.copy(time=waiting))
        waiting = 0
    return part


def render(job: Rendering) -> str:
    """Renders the stems of one job, unless its folder is there; returns the folder's name.

    The folder appears in one step, so a killed run leaves no half-rendered song.

    Raises:
        InputError: the MIDI file cannot be read, or it has no notes.
        MdxError: fluidsynth fails.
    """
    if job.folder.is_dir():
        return job.folder.name
    rng = np.random.default_rng([job.seed, crc32(job.folder.name.encode())])
    semitones = int(rng.integers(-MAX_SEMITONES, MAX_SEMITONES + 1))
    tempo = float(rng.uniform(*TEMPO_RANGE))
    song = read_midi(job.midi)
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".render-", dir=job.folder.parent) as scratch:
        parts = Path(scratch) / "song"
        written = [
            write_stem(
                parts, source, synthesised(split(song, source, semitones=semitones, tempo=tempo), job, Path(scratch))
            )
            for source in SOURCES_RENDERED
        ]
        if not any(written):
            raise InputError("has no note that sounds", where=job.midi, hint="remove it from the folder")
        os.replace(parts, job.folder)
    return job.folder.name


def read_midi(path: Path) -> mido.MidiFile:
    """A MIDI file; data bytes out of range are clipped.

    Raises:
        InputError: it is damaged or is none.
    """
    try:
        return mido.MidiFile(path, clip=True)
    except (OSError, EOFError, ValueError, IndexError, KeyError) as error:  # mido tells damage by any of them
        raise InputError(f"is no readable MIDI file ({error})", where=path, hint="remove it from the folder") from error


def synthesised(part: mido.MidiFile, job: Rendering, scratch: Path) -> Pcm:
    """A part played with the job's sound font, int16 ``(samples, 2)``.

    It is at most ``max_seconds`` long, and at most ``TAIL_SECONDS`` longer than the part. Files that come and go are
    written to ``scratch``.

    Raises:
        MdxError: fluidsynth fails or hangs.
    """
    midi, errors = scratch / "part.mid", scratch / "errors.txt"
    part.save(midi)
    longest = min(job.max_seconds, part.length + TAIL_SECONDS)
    command = [FLUIDSYNTH, "-ni", "-q", "-g", str(RENDER_GAIN), "-r", str(SAMPLE_RATE), "-F", "/dev/stdout"]
    command += ["-T", "raw", "-O", "s16", "-E", "little", "-o", "synth.polyphony=128", str(job.sound_font), str(midi)]
    n_bytes = int(longest * SAMPLE_RATE) * FRAME_BYTES
    sound, is_cut, code = begin_of_output(command, n_bytes, errors, where=job.midi)
    if code or not sound:
        said = " ".join(errors.read_text(errors="replace").split()[-30:])
        raise MdxError(f"{FLUIDSYNTH} failed with {job.sound_font} ({said})", where=job.midi)
    if is_cut and longest < job.max_seconds:
        message = "%s: notes of it never end with %s; cut %.0f s after its last event"
        logger.warning(message, job.midi, job.sound_font.name, TAIL_SECONDS)
    return np.frombuffer(sound, dtype="<i2").reshape(-1, 2).astype(np.int16)


def render_folder(
    midi_folder: Path,
    sound_fonts: Sequence[Path],
    collection: Path,
    *,
    seed: int,
    max_seconds: float,
    n_processes: int,
) -> int:
    """Renders every MIDI file of a folder once with each sound font, several at a time.

    The result depends on the seed and the files' names alone, not on the number of processes. Songs that are there
    already are kept. A song that fails does not stop the others.

    Returns:
        Songs that are there now.

    Raises:
        InputError: there is no MIDI file, a sound font or fluidsynth is missing, or songs failed; every one is named.
    """
    jobs = plan_renderings(midi_folder, sound_fonts, collection, seed=seed, max_seconds=max_seconds)
    if shutil.which(FLUIDSYNTH) is None:
        raise InputError(
            f"the program {FLUIDSYNTH} is not installed", hint=f"install it (apt-get install {FLUIDSYNTH})"
        )
    failures = []
    with ThreadPoolExecutor(n_processes) as pool:
        for job, future in [(job, pool.submit(render, job)) for job in jobs]:
            try:
                logger.info("rendered %s", future.result())
            except MdxError as error:
                logger.warning("%s: %s", job.folder.name, error)
                failures.append(str(error))
    if failures:
        raise InputError(f"{len(failures)} of {len(jobs)} songs failed: {'; '.join(failures[:5])}", where=midi_folder)
    return len(jobs)


def plan_renderings(
    midi_folder: Path, sound_fonts: Sequence[Path], collection: Path, *, seed: int, max_seconds: float
) -> list[Rendering]:
    """Every MIDI file with every sound font.

    Raises:
        InputError: there is no MIDI file, or a sound font is missing.
    """
    songs = sorted(path for path in midi_folder.glob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    if not songs:
        raise InputError("holds no .mid file", where=midi_folder, hint="name a folder of MIDI files")
    for font in sound_fonts:
        if not font.is_file():
            raise InputError("is not there", where=font, hint="name a .sf2 or .sf3 file")
    return [
        Rendering(
            midi=midi,
            sound_font=font,
            folder=collection / f"{midi.stem}-{font.stem}",
            seed=seed,
            max_seconds=max_seconds,
        )
        for font in sound_fonts
        for midi in songs
    ]
