"""Stems as streams of float64 blocks (channels, samples), from one file or from a weighted sum of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluator.errors import DatasetError
from terminal.names import system_name

Floats = npt.NDArray[np.float64]

_READABLE = "write it as WAV or FLAC, one file per source"


@dataclass(frozen=True)
class AudioShape:
    """Length, channels and sample rate, which a reference and its estimate must share."""

    samples: int
    channels: int
    sample_rate: int

    def __str__(self) -> str:
        return f"{self.samples} samples, {self.channels} channels, {self.sample_rate} Hz"


class Stem(Protocol):
    """One source of one song."""

    @property
    def where(self) -> str:
        """Path of the file, or of the files, for messages."""
        ...

    def shape(self) -> AudioShape:
        """Return the shape from the header; DatasetError if it cannot be read."""
        ...

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """Yield the samples in blocks (channels, block_samples); the last block may be shorter."""
        ...

    def content_key(self) -> str:
        """Return a hash of the content."""
        ...


@dataclass(frozen=True)
class FileStem:
    """A stem in a file that libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF …)."""

    path: Path

    @property
    def where(self) -> str:
        """Path of the file."""
        return str(self.path)

    def shape(self) -> AudioShape:
        """Return the shape; DatasetError for a file that is missing, empty or not audio."""
        import soundfile

        try:
            info = soundfile.info(system_name(self.path))
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path, hint=_READABLE) from error
        if info.frames < 1:
            raise DatasetError("has no samples", where=self.path, hint="separate or export the song again")
        return AudioShape(info.frames, info.channels, info.samplerate)

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """Yield the samples; DatasetError if the file ends early or has NaN or infinite samples."""
        import soundfile

        try:
            with soundfile.SoundFile(system_name(self.path)) as file:
                remaining = file.frames
                while remaining > 0:
                    block = file.read(min(block_samples, remaining), dtype="float64", always_2d=True).T
                    if block.shape[1] < min(block_samples, remaining):
                        problem = (
                            f"ends {remaining - block.shape[1]} samples before the {file.frames} that its header states"
                        )
                        raise DatasetError(problem, where=self.path, hint="copy or export the file again")
                    if not np.isfinite(block).all():
                        problem = "has samples that are not finite (NaN or infinity)"
                        raise DatasetError(problem, where=self.path, hint="correct the program that wrote the file")
                    remaining -= block.shape[1]
                    yield block
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path, hint=_READABLE) from error

    def content_key(self) -> str:
        """Return the SHA-256 of the file; DatasetError if it cannot be read."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            hint = "check that the file exists and is readable"
            raise DatasetError(f"cannot be read ({error})", where=self.path, hint=hint) from error


@dataclass(frozen=True)
class SumStem:
    """``gain`` times the sum of stems that share one shape, such as a mixture made from its stems."""

    parts: tuple[Stem, ...]
    gain: float = 1.0

    @property
    def where(self) -> str:
        """Paths of the parts."""
        return " + ".join(part.where for part in self.parts)

    def shape(self) -> AudioShape:
        """Return the common shape; DatasetError if the parts differ."""
        shapes = [part.shape() for part in self.parts]
        for part, shape in zip(self.parts, shapes, strict=True):
            if shape != shapes[0]:
                problem = f"has {shape}; {self.parts[0].where}, to which it is added, has {shapes[0]}"
                raise DatasetError(
                    problem, where=part.where, hint="export all stems of a song with the same length, rate and channels"
                )
        return shapes[0]

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """Yield the weighted sum."""
        for blocks in zip(*(part.blocks(block_samples) for part in self.parts), strict=True):
            yield np.asarray(self.gain * np.sum(blocks, axis=0))

    def content_key(self) -> str:
        """Return a hash of the gain and of the parts' keys."""
        text = " ".join([repr(self.gain), *(part.content_key() for part in self.parts)])
        return hashlib.sha256(text.encode()).hexdigest()
