"""Demucs v2 level by level on a graph runtime: a third of the time of the same network in torch, in bounded memory.

Half of the network's time is its LSTM, which reads all of its weights for every step of a sequence; several segments
run through it together cost hardly more than one. The outermost levels, hundreds of megabytes wide, run in tiles, and
the outermost skip is computed again where it is needed instead of being kept. Weights are opened when they are needed:
of the gigabyte, two thirds belong to the LSTM, a quarter of that to each direction of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.networks.demucs_graphs import (
    INPUT,
    LENGTHS,
    LSTM_LINEAR_TENSORS,
    GraphPiece,
    decoder_level,
    encoder_level,
    level_tensors,
    lstm_direction,
    lstm_direction_tensors,
    lstm_linear,
    resampler,
)
from my_submission.networks.demucs_shape import (
    CONTEXT,
    INPUT_SCALE,
    KERNEL,
    STRIDE,
    TILE_SAMPLES,
    DemucsConfig,
    checked_config_of,
    resample_kernels,
)
from my_submission.stems import Waveform
from my_submission.weights import map_tensors, read_tensor_shapes


class Piece(Protocol):
    """A graph ready to run."""

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """The graph's one output; ``is_last`` gives working memory back."""
        ...


OpenPiece = Callable[[GraphPiece, Path], Piece]
"""Makes a graph ready to run; the path is that of the checkpoint, for error messages."""


class _DeferredPiece:
    """A piece that is opened when it is first run, and can be let go of until it is run again."""

    def __init__(self, open_piece: Callable[[], Piece]) -> None:
        self._open_piece = open_piece
        self._piece: Piece | None = None

    def open(self) -> Piece:
        """The piece, ready to run."""
        self._piece = self._piece or self._open_piece()
        return self._piece

    def close(self) -> None:
        """Let go of its weights."""
        self._piece = None

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """Run it."""
        return self.open()(feeds, is_last=is_last)


SkipBetween = Callable[[int, int], Batch]
"""Samples first … last − 1 of what a decoder level adds to its input."""


@dataclass
class _Encoded:
    """A segment on its way: what the decoder will need of it."""

    resampled: Batch
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

        def deferred(
            make: Callable[[Mapping[str, npt.NDArray[Any]]], GraphPiece], names: Sequence[str]
        ) -> _DeferredPiece:
            return _DeferredPiece(lambda: open_piece(make(map_tensors(path, names)), path))

        self._encoder = [
            deferred(partial(encoder_level, level=level), level_tensors("encoder", level)) for level in range(depth)
        ]
        self._lstm = [
            [
                deferred(
                    partial(lstm_direction, layer=layer, is_backward=is_backward),
                    lstm_direction_tensors(layer, is_backward),
                )
                for is_backward in (False, True)
            ]
            for layer in range(self.config.lstm_layers)
        ]
        self._linear = deferred(lstm_linear, LSTM_LINEAR_TENSORS)
        self._decoder = [
            deferred(
                partial(decoder_level, level=level, is_outermost=level == depth - 1), level_tensors("decoder", level)
            )
            for level in range(depth)
        ]
        self._up, self._down = (
            _DeferredPiece(partial(open_piece, resampler(*rates), path)) for rates in ((1, 2), (2, 1))
        )

    @property
    def runs_on(self) -> str:
        """The runtime in use."""
        return self._runs_on

    def open(self) -> None:
        """Open all pieces now; the first run does it otherwise, as far as it has to."""
        directions = [direction for layer in self._lstm for direction in layer]
        for piece in (self._up, self._down, *self._encoder, *directions, self._linear, *self._decoder):
            piece.open()

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
        recurred = self._recur([one.bottom for one in encoded], is_lean=is_lean)
        encoded.reverse()
        recurred.reverse()
        # Each is let go of as soon as it is decoded: what the decoder needs of a segment is most of the memory.
        return [
            self._decode(encoded.pop(), recurred.pop(), is_last=is_last and not encoded) for _ in range(len(segments))
        ]

    def _encode(self, segment: Waveform) -> _Encoded:
        x = resampled = _resampled(self._up, segment / np.float32(INPUT_SCALE), 1, 2)[None, :, None]
        skips: list[Batch] = []
        for level, encode in enumerate(self._encoder):
            x = _tiled(encode, x, kernel=KERNEL, stride=STRIDE)
            if level:
                skips.append(x)
        return _Encoded(resampled, skips, x)

    def _recur(self, bottoms: Sequence[Batch], *, is_lean: bool) -> list[Batch]:
        """All bottoms (1, C, 1, T) through the LSTM together, each at its own length."""
        lengths = np.array([bottom.shape[-1] for bottom in bottoms], np.int32)
        x = np.zeros((int(lengths.max()), len(bottoms), bottoms[0].shape[1]), np.float32)
        for index, bottom in enumerate(bottoms):
            x[: lengths[index], index] = bottom[0, :, 0].T
        for layer in self._lstm:
            sides = []
            for direction in layer:
                # It projects all steps at once: a tenth of a gigabyte that the decoder has a better use for.
                sides.append(direction({INPUT: x, LENGTHS: lengths}, is_last=True))
                if is_lean:
                    direction.close()
            x = np.concatenate(sides, axis=-1)
        x = self._linear({INPUT: x}, is_last=True)
        return [np.ascontiguousarray(x[:length, index].T)[None, :, None] for index, length in enumerate(lengths)]

    def _decode(self, encoded: _Encoded, x: Batch, *, is_last: bool) -> Batch:
        for decode in self._decoder[:-1]:
            x = _decoded(decode, x, _kept_skip(encoded.skips.pop(), x.shape[-1]))
        x = _decoded(self._decoder[-1], x, self._outermost_skip(encoded.resampled, x.shape[-1]))
        stems = _resampled(self._down, x[0, :, 0], 2, 1, is_last=is_last)
        return stems.reshape(len(self.config.sources), self.config.audio_channels, -1)

    def _outermost_skip(self, resampled: Batch, length: int) -> SkipBetween:
        """The first level's output, trimmed to ``length``, computed where it is asked for."""
        excess = (resampled.shape[-1] - KERNEL) // STRIDE + 1 - length

        def between(first: int, last: int) -> Batch:
            start, stop = first + excess // 2, last + excess // 2
            return self._encoder[0]({INPUT: resampled[..., start * STRIDE : (stop - 1) * STRIDE + KERNEL]})

        return between


def _kept_skip(skip: Batch, length: int) -> SkipBetween:
    """A level's output, trimmed to ``length`` around its centre."""
    start = (skip.shape[-1] - length) // 2
    return lambda first, last: skip[..., start + first : start + last]


def _tiled(piece: Piece, x: Batch, *, kernel: int, stride: int, is_last: bool = False) -> Batch:
    """Run layers that see ``kernel`` samples of the last axis per output, tile by tile: only the result is whole."""
    samples = (x.shape[-1] - kernel) // stride + 1
    whole = None
    for start in range(0, samples, TILE_SAMPLES):
        stop = min(start + TILE_SAMPLES, samples)
        seen = x[..., start * stride : (stop - 1) * stride + kernel]
        tile = piece({INPUT: seen}, is_last=is_last and stop == samples)
        whole = np.empty((*tile.shape[:-1], samples), np.float32) if whole is None else whole
        whole[..., start:stop] = tile
    if whole is None:
        raise ValueError(f"{x.shape[-1]} samples are fewer than the {kernel} that the layers need")
    return whole


def _decoded(piece: Piece, x: Batch, skip_between: SkipBetween) -> Batch:
    """Run a decoder level over the sum of both, tile by tile.

    An output sample of the transposed convolution sees two samples of the convolution before it, so every tile but
    the first begins one sample early.
    """
    samples = x.shape[-1] - CONTEXT + 1
    whole = None
    for start in range(0, samples, TILE_SAMPLES):
        stop = min(start + TILE_SAMPLES, samples)
        first, last = start - min(start, 1), stop + CONTEXT - 1
        tile = piece({INPUT: x[..., first:last] + skip_between(first, last)})
        if whole is None:
            whole = np.empty((*tile.shape[:-1], (samples - 1) * STRIDE + KERNEL), np.float32)
        end = whole.shape[-1] if stop == samples else STRIDE * stop
        whole[..., STRIDE * start : end] = tile[..., STRIDE * (start - first) : end - STRIDE * first]
    if whole is None:
        raise ValueError(f"{x.shape[-1]} samples are fewer than the {CONTEXT} that the level needs")
    return whole


def _resampled(piece: Piece, rows: Waveform, old: int, new: int, *, is_last: bool = False) -> Waveform:
    """Rows (n, S) at new/old times their rate: (n, floor(new · S / old))."""
    kernels, width = resample_kernels(old, new)
    padded = np.pad(rows, ((0, 0), (width, width + old)), mode="edge")[:, None, None]
    phases = _tiled(piece, padded, kernel=kernels.shape[-1], stride=old, is_last=is_last)
    interleaved = phases[:, :, 0].swapaxes(1, 2).reshape(len(rows), -1)
    return interleaved[:, : new * rows.shape[-1] // old]
