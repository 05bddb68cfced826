"""Stems as streams of blocks, (channels, samples) float64: a file, or a weighted sum of files."""

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

_HASH_BYTES = 1 << 20

_READABLE = "write it as WAV or FLAC, one file a source"


@dataclass(frozen=True)
class AudioShape:
    """What must agree between a reference and its estimate."""

    samples: int
    channels: int
    sample_rate: int

    def __str__(self) -> str:
        return f"{self.samples} samples, {self.channels} channels, {self.sample_rate} Hz"


class Stem(Protocol):
    """One source of one song."""

    @property
    def where(self) -> str:
        """The file, or the files, for messages."""
        ...

    def shape(self) -> AudioShape:
        """Length, channels and rate, from the header; DatasetError when it cannot be read."""
        ...

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The samples from the beginning, (channels, block_samples), the last block shorter."""
        ...

    def content_key(self) -> str:
        """A hash of what will be read: equal content, equal key."""
        ...


@dataclass(frozen=True)
class FileStem:
    """A stem in a file libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF …)."""

    path: Path

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self.path)

    def shape(self) -> AudioShape:
        """Length, channels and rate; DatasetError for a file that is absent, empty or no audio."""
        import soundfile

        try:
            info = soundfile.info(system_name(self.path))
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path, hint=_READABLE) from error
        if info.frames < 1:
            raise DatasetError("holds no samples", where=self.path, hint="separate or export the song again")
        return AudioShape(info.frames, info.channels, info.samplerate)

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The file's samples; DatasetError when it breaks off or holds NaN or infinity."""
        import soundfile

        try:
            with soundfile.SoundFile(system_name(self.path)) as file:
                remaining = file.frames
                while remaining > 0:
                    block = file.read(min(block_samples, remaining), dtype="float64", always_2d=True).T
                    if block.shape[1] < min(block_samples, remaining):
                        problem = f"breaks off {remaining - block.shape[1]} samples before the {file.frames} it says"
                        raise DatasetError(problem, where=self.path, hint="copy or export the file again")
                    if not np.isfinite(block).all():
                        problem = "holds samples that are not finite numbers (NaN or infinity)"
                        raise DatasetError(problem, where=self.path, hint="mend what wrote them, and write it again")
                    remaining -= block.shape[1]
                    yield block
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path, hint=_READABLE) from error

    def content_key(self) -> str:
        """SHA-256 of the file; DatasetError when it cannot be read."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while piece := file.read(_HASH_BYTES):
                    digest.update(piece)
        except OSError as error:
            hint = "check that the file is there and may be read"
            raise DatasetError(f"cannot be read ({error})", where=self.path, hint=hint) from error
        return digest.hexdigest()


@dataclass(frozen=True)
class SumStem:
    """``gain`` times the sum of stems of one shape: a mixture made of its stems, or a share of a mixture."""

    parts: tuple[Stem, ...]
    gain: float = 1.0

    @property
    def where(self) -> str:
        """The parts' places."""
        return " + ".join(part.where for part in self.parts)

    def shape(self) -> AudioShape:
        """The common shape; DatasetError when the parts differ."""
        shapes = [part.shape() for part in self.parts]
        for part, shape in zip(self.parts, shapes, strict=True):
            if shape != shapes[0]:
                problem = f"has {shape}; to be added to {self.parts[0].where} it needs {shapes[0]}"
                raise DatasetError(problem, where=part.where, hint="export the stems of one song in one shape")
        return shapes[0]

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The weighted sum, block by block."""
        for blocks in zip(*(part.blocks(block_samples) for part in self.parts), strict=True):
            yield np.asarray(self.gain * np.sum(blocks, axis=0))

    def content_key(self) -> str:
        """A hash over the gain and the parts' own keys."""
        text = " ".join([repr(self.gain), *(part.content_key() for part in self.parts)])
        return hashlib.sha256(text.encode()).hexdigest()
