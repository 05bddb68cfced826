"""Demucs v2 level by level on onnxruntime's CPU provider: three times as fast as in torch, in bounded memory.

Half of the network's time is its LSTM, which reads all of its weights at every step; running several segments through
it together costs hardly more than one. The two outermost levels, hundreds of megabytes wide, run tile by tile, so that
the activation between them is never complete; the outermost skip is recomputed, and the other skips are overwritten by
the decoder. Weights are opened when they are needed: two thirds of the gigabyte are the LSTM's, a quarter of that per
direction of a layer. Touching less memory also saves time: allocating a gigabyte takes 0.25 s or more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from my_submission.engines.base import Batch, open_once
from my_submission.engines.demucs_recurrence import DemucsRecurrence
from my_submission.engines.processors import available_cpus
from my_submission.engines.runtimes import import_onnxruntime
from my_submission.engines.subgraph_engine import DeferredSubgraph, subgraph_of
from my_submission.graphs.demucs_levels import decoder_level, encoder_level, level_tensors, resampler
from my_submission.graphs.demucs_shape import (
    CONTEXT,
    INPUT_SCALE,
    KERNEL,
    STRIDE,
    TILE_SAMPLES,
    DemucsConfig,
    config_of,
    resample_kernels,
)
from my_submission.graphs.subgraph import INPUT
from my_submission.stems import Waveform
from my_submission.weights import read_tensor_shapes
from terminal.quantities import counted


@dataclass(frozen=True)
class _Columns:
    """An activation (1, C, 1, samples), stored or computed on demand.

    Attributes:
        samples: length of the last axis.
        between: returns columns first … last − 1.
    """

    samples: int
    between: Callable[[int, int], Batch]

    def centred(self, samples: int) -> _Columns:
        """Return ``samples`` columns around the centre."""
        start = (self.samples - samples) // 2
        return _Columns(samples, lambda first, last: self.between(start + first, start + last))

    def plus(self, other: _Columns) -> _Columns:
        """Return the sum of two activations of the same length."""
        return _Columns(self.samples, lambda first, last: self.between(first, last) + other.between(first, last))


def _stored(activation: Batch) -> _Columns:
    return _Columns(activation.shape[-1], lambda first, last: activation[..., first:last])


@dataclass
class _Encoded:
    """An encoded segment.

    Attributes:
        outermost: output of the first level.
        skips: outputs of the other levels.
        bottom: output of the last level.
    """

    outermost: _Columns
    skips: list[Batch]
    bottom: Batch


class DemucsEngine:
    """An engine of waveforms, float32 (batch, 2, S) to (batch, sources, 2, S'); S must be a valid length.

    Args:
        path: a checkpoint of plain tensors, mapped level by level, so that the weights are never in memory twice.
        threads: processors per run.

    Raises:
        WeightsError: the file is damaged or not a Demucs v2.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        self.path = path
        self.config: DemucsConfig = config_of(read_tensor_shapes(path), str(path))
        self._runs_on = f"onnxruntime {onnxruntime.__version__} CPU, {counted(threads, 'thread')}, level by level"
        levels = range(self.config.depth)
        self._encoder = [
            subgraph_of(path, level_tensors("encoder", level), partial(encoder_level, level=level), threads=threads)
            for level in levels
        ]
        self._recurrence = DemucsRecurrence(path, self.config, threads=threads)
        self._decoder = [
            subgraph_of(
                path,
                level_tensors("decoder", level),
                partial(decoder_level, level=level, is_outermost=level == levels[-1]),
                threads=threads,
            )
            for level in levels
        ]
        self._up, self._down = (
            DeferredSubgraph(partial(resampler, *rates), path, threads=threads) for rates in ((1, 2), (2, 1))
        )

    @property
    def runs_on(self) -> str:
        """onnxruntime's version and the number of threads."""
        return self._runs_on

    def open(self) -> None:
        """Open all weights now; otherwise the first run opens what it needs."""
        for subgraph in (self._up, self._down, *self._encoder, *self._decoder):
            subgraph.open()
        self._recurrence.open()

    def with_rounded_recurrence(self) -> Self:
        """Return the network with the recurrent weights of its LSTM quantised to 8 bits; it shares all other weights.

        Raises:
            WeightsError: the LSTM's width is not a multiple of a block.
        """
        rounded = copy.copy(self)
        rounded._recurrence = self._recurrence.rounded()
        rounded._runs_on = f"{self._runs_on}, recurrent weights in 8 bits"
        return rounded

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate segments of one length, one after the other; weights stay open."""
        return np.stack([self._run([segment], is_last=is_last, is_lean=False)[0] for segment in batch])

    def run_together(self, segments: Sequence[Waveform], *, is_last: bool = False) -> list[Batch]:
        """Separate segments (2, S) of any valid lengths, each to (sources, 2, S').

        Memory grows by 0.25 GB for each segment of the published 40 s. To make room, the weights of encoder and LSTM
        are closed after use and opened again for the next segments.
        """
        return self._run(segments, is_last=is_last, is_lean=True)

    def _run(self, segments: Sequence[Waveform], *, is_last: bool, is_lean: bool) -> list[Batch]:
        encoded = [self._encode(segment) for segment in segments]
        if is_lean:
            for level in self._encoder[1:]:  # the decoder recomputes the outermost
                level.close()
        recurred = self._recurrence.run([one.bottom for one in encoded], is_lean=is_lean)
        encoded.reverse()
        recurred.reverse()
        # Each is released as soon as it is decoded: encoded segments are most of the memory.
        return [
            self._decode(encoded.pop(), recurred.pop(), is_last=is_last and not encoded) for _ in range(len(segments))
        ]

    def _encode(self, segment: Waveform) -> _Encoded:
        scaled = _stored((segment / np.float32(INPUT_SCALE))[None, :, None])
        resampled = _computed(_resampled(self._up, scaled, 1, 2), tile_samples=TILE_SAMPLES)
        outermost = x = _strided(self._encoder[0], _stored(resampled))
        skips: list[Batch] = []
        tile_samples = TILE_SAMPLES // STRIDE  # of the second level, so that the first one works on TILE_SAMPLES
        for encode in self._encoder[1:]:
            skips.append(_computed(_strided(encode, x), tile_samples=tile_samples))
            x, tile_samples = _stored(skips[-1]), TILE_SAMPLES
        return _Encoded(outermost, skips, x.between(0, x.samples))

    def _decode(self, encoded: _Encoded, x: Batch, *, is_last: bool) -> Batch:
        """Decode the output of the LSTM; the stored skips of the segment are overwritten."""
        decoded = _stored(x)
        for decode in self._decoder[:-1]:
            decoded = _transposed(decode, _stored(_added_to(encoded.skips.pop(), decoded)))
        outermost = decoded.plus(encoded.outermost.centred(decoded.samples))
        stems = _resampled(self._down, _transposed(self._decoder[-1], outermost), 2, 1, is_last=is_last)
        rows = _computed(stems, tile_samples=STRIDE * TILE_SAMPLES // 2)
        return rows.reshape(len(self.config.sources), self.config.audio_channels, -1)


def _strided(level: DeferredSubgraph, x: _Columns) -> _Columns:
    """Return the output of an encoder level, whose outputs depend on ``KERNEL`` columns each."""
    if x.samples < KERNEL:
        raise ValueError(f"{x.samples} samples are fewer than the {KERNEL} that the level needs")

    def between(first: int, last: int) -> Batch:
        return level({INPUT: x.between(first * STRIDE, (last - 1) * STRIDE + KERNEL)})

    return _Columns((x.samples - KERNEL) // STRIDE + 1, between)


def _transposed(level: DeferredSubgraph, x: _Columns) -> _Columns:
    """Return the output of a decoder level: a convolution, then a transposed one over two samples of the first."""
    steps = x.samples - CONTEXT + 1
    if steps < 1:
        raise ValueError(f"{x.samples} samples are fewer than the {CONTEXT} that the level needs")

    def between(first: int, last: int) -> Batch:
        start = max(0, -((KERNEL - 1 - first) // STRIDE))
        stop = min(steps, (last - 1) // STRIDE + 1)
        output = level({INPUT: x.between(start, stop + CONTEXT - 1)})
        return output[..., first - STRIDE * start : last - STRIDE * start]

    return _Columns((steps - 1) * STRIDE + KERNEL, between)


def _tiles(columns: _Columns, tile_samples: int) -> Iterator[tuple[slice, Batch]]:
    for start in range(0, columns.samples, tile_samples):
        place = slice(start, min(start + tile_samples, columns.samples))
        yield place, columns.between(place.start, place.stop)


def _computed(columns: _Columns, *, tile_samples: int) -> Batch:
    """Return all columns, computed tile by tile."""
    whole = None
    for place, tile in _tiles(columns, tile_samples):
        whole = np.empty((*tile.shape[:-1], columns.samples), np.float32) if whole is None else whole
        whole[..., place] = tile
    assert whole is not None
    return whole


def _added_to(skip: Batch, columns: _Columns) -> Batch:
    """Add columns to the middle of a skip in place, tile by tile, and return that middle."""
    start = (skip.shape[-1] - columns.samples) // 2
    middle = skip[..., start : start + columns.samples]
    for place, tile in _tiles(columns, STRIDE * TILE_SAMPLES):
        middle[..., place] += tile
    return middle


def _padded(x: _Columns, left: int, right: int) -> _Columns:
    """Return the activation padded by its first and last column."""

    def between(first: int, last: int) -> Batch:
        start, stop = first - left, last - left
        inside = x.between(min(max(start, 0), x.samples - 1), max(min(stop, x.samples), 1))
        missing = (max(0, min(-start, last - first - 1)), max(0, min(stop - x.samples, last - first - 1)))
        return np.pad(inside, ((0, 0), (0, 0), (0, 0), missing), mode="edge") if any(missing) else inside

    return _Columns(left + x.samples + right, between)


def _resampled(convolve: DeferredSubgraph, x: _Columns, old: int, new: int, *, is_last: bool = False) -> _Columns:
    """Return waveforms (1, C, 1, S) resampled by new/old: (1, C, 1, floor(new · S / old))."""
    kernels, width = resample_kernels(old, new)
    padded = _padded(x, width, width + old)
    samples = new * x.samples // old

    def between(first: int, last: int) -> Batch:
        start, stop = first // new, -(-last // new)
        taken = padded.between(start * old, (stop - 1) * old + kernels.shape[-1])
        channels = taken.shape[1]
        phases = convolve({INPUT: taken.reshape(channels, 1, 1, -1)}, is_last=is_last and last == samples)
        interleaved = phases.transpose(2, 0, 3, 1).reshape(1, channels, 1, -1)
        return interleaved[..., first - new * start : last - new * start]

    return _Columns(samples, between)


def open_demucs(path: Path, *, threads: int | None = None) -> DemucsEngine:
    """Open a checkpoint, once for the life of the process while the file is unchanged.

    Args:
        path: a checkpoint of plain tensors.
        threads: processors per run; all that the process may use by default.

    Raises:
        WeightsError: the file is damaged or not a Demucs v2.
    """
    return open_once(DemucsEngine, path, threads=threads or available_cpus())
