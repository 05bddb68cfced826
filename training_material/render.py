"""MIDI songs rendered as drums, bass and other with fluidsynth and General MIDI sound fonts.

Channel 10 is drums, programs 33 to 40 and 44 (electric, acoustic and bowed basses) are bass, all others are other. Key
and tempo are shifted randomly per rendering.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import mido
import numpy as np

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from training.data.stems import Pcm, write_stem
from training.programs import read_output, require_program
from training_material.midi import BASS_PROGRAMS, DRUM_CHANNEL, TEMPO_RANGE, VOICE_PROGRAMS, midi_files, read_midi
from training_material.stem_writer import whole_song

logger = logging.getLogger(__name__)

Part = tuple[int, int]
"""Channel and program."""

MAX_SEMITONES = 4
RENDER_GAIN = 0.4
TAIL_SECONDS = 10.0
"""Longest tail after the last MIDI event, because some notes never end."""
FRAME_BYTES = 4
"""Two channels of 16 bits."""
FLUIDSYNTH = "fluidsynth"
MIDI_SUFFIXES = frozenset({".mid", ".midi"})
SOURCES_RENDERED = ("drums", "bass", "other")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One song to be rendered with one sound font."""

    midi: Path
    sound_font: Path
    folder: Path
    seed: int
    max_seconds: float


def source_of(channel: int, program: int) -> str | None:
    """Return the stem that a note belongs to; None leaves it out."""
    if channel == DRUM_CHANNEL:
        return "drums"
    if program in VOICE_PROGRAMS:
        return None
    return "bass" if program in BASS_PROGRAMS else "other"


def split(
    song: mido.MidiFile, source: str, *, semitones: int, tempo: float, skipped: Collection[Part] = ()
) -> mido.MidiFile:
    """Return a song with the notes of one source only, transposed (except drums) and ``tempo`` times as fast.

    Args:
        song: the MIDI song.
        source: drums, bass or other.
        semitones: added to every pitch.
        tempo: factor on the tempo.
        skipped: parts whose notes are left out.
    """
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
            played = (message.channel, programs[message.channel])
            if source_of(*played) != source or played in skipped:
                continue
            if source != "drums":
                kept = message.copy(note=min(127, max(0, message.note + semitones)))
        elif message.is_meta and message.type != "end_of_track":
            continue
        track.append(kept.copy(time=waiting))
        waiting = 0
    return part


def render(job: Rendering) -> str:
    """Render the stems of one job unless its folder exists; returns the folder's name.

    The folder is complete when it appears, also if the program is killed.

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
    with whole_song(job.folder) as (parts, scratch):
        n_written = 0
        for source in SOURCES_RENDERED:
            part = split(song, source, semitones=semitones, tempo=tempo)
            pcm = synthesised(part, job.sound_font, scratch, max_seconds=job.max_seconds, where=job.midi)
            n_written += write_stem(parts, source, pcm)
        if not n_written:
            raise InputError("has no audible note", where=job.midi, hint="remove it from the folder")
    return job.folder.name


def synthesised(part: mido.MidiFile, sound_font: Path, scratch: Path, *, max_seconds: float, where: Path) -> Pcm:
    """Render a part with fluidsynth; returns int16 ``(samples, 2)``.

    Args:
        part: notes to play.
        sound_font: sound font file.
        scratch: folder for temporary files.
        max_seconds: maximum length; it is also at most :data:`TAIL_SECONDS` longer than the part.
        where: the MIDI file, for error messages.

    Raises:
        MdxError: fluidsynth fails or hangs.
    """
    midi, errors = scratch / "part.mid", scratch / "errors.txt"
    part.save(midi)
    seconds = min(max_seconds, part.length + TAIL_SECONDS)
    command = [FLUIDSYNTH, "-ni", "-q", "-g", str(RENDER_GAIN), "-r", str(SAMPLE_RATE), "-F", "/dev/stdout"]
    command += ["-T", "raw", "-O", "s16", "-E", "little", "-o", "synth.polyphony=128", str(sound_font), str(midi)]
    n_bytes = int(seconds * SAMPLE_RATE) * FRAME_BYTES
    sound, is_cut, code = read_output(command, n_bytes, errors, where=where)
    if code or not sound:
        message = " ".join(errors.read_text(errors="replace").split()[-30:])
        raise MdxError(f"{FLUIDSYNTH} failed with {sound_font} ({message})", where=where)
    if is_cut and seconds < max_seconds:
        message = "%s: some notes never end with %s; cut %.0f s after the last event"
        logger.warning(message, where, sound_font.name, TAIL_SECONDS)
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
    """Render every MIDI file of a folder with every sound font, several at a time.

    The result depends only on the seed and the file names, not on the number of processes. Existing songs are kept. A
    song that fails does not stop the others.

    Returns:
        Number of songs that exist now.

    Raises:
        InputError: there is no MIDI file, a sound font or fluidsynth is missing, or songs failed.
    """
    jobs = plan_renderings(midi_folder, sound_fonts, collection, seed=seed, max_seconds=max_seconds)
    require_program(FLUIDSYNTH)
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
    """Return a rendering of every MIDI file with every sound font.

    Raises:
        InputError: there is no MIDI file, or a sound font is missing.
    """
    songs = midi_files(midi_folder, MIDI_SUFFIXES)
    for font in sound_fonts:
        if not font.is_file():
            raise InputError("does not exist", where=font, hint="name a .sf2 or .sf3 file")
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
