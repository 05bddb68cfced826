"""Estimates of another length, sample rate or number of channels: refused with a cure, or fitted where that is asked.

Lengths are fitted as museval does it (``museval.pad_or_truncate``): an estimate that is too short is filled with
zeros at its end, one that is too long is cut there. Sample rates are changed by soxr at its best quality. A single
channel is repeated on every channel of the reference; for a reference of one channel the estimate's are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from evaluator.audio import AudioShape, Floats, Stem, SumStem
from evaluator.errors import DatasetError, EvaluationError

Length = Literal["exact", "pad"]
Channels = Literal["exact", "match"]

LENGTHS: tuple[str, ...] = get_args(Length)
CHANNELS: tuple[str, ...] = get_args(Channels)


_ZEROS = 1 << 17
"""Zeros appended at once."""


@dataclass(frozen=True)
class EstimateOptions:
    """What may be done to estimates that differ from their references in shape.

    Attributes:
        length: ``exact`` refuses other lengths, ``pad`` fills with zeros or cuts at the end, as museval does.
        resample: bring other sample rates to the reference's.
        channels: ``exact`` refuses other numbers of channels, ``match`` repeats one channel, or averages to one.
    """

    length: Length = "exact"
    resample: bool = False
    channels: Channels = "exact"

    def as_json(self) -> dict[str, Any]:
        """The options as a scores file records them."""
        return asdict(self)


def options_in_words(recorded: object) -> str:
    """Options of a scores file as words of the command line; empty where estimates were taken as they are."""
    known = recorded if isinstance(recorded, dict) else {}
    words = ["--length pad"] if known.get("length") == "pad" else []
    words += ["--resample"] if known.get("resample") is True else []
    words += ["--channels match"] if known.get("channels") == "match" else []
    return " ".join(words)


@dataclass(frozen=True)
class PaddedStem:
    """A stem filled with zeros, or cut, at its end."""

    inner: Stem
    samples: int

    @property
    def where(self) -> str:
        """The inner stem's place."""
        return self.inner.where

    def shape(self) -> AudioShape:
        """The inner shape with the length asked for."""
        inner = self.inner.shape()
        return AudioShape(self.samples, inner.channels, inner.sample_rate)

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The samples that are there, then zeros."""
        pieces = _of_length(self.inner.blocks(block_samples), self.samples, self.inner.shape().channels)
        yield from _in_blocks(pieces, block_samples)

    def content_key(self) -> str:
        """The inner key with the length."""
        return f"{self.inner.content_key()} to {self.samples} samples"


@dataclass(frozen=True)
class ChannelStem:
    """A stem with one channel repeated, or with all of its channels averaged to one."""

    inner: Stem
    channels: int

    @property
    def where(self) -> str:
        """The inner stem's place."""
        return self.inner.where

    def shape(self) -> AudioShape:
        """The inner shape with the channels asked for."""
        inner = self.inner.shape()
        return AudioShape(inner.samples, self.channels, inner.sample_rate)

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """Every block with its channels repeated or averaged."""
        for block in self.inner.blocks(block_samples):
            one = block if block.shape[0] == 1 else block.mean(axis=0, keepdims=True)
            yield np.repeat(one, self.channels, axis=0)

    def content_key(self) -> str:
        """The inner key with the channels."""
        return f"{self.inner.content_key()} on {self.channels} channels"


@dataclass(frozen=True)
class ResampledStem:
    """A stem at another sample rate, ``samples`` long."""

    inner: Stem
    sample_rate: int
    samples: int

    @property
    def where(self) -> str:
        """The inner stem's place."""
        return self.inner.where

    def shape(self) -> AudioShape:
        """The inner channels at the new rate."""
        return AudioShape(self.samples, self.inner.shape().channels, self.sample_rate)

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """The resampled samples; EvaluationError where soxr is not installed."""
        pieces = _of_length(self._resampled(block_samples), self.samples, self.inner.shape().channels)
        yield from _in_blocks(pieces, block_samples)

    def content_key(self) -> str:
        """The inner key with rate and length."""
        return f"{self.inner.content_key()} at {self.sample_rate} Hz, {self.samples} samples"

    def _resampled(self, block_samples: int) -> Iterator[Floats]:
        """What soxr makes of the stem, a few samples more or fewer than wanted."""
        try:
            import soxr
        except ImportError as error:
            raise EvaluationError(f"soxr cannot be imported ({error})", hint="pip install soxr") from error
        shape = self.inner.shape()
        stream = soxr.ResampleStream(
            shape.sample_rate, self.sample_rate, shape.channels, dtype="float64", quality="VHQ"
        )
        for block in self.inner.blocks(block_samples):
            yield np.asarray(stream.resample_chunk(np.ascontiguousarray(block.T)).reshape(-1, shape.channels).T)
        # One more instant than the signal needs, so that the last sample is filtered rather than filled in.
        silence = np.zeros((shape.sample_rate // self.sample_rate + 2, shape.channels))
        yield np.asarray(stream.resample_chunk(silence, last=True).reshape(-1, shape.channels).T)


def fit_estimate(stem: Stem, expected: AudioShape, options: EstimateOptions, *, who: str) -> tuple[Stem, list[str]]:
    """An estimate in its reference's shape.

    Args:
        stem: the estimate.
        expected: shape of the reference.
        options: what may be done to it.
        who: the estimate's name in messages, such as "estimate drums".

    Returns:
        The stem, and a sentence for everything that was done to it.

    Raises:
        DatasetError: it differs in a way that the options do not cover; the message says what would.
    """
    if isinstance(stem, SumStem):
        fitted = [fit_estimate(part, expected, options, who=who) for part in stem.parts]
        told = dict.fromkeys(note for _, of_part in fitted for note in of_part)
        return SumStem(tuple(part for part, _ in fitted), stem.gain), list(told)
    found = stem.shape()
    if found == expected:
        return stem, []
    _refuse(stem, found, expected, options, who=who)
    notes: list[str] = []
    if found.sample_rate != expected.sample_rate:
        notes.append(f"{who} resampled from {found.sample_rate} to {expected.sample_rate} Hz")
        stem = ResampledStem(stem, expected.sample_rate, _resampled_samples(found, expected))
    if found.channels != expected.channels:
        notes.append(f"{who} brought from {found.channels} to {expected.channels} channel(s)")
        stem = ChannelStem(stem, expected.channels)
    missing = expected.samples - stem.shape().samples
    if missing:
        done = f"filled with {missing} zeros at its end" if missing > 0 else f"cut by {-missing} samples at its end"
        notes.append(f"{who} {done}")
        stem = PaddedStem(stem, expected.samples)
    return stem, notes


def _refuse(stem: Stem, found: AudioShape, expected: AudioShape, options: EstimateOptions, *, who: str) -> None:
    """DatasetError with every difference that the options do not cover, and what would cover it."""
    problems: list[str] = []
    hints: list[str] = []
    if found.sample_rate != expected.sample_rate and not options.resample:
        problems.append(f"{found.sample_rate} Hz, its reference {expected.sample_rate}")
        hints.append("--resample")
    if found.channels != expected.channels and not (options.channels == "match" and 1 in _counts(found, expected)):
        problems.append(f"{found.channels} channels, its reference {expected.channels}")
        hints += ["--channels match"] if 1 in _counts(found, expected) else []
    if _resampled_samples(found, expected) != expected.samples and options.length == "exact":
        at_rate = "" if found.sample_rate == expected.sample_rate else f" at {found.sample_rate} Hz"
        problems.append(f"{found.samples} samples{at_rate}, its reference {expected.samples}")
        hints.append("--length pad")
    if problems:
        hint = "separate the very mixture that belongs to the reference and write the stems as it is"
        hint += f", or score with {' '.join(hints)}" if hints else ""
        raise DatasetError("; ".join(f"{who} has {problem}" for problem in problems), where=stem.where, hint=hint)


def _counts(found: AudioShape, expected: AudioShape) -> tuple[int, int]:
    return found.channels, expected.channels


def _resampled_samples(found: AudioShape, expected: AudioShape) -> int:
    """Samples of an estimate at its reference's rate; less than one of its own samples apart is the same length."""
    exact = found.samples * expected.sample_rate / found.sample_rate
    if found.sample_rate != expected.sample_rate and (
        abs(exact - expected.samples) * found.sample_rate < max(found.sample_rate, expected.sample_rate)
    ):
        return expected.samples
    return -(-found.samples * expected.sample_rate // found.sample_rate)


def _of_length(pieces: Iterator[Floats], samples: int, channels: int) -> Iterator[Floats]:
    """Pieces cut at ``samples``, or followed by the zeros that are missing."""
    remaining = samples
    for piece in pieces:
        if remaining == 0:
            return
        yield piece[:, :remaining]
        remaining -= min(remaining, piece.shape[1])
    for n_zeros in [_ZEROS] * (remaining // _ZEROS) + [remaining % _ZEROS]:
        yield np.zeros((channels, n_zeros))


def _in_blocks(pieces: Iterator[Floats], block_samples: int) -> Iterator[Floats]:
    """Pieces of any length as blocks of one length, the last one shorter."""
    waiting: list[Floats] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += piece.shape[1]
        while n_waiting >= block_samples:
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting, axis=1)
            yield joined[:, :block_samples]
            waiting, n_waiting = [joined[:, block_samples:]], n_waiting - block_samples
    if n_waiting:
        yield np.concatenate(waiting, axis=1)
