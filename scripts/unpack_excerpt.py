"""Unpack the MUSDB18 excerpt of the package stempeg into the challenge's layout.

Usage: unpack_excerpt.py DATA_SET_FOLDER
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import soundfile

STREAMS = ("mixture", "drums", "bass", "other", "vocals")
"""Order of the streams in a MUSDB18 stem file."""

EXCERPT = "The Easton Ellises - Falcon 69.stem.mp4"


def decode_stream(path: Path, index: int) -> tuple[np.ndarray, int]:
    """Return the samples float32 (samples, channels) and the rate of one audio stream."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        blocks = [frame.to_ndarray() for frame in container.decode(stream)]
        return np.concatenate(blocks, axis=1).T, stream.rate


def main() -> int:
    """Write <data set>/<song>/{mixture,drums,bass,other,vocals}.wav."""
    source = Path(str(files("stempeg"))) / "data" / EXCERPT
    song = Path(sys.argv[1]) / EXCERPT.removesuffix(".stem.mp4")
    song.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(STREAMS):
        samples, rate = decode_stream(source, index)
        soundfile.write(song / f"{name}.wav", samples, rate)
    print(f"unpacked {song}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
