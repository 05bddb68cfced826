"""Demucs v2 level by level on a graph runtime: a third of the time of the same network in torch, in bounded memory.

Half of the network's time is its LSTM, which reads all of its weights for every step of a sequence; several segments
run through it together cost hardly more than one. The two outermost levels, hundreds of megabytes wide, run tile by
tile, and what lies between them is never whole; the outermost skip is computed again where it is needed, and what is
decoded takes the place of the other skips. Weights are opened when they are needed: of the gigabyte, two thirds belong
to the LSTM, a quarter of that to each direction of a layer. All that keeps down how much memory is touched, which costs
time as well: to be given a gigabyte takes from a quarter of a second to several.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from my_submission.engines.base import Batch
from my_submission.engines.demucs_recurrence import DemucsRecurrence
from my_submission.engines.subgraphs import DeferredSubgraph, OpenPiece, SubgraphEngine, deferred_piece
from my_submission.graphs.demucs_levels import decoder_level, encoder_level, level_tensors, resampler
from my_submission.graphs.demucs_shape import (
    CONTEXT,
    INPUT_SCALE,
    KERNEL,
    STRIDE,
    TILE_SAMPLES,
    DemucsConfig,
    checked_config_of,
    resample_kernels,
)
from my_submission.graphs.subgraph import INPUT
from my_submission.stems import Waveform
from my_submission.weights import read_tensor_shapes


@dataclass(frozen=True)
class _Columns:
    """An activation (1, C, 1, samples), kept or computed where it is asked for.

    Attributes:
        samples: of its last axis.
        between: columns first … last − 1.
    """

    samples: int
    between: Callable[[int, int], Batch]

    def centred(self, samples: int) -> _Columns:
        """As many columns around the centre."""
        start = (self.samples - samples) // 2
        return _Columns(samples, lambda first, last: self.between(start + first, start + last))

    def plus(self, other: _Columns) -> _Columns:
        """The sum of two that are equally long."""
        return _Columns(self.samples, lambda first, last: self.between(first, last) + other.between(first, last))


def _kept(activation: Batch) -> _Columns:
    return _Columns(activation.shape[-1], lambda first, last: activation[..., first:last])


@dataclass
class _Encoded:
    """A segment on its way: what the decoder will need of it.

    Attributes:
        outermost: output of the first level.
        skips: outputs of the others.
        bottom: the last of all.
    """

    outermost: _Columns
    skips: list[Batch]
    bottom: Batch


class DemucsEngine:
    """An engine of waveforms, float32 (batch, 2, S) to (batch, sources, 2, S'); S must be a valid length.

    Args:
        path: a checkpoint of plain tensors, mapped piece by piece, so that the weights are never in memory twice.
        open_piece: the runtime.
        runs_on: what the runtime calls itself.

    Raises:
        WeightsError: the file is damaged or not a Demucs v2.
    """

    def __init__(self, path: Path, *, open_piece: OpenPiece, runs_on: str) -> None:
        self.path = path
        self.config: DemucsConfig = checked_config_of(read_tensor_shapes(path), str(path))
        self._runs_on = runs_on
        depth = self.config.depth

        self._encoder = [
            deferred_piece(open_piece, path, level_tensors("encoder", level), partial(encoder_level, level=level))
            for level in range(depth)
        ]
        self._recurrence = DemucsRecurrence(path, self.config, open_piece)
        self._decoder = [
            deferred_piece(
                open_piece,
                path,
                level_tensors("decoder", level),
                partial(decoder_level, level=level, is_outermost=level == depth - 1),
            )
            for level in range(depth)
        ]
        self._up, self._down = (
            DeferredSubgraph(partial(open_piece, resampler(*rates), path)) for rates in ((1, 2), (2, 1))
        )

    @property
    def runs_on(self) -> str:
        """The runtime in use."""
        return self._runs_on

    def open(self) -> None:
        """Open all pieces now; the first run does it otherwise, as far as it has to."""
        for piece in (self._up, self._down, *self._encoder, *self._decoder):
            piece.open()
        self._recurrence.open()

    def with_rounded_recurrence(self) -> Self:
        """The same network, with the recurrent weights of its LSTM in 8 bits; all other weights are shared.

        Raises:
            WeightsError: the LSTM has not one of the widths that allow it.
        """
        rounded = copy.copy(self)
        rounded._recurrence = self._recurrence.rounded()
        rounded._runs_on = f"{self._runs_on}, recurrent weights in 8 bits"
        return rounded

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate segments of one length, one after the other; what is open stays open."""
        return np.stack([self._run([segment], is_last=is_last, is_lean=False)[0] for segment in batch])

    def run_together(self, segments: Sequence[Waveform], *, is_last: bool = False) -> list[Batch]:
        """Separate segments (2, S) of any valid lengths, each to (sources, 2, S').

        Memory grows by a quarter of a gigabyte for each of the published 40 s; to make room for it, the weights of
        encoder and LSTM are let go of when they have been used, and opened again for the next segments.
        """
        return self._run(segments, is_last=is_last, is_lean=True)

    def _run(self, segments: Sequence[Waveform], *, is_last: bool, is_lean: bool) -> list[Batch]:
        encoded = [self._encode(segment) for segment in segments]
        if is_lean:
            for level in self._encoder[1:]:  # the decoder asks for the outermost again
                level.close()
        recurred = self._recurrence.run([one.bottom for one in encoded], is_lean=is_lean)
        encoded.reverse()
        recurred.reverse()
        # Each is let go of as soon as it is decoded: what the decoder needs of a segment is most of the memory.
        return [
            self._decode(encoded.pop(), recurred.pop(), is_last=is_last and not encoded) for _ in range(len(segments))
        ]

    def _encode(self, segment: Waveform) -> _Encoded:
        scaled = _kept((segment / np.float32(INPUT_SCALE))[None, :, None])
        resampled = _whole(_resampled(self._up, scaled, 1, 2), tile_samples=TILE_SAMPLES)
        outermost = x = _seen(self._encoder[0], _kept(resampled), kernel=KERNEL, stride=STRIDE)
        skips: list[Batch] = []
        tile_samples = TILE_SAMPLES // STRIDE  # the second level's: so many samples of the first are a tile
        for encode in self._encoder[1:]:
            skips.append(_whole(_seen(encode, x, kernel=KERNEL, stride=STRIDE), tile_samples=tile_samples))
            x, tile_samples = _kept(skips[-1]), TILE_SAMPLES
        return _Encoded(outermost, skips, x.between(0, x.samples))

    def _decode(self, encoded: _Encoded, x: Batch, *, is_last: bool) -> Batch:
        """Decode what came out of the LSTM. The kept skips of the segment become what is decoded of it."""
        decoded = _kept(x)
        for decode in self._decoder[:-1]:
            decoded = _widened(decode, _kept(_onto(encoded.skips.pop(), decoded)))
        outermost = decoded.plus(encoded.outermost.centred(decoded.samples))
        stems = _resampled(self._down, _widened(self._decoder[-1], outermost), 2, 1, is_last=is_last)
        rows = _whole(stems, tile_samples=STRIDE * TILE_SAMPLES // 2)
        return rows.reshape(len(self.config.sources), self.config.audio_channels, -1)


def _seen(piece: SubgraphEngine, given: _Columns, *, kernel: int, stride: int) -> _Columns:
    """What layers make that see ``kernel`` columns per output."""
    if given.samples < kernel:
        raise ValueError(f"{given.samples} samples are fewer than the {kernel} that the layers need")

    def between(first: int, last: int) -> Batch:
        return piece({INPUT: given.between(first * stride, (last - 1) * stride + kernel)})

    return _Columns((given.samples - kernel) // stride + 1, between)


def _widened(piece: SubgraphEngine, given: _Columns) -> _Columns:
    """What a decoder level makes: a convolution, then a transposed one, whose outputs see two samples of the first."""
    steps = given.samples - CONTEXT + 1
    if steps < 1:
        raise ValueError(f"{given.samples} samples are fewer than the {CONTEXT} that the level needs")

    def between(first: int, last: int) -> Batch:
        start = max(0, -((KERNEL - 1 - first) // STRIDE))
        stop = min(steps, (last - 1) // STRIDE + 1)
        made = piece({INPUT: given.between(start, stop + CONTEXT - 1)})
        return made[..., first - STRIDE * start : last - STRIDE * start]

    return _Columns((steps - 1) * STRIDE + KERNEL, between)


def _tiles(columns: _Columns, tile_samples: int) -> Iterator[tuple[slice, Batch]]:
    for start in range(0, columns.samples, tile_samples):
        place = slice(start, min(start + tile_samples, columns.samples))
        yield place, columns.between(place.start, place.stop)


def _whole(columns: _Columns, *, tile_samples: int) -> Batch:
    """All columns, computed tile by tile."""
    whole = None
    for place, tile in _tiles(columns, tile_samples):
        whole = np.empty((*tile.shape[:-1], columns.samples), np.float32) if whole is None else whole
        whole[..., place] = tile
    assert whole is not None
    return whole


def _onto(skip: Batch, columns: _Columns) -> Batch:
    """Add columns to the middle of a skip, tile by tile, which takes no other memory; returns that middle."""
    start = (skip.shape[-1] - columns.samples) // 2
    middle = skip[..., start : start + columns.samples]
    for place, tile in _tiles(columns, STRIDE * TILE_SAMPLES):
        middle[..., place] += tile
    return middle


def _padded(given: _Columns, left: int, right: int) -> _Columns:
    """The same with its first and last column repeated at its sides."""

    def between(first: int, last: int) -> Batch:
        start, stop = first - left, last - left
        inside = given.between(min(max(start, 0), given.samples - 1), max(min(stop, given.samples), 1))
        missing = (max(0, min(-start, last - first - 1)), max(0, min(stop - given.samples, last - first - 1)))
        return np.pad(inside, ((0, 0), (0, 0), (0, 0), missing), mode="edge") if any(missing) else inside

    return _Columns(left + given.samples + right, between)


def _resampled(piece: SubgraphEngine, given: _Columns, old: int, new: int, *, is_last: bool = False) -> _Columns:
    """Waveforms (1, C, 1, S) at new/old times their rate: (1, C, 1, floor(new · S / old))."""
    kernels, width = resample_kernels(old, new)
    padded = _padded(given, width, width + old)
    samples = new * given.samples // old

    def between(first: int, last: int) -> Batch:
        start, stop = first // new, -(-last // new)
        heard = padded.between(start * old, (stop - 1) * old + kernels.shape[-1])
        channels = heard.shape[1]
        phases = piece({INPUT: heard.reshape(channels, 1, 1, -1)}, is_last=is_last and last == samples)
        interleaved = phases.transpose(2, 0, 3, 1).reshape(1, channels, 1, -1)
        return interleaved[..., first - new * start : last - new * start]

    return _Columns(samples, between)
