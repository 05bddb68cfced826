"""Stems as streams of blocks, (channels, samples) float64: a file, or a weighted sum of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluator.errors import DatasetError
from terminal.names import system_name

Floats = npt.NDArray[np.float64]

_HASH_BYTES = 1 << 20


@dataclass(frozen=True)
class AudioShape:
    """What must agree between a reference and its estimate."""

    samples: int
    channels: int
    sample_rate: int


class Stem(Protocol):
    """One source of one song."""

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

    def shape(self) -> AudioShape:
        """Length, channels and rate; DatasetError for a file that is absent, empty or no audio."""
        import soundfile

        try:
            info = soundfile.info(system_name(self.path))
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path) from error
        if info.frames < 1:
            raise DatasetError("holds no samples", where=self.path)
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
                        raise DatasetError(f"breaks off {remaining - block.shape[1]} samples early", where=self.path)
                    if not np.isfinite(block).all():
                        raise DatasetError("holds samples that are not finite numbers", where=self.path)
                    remaining -= block.shape[1]
                    yield block
        except (OSError, soundfile.SoundFileError) as error:
            raise DatasetError(f"cannot be read as audio ({error})", where=self.path) from error

    def content_key(self) -> str:
        """SHA-256 of the file; DatasetError when it cannot be read."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while piece := file.read(_HASH_BYTES):
                    digest.update(piece)
        except OSError as error:
            raise DatasetError(f"cannot be read ({error})", where=self.path) from error
        return digest.hexdigest()


@dataclass(frozen=True)
class SumStem:
    """``gain`` times the sum of stems of one shape: a mixture made of its stems, or a share of a mixture."""

    parts: tuple[Stem, ...]
    gain: float = 1.0

    def shape(self) -> AudioShape:
        """The common shape; DatasetError when the parts differ."""
        shapes = [part.shape() for part in self.parts]
        if len(set(shapes)) != 1:
            raise DatasetError(f"stems to be added differ: {', '.join(map(str, shapes))}")
        return shapes[0]

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The weighted sum, block by block."""
        for blocks in zip(*(part.blocks(block_samples) for part in self.parts), strict=True):
            yield np.asarray(self.gain * np.sum(blocks, axis=0))

    def content_key(self) -> str:
        """A hash over the gain and the parts' own keys."""
        text = " ".join([repr(self.gain), *(part.content_key() for part in self.parts)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StemPair:
    """References and estimates of one song, read from disk together, block by block, in the order of ``sources``."""

    sources: tuple[str, ...]
    references: tuple[Stem, ...]
    estimates: tuple[Stem, ...]
    audio: AudioShape

    @classmethod
    def open(cls, references: Mapping[str, Stem], estimates: Mapping[str, Stem], sources: Sequence[str]) -> StemPair:
        """Pair the stems of ``sources`` and check that all have one shape.

        Raises:
            DatasetError: a stem is absent, cannot be read, or differs in length, channels or sample rate.
        """
        for side, stems in (("reference", references), ("estimate", estimates)):
            absent = [source for source in sources if source not in stems]
            if absent:
                raise DatasetError(f"no {side} for {', '.join(absent)}")
        audio = references[sources[0]].shape()
        for source in sources:
            _check_same(audio, references[source].shape(), f"reference {source}", f"reference {sources[0]}")
            _check_same(audio, estimates[source].shape(), f"estimate {source}", "its reference")
        return cls(tuple(sources), tuple(references[s] for s in sources), tuple(estimates[s] for s in sources), audio)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sources, channels, samples)."""
        return len(self.sources), self.audio.channels, self.audio.samples

    def blocks(self, block_samples: int) -> Iterator[tuple[Floats, Floats]]:
        """References and estimates, each (sources, channels, samples)."""
        n_sources = len(self.sources)
        with ExitStack() as stack:
            streams = [stem.blocks(block_samples) for stem in (*self.references, *self.estimates)]
            for stream in streams:
                stack.callback(getattr(stream, "close", lambda: None))
            for blocks in zip(*streams, strict=True):
                yield np.stack(blocks[:n_sources]), np.stack(blocks[n_sources:])


def _check_same(expected: AudioShape, found: AudioShape, who: str, of_whom: str) -> None:
    for what, ours, theirs in (
        ("Hz", found.sample_rate, expected.sample_rate),
        ("channels", found.channels, expected.channels),
        ("samples", found.samples, expected.samples),
    ):
        if ours != theirs:
            raise DatasetError(f"{who} has {ours} {what}, {of_whom} {theirs}")
