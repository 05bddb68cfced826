"""MUSDB18's ``.stem.mp4`` files: five stereo streams, decoded by musdb into WAV files."""

from __future__ import annotations

import shutil
from pathlib import Path

from evaluator.errors import DatasetError

STREAMS = ("mixture", "drums", "bass", "other", "vocals")
"""The streams of a stem file, in the order of Native Instruments' Stem format as MUSDB18 uses it."""


def decode_stem_mp4(path: Path, folder: Path) -> dict[str, Path]:
    """Decode mixture and sources into 16-bit WAV files (musdb's depth), one at a time.

    Args:
        folder: an existing folder for the five files.

    Returns:
        Stream name to file.

    Raises:
        DatasetError: ffmpeg or musdb is not installed, or the five streams cannot be decoded.
    """
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        raise DatasetError("cannot be decoded without ffmpeg", where=path, hint="install ffmpeg, with ffprobe")
    try:
        import musdb
    except ImportError as error:
        raise DatasetError("cannot be decoded without musdb", where=path, hint="pip install musdb") from error
    import soundfile

    files: dict[str, Path] = {}
    try:
        track = musdb.MultiTrack(path=str(path), name=path.name, stem_id=0, is_wav=False)
        for index, name in enumerate(STREAMS):
            samples = track.load_audio(str(path), index)
            files[name] = folder / f"{name}.wav"
            soundfile.write(files[name], samples, int(track.rate), subtype="PCM_16")
    except Exception as error:  # musdb raises Warning, RuntimeError, ffmpeg's own errors or IndexError
        raise DatasetError(f"cannot be decoded ({type(error).__name__}: {error})", where=path) from error
    return files
