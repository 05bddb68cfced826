"""Renders MIDI songs into drums, bass and other with fluidsynth and free General MIDI sound fonts.

Channel 10 is drums, programs 33 to 40 and 44 (electric, acoustic and bowed basses) are bass, the
rest is other. Key and tempo are shifted at random per rendering, so one song may be rendered often.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import mido
import numpy as np
import soundfile

from my_submission.geometry import SAMPLE_RATE
from training.data.stems import write_stem

logger = logging.getLogger(__name__)

DRUM_CHANNEL = 9
BASS_PROGRAMS = frozenset({*range(32, 40), 43})
SUNG_PROGRAMS = frozenset({52, 53, 54, 85, 91})
"""Choirs and voices: left out, since a listener would call them vocals."""
MAX_SEMITONES = 4
TEMPO_RANGE = (0.85, 1.2)
RENDER_GAIN = 0.4
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
    """Renders the stems of one job; returns the folder's name."""
    rng = np.random.default_rng([job.seed, crc32(job.folder.name.encode())])
    semitones = int(rng.integers(-MAX_SEMITONES, MAX_SEMITONES + 1))
    tempo = float(rng.uniform(*TEMPO_RANGE))
    song = mido.MidiFile(job.midi, clip=True)
    for source in SOURCES_RENDERED:
        with tempfile.TemporaryDirectory() as scratch:
            midi, wav = Path(scratch) / "part.mid", Path(scratch) / "part.wav"
            split(song, source, semitones=semitones, tempo=tempo).save(midi)
            command = ["fluidsynth", "-ni", "-q", "-g", str(RENDER_GAIN), "-r", str(SAMPLE_RATE), "-F", str(wav)]
            command += ["-o", "synth.polyphony=128", str(job.sound_font), str(midi)]
            subprocess.run(command, check=True, capture_output=True)
            pcm, _ = soundfile.read(wav, dtype="int16", always_2d=True, frames=int(job.max_seconds * SAMPLE_RATE))
        write_stem(job.folder, source, pcm)
    return job.folder.name


def render_folder(
    midi_folder: Path,
    sound_fonts: Sequence[Path],
    collection: Path,
    *,
    seed: int,
    max_seconds: float,
    n_processes: int,
) -> int:
    """Renders every ``.mid`` of a folder once with each sound font; returns the number of renderings."""
    jobs = [
        Rendering(
            midi=midi,
            sound_font=font,
            folder=collection / f"{midi.stem}-{font.stem}",
            seed=seed,
            max_seconds=max_seconds,
        )
        for font in sound_fonts
        for midi in sorted(midi_folder.glob("*.mid"))
    ]
    with ProcessPoolExecutor(n_processes) as pool:
        for name in pool.map(render, jobs):
            logger.info("rendered %s", name)
    return len(jobs)
