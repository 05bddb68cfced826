"""Short pieces of songs for players: reading our WAVs at any position, and encoding a piece in memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from my_submission.dsp.pcm import pcm_frames
from my_submission.errors import InputError
from my_submission.stems import Waveform
from terminal.names import system_name


def read_span(path: Path, start: int, stop: int) -> Waveform:
    """Return samples [start, stop) of a WAV that this program wrote, float32 (channels, stop − start).

    Raises:
        InputError: the file cannot be read, or is shorter.
    """
    try:
        with soundfile.SoundFile(system_name(path)) as file:
            file.seek(start)
            frames = file.read(stop - start, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"the file cannot be read ({error})", where=path, hint="separate the song again") from error
    if len(frames) != stop - start:
        problem = f"{len(frames)} of {stop - start} samples are at {start}"
        raise InputError(problem, where=path, hint="separate the song again")
    return np.ascontiguousarray(frames.T)


def flac_16(block: Waveform, sample_rate: int, *, gain: float = 1.0) -> bytes:
    """Return a block float32 (channels, n), times a gain, as a FLAC file of 16 bits."""
    file = io.BytesIO()
    frames = pcm_frames(block * np.float32(gain), bits=16)
    soundfile.write(file, frames, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
