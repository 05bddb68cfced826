"""Estimates of another length, sample rate or number of channels: refused with a hint, or converted on request.

Lengths are converted as in museval (``museval.pad_or_truncate``): short estimates are zero-padded at the end, long ones
cut there. Sample rates are converted by soxr at its best quality. A mono estimate is repeated on every channel of the
reference; for a mono reference the estimate's channels are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from evaluator.audio import AudioShape, Floats, Stem, SumStem
from evaluator.errors import DatasetError, EvaluationError
from terminal.quantities import counted

Length = Literal["exact", "pad"]
Channels = Literal["exact", "match"]

LENGTHS: tuple[str, ...] = get_args(Length)
CHANNELS: tuple[str, ...] = get_args(Channels)

_ZEROS = 1 << 17
"""Zeros appended at once."""


@dataclass(frozen=True)
class EstimateOptions:
    """Conversions allowed for estimates that differ from their references in shape.

    Attributes:
        length: ``exact`` refuses other lengths, ``pad`` zero-pads or cuts at the end, as museval does.
        resample: whether to convert the sample rate to the reference's.
        channels: ``exact`` refuses other numbers of channels, ``match`` repeats one channel or averages to one.
    """

    length: Length = "exact"
    resample: bool = False
    channels: Channels = "exact"

    def as_json(self) -> dict[str, Any]:
        """Return the options as a scores file records them."""
        return asdict(self)


def options_in_words(recorded: object) -> str:
    """Return the options of a scores file as words of the command line; empty without conversions."""
    known = recorded if isinstance(recorded, dict) else {}
    words = ["--length pad"] if known.get("length") == "pad" else []
    words += ["--resample"] if known.get("resample") is True else []
    words += ["--channels match"] if known.get("channels") == "match" else []
    return " ".join(words)


@dataclass(frozen=True)
class ConvertedStem:
    """A stem converted to another sample rate, number of channels and length, in this order."""

    inner: Stem
    expected: AudioShape

    @property
    def where(self) -> str:
        """Path of the inner stem."""
        return self.inner.where

    def shape(self) -> AudioShape:
        """Return the shape after conversion."""
        return self.expected

    def blocks(self, block_samples: int) -> Iterator[Floats]:
        """Yield the converted samples; EvaluationError if soxr is needed and not installed."""
        found, n_channels = self.inner.shape(), self.expected.channels
        pieces = self.inner.blocks(block_samples)
        if found.sample_rate != self.expected.sample_rate:
            resampled = _resampled(pieces, found, self.expected.sample_rate)
            pieces = _of_length(resampled, _resampled_samples(found, self.expected), found.channels)
        if found.channels != n_channels:
            pieces = (np.repeat(piece.mean(axis=0, keepdims=True), n_channels, axis=0) for piece in pieces)
        yield from _in_blocks(_of_length(pieces, self.expected.samples, n_channels), block_samples)

    def content_key(self) -> str:
        """Return a hash of the inner content and the shape."""
        return f"{self.inner.content_key()} as {self.expected}"


def _resampled(pieces: Iterator[Floats], shape: AudioShape, sample_rate: int) -> Iterator[Floats]:
    """Yield resampled pieces, in total a few samples more or fewer than wanted."""
    try:
        import soxr
    except ImportError as error:
        raise EvaluationError(f"soxr cannot be imported ({error})", hint="pip install soxr") from error
    stream = soxr.ResampleStream(shape.sample_rate, sample_rate, shape.channels, dtype="float64", quality="VHQ")
    for piece in pieces:
        yield np.asarray(stream.resample_chunk(np.ascontiguousarray(piece.T)).reshape(-1, shape.channels).T)
    # Some silence more than the signal needs, so that the last sample is filtered and not padded.
    silence = np.zeros((shape.sample_rate // sample_rate + 2, shape.channels))
    yield np.asarray(stream.resample_chunk(silence, last=True).reshape(-1, shape.channels).T)


def fit_estimate(stem: Stem, expected: AudioShape, options: EstimateOptions, *, who: str) -> tuple[Stem, list[str]]:
    """Convert an estimate to its reference's shape.

    Args:
        who: the estimate's name in messages, such as "estimate drums".

    Returns:
        The converted stem, and one sentence per conversion.

    Raises:
        DatasetError: the options do not allow a conversion that is needed; the hint names the option.
    """
    if isinstance(stem, SumStem):
        fitted = [fit_estimate(part, expected, options, who=who) for part in stem.parts]
        all_notes = dict.fromkeys(note for _, of_part in fitted for note in of_part)
        return SumStem(tuple(part for part, _ in fitted), stem.gain), list(all_notes)
    found = stem.shape()
    if found == expected:
        return stem, []
    _refuse(stem, found, expected, options, who=who)
    notes: list[str] = []
    if found.sample_rate != expected.sample_rate:
        notes.append(f"{who} resampled from {found.sample_rate} to {expected.sample_rate} Hz")
    if found.channels != expected.channels:
        notes.append(f"{who} converted from {found.channels} to {counted(expected.channels, 'channel')}")
    missing = expected.samples - _resampled_samples(found, expected)
    if missing:
        done = f"padded with {missing} zeros at its end" if missing > 0 else f"cut by {-missing} samples at its end"
        notes.append(f"{who} {done}")
    return ConvertedStem(stem, expected), notes


def _refuse(stem: Stem, found: AudioShape, expected: AudioShape, options: EstimateOptions, *, who: str) -> None:
    """Raise DatasetError with every difference that the options do not allow, and the options that would."""
    problems: list[str] = []
    hints: list[str] = []
    is_mono = 1 in (found.channels, expected.channels)
    if found.sample_rate != expected.sample_rate and not options.resample:
        problems.append(f"{found.sample_rate} Hz, its reference {expected.sample_rate}")
        hints.append("--resample")
    if found.channels != expected.channels and not (options.channels == "match" and is_mono):
        problems.append(f"{found.channels} channels, its reference {expected.channels}")
        hints += ["--channels match"] if is_mono else []
    if _resampled_samples(found, expected) != expected.samples and options.length == "exact":
        at_rate = "" if found.sample_rate == expected.sample_rate else f" at {found.sample_rate} Hz"
        problems.append(f"{found.samples} samples{at_rate}, its reference {expected.samples}")
        hints.append("--length pad")
    if problems:
        hint = "separate the reference's own mixture, and write the stems with its length, rate and channels"
        hint += f", or score with {' '.join(hints)}" if hints else ""
        raise DatasetError("; ".join(f"{who} has {problem}" for problem in problems), where=stem.where, hint=hint)


def _resampled_samples(found: AudioShape, expected: AudioShape) -> int:
    """Return the samples of an estimate at its reference's rate; less than one sample apart counts as equal."""
    exact = found.samples * expected.sample_rate / found.sample_rate
    if found.sample_rate != expected.sample_rate and (
        abs(exact - expected.samples) * found.sample_rate < max(found.sample_rate, expected.sample_rate)
    ):
        return expected.samples
    return -(-found.samples * expected.sample_rate // found.sample_rate)


def _of_length(pieces: Iterator[Floats], samples: int, channels: int) -> Iterator[Floats]:
    """Yield the pieces, cut or zero-padded to ``samples``."""
    remaining = samples
    for piece in pieces:
        if remaining == 0:
            return
        yield piece[:, :remaining]
        remaining -= min(remaining, piece.shape[1])
    for n_zeros in [_ZEROS] * (remaining // _ZEROS) + [remaining % _ZEROS]:
        yield np.zeros((channels, n_zeros))


def _in_blocks(pieces: Iterator[Floats], block_samples: int) -> Iterator[Floats]:
    """Yield pieces of any length as blocks of one length; the last one may be shorter."""
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
