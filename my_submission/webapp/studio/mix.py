"""The mix as heard: gain and pan of every track, rendered from the full-precision tracks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from my_submission.audio_io import AudioFormat, SongTags, StemFolderWriter
from my_submission.dsp.panning import panned
from my_submission.errors import InputError
from my_submission.stems import Waveform
from my_submission.webapp.work.tracks import Track

BLOCK_SAMPLES = 262_144
MAX_GAIN_DB = 24.0
MIN_GAIN_DB = -120.0


@dataclass(frozen=True)
class Fader:
    """Gain and pan of one track.

    Attributes:
        gain_db: −120 … 24.
        pan: −1 (left) … 1 (right).

    Raises:
        InputError: a value is out of range.
    """

    gain_db: float
    pan: float

    def __post_init__(self) -> None:
        if not MIN_GAIN_DB <= self.gain_db <= MAX_GAIN_DB:
            raise InputError(f"the gain {self.gain_db:g} dB is out of range", hint="use -120 to 24 dB")
        if not -1 <= self.pan <= 1:
            raise InputError(f"the pan {self.pan:g} is out of range", hint="use -1 to 1")

    @classmethod
    def parse(cls, text: str) -> Fader:
        """Return the fader of a text such as ``-3.5,0.25``: gain in dB, pan.

        Raises:
            InputError: the text is not gain and pan.
        """
        try:
            gain_db, pan = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InputError(f"{text[:40]!r} is not gain and pan", hint="write them like -3.5,0.25") from error
        return cls(gain_db, pan)


def render(tracks: Mapping[str, Track], faders: Mapping[str, Fader], samples: int) -> Iterator[Waveform]:
    """Yield the sum of all tracks with a fader, block by block, float32 (2, n).

    Every track is multiplied by its gain, then panned as the Web Audio API's StereoPannerNode does.

    Args:
        tracks: name to track.
        faders: name to fader; other tracks are muted.
        samples: length of the mix.
    """
    for start in range(0, samples, BLOCK_SAMPLES):
        stop = min(start + BLOCK_SAMPLES, samples)
        mix = np.zeros((2, stop - start), np.float32)
        for name, fader in faders.items():
            gain = np.float32(math.pow(10, fader.gain_db / 20))
            mix += panned(tracks[name].read(start, stop) * gain, fader.pan)
        yield mix


def write_mix(
    blocks: Iterator[Waveform],
    folder: Path,
    name: str,
    *,
    sample_rate: int,
    samples: int,
    audio_format: AudioFormat,
    tags: SongTags,
) -> tuple[Path, float]:
    """Write a mix to ``folder/<name>.<format>``.

    Returns:
        The file, and the gain in dB that the format's clip mode applied; 0 if nothing was changed.

    Raises:
        OutputError: the folder cannot be written.
    """
    writer = StemFolderWriter(
        folder,
        (name,),
        sample_rate=sample_rate,
        samples=samples,
        audio_format=audio_format,
        source_rate=sample_rate,
        tags={name: tags.for_stem(name)},
    )
    with writer:
        for block in blocks:
            writer.write({name: block})
    return writer.paths[name], writer.gain_db
