"""Weight quantisation: blocks of 4-bit integers with optimised scales, and 8-bit integers with one scale per channel.

DequantizeLinear multiplies the integers by the scale. For every block of 32 weights, the scale with the least squared
error is searched among fractions of the one that represents the largest weight exactly. Scales are rounded to half
precision, as they are stored, before the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK = 32
"""Number of weights per scale."""

_LOWEST, _HIGHEST = -8, 7
_FRACTIONS = np.linspace(0.6, 1.08, 49)
"""Candidate scales, relative to the one that represents the largest weight of a block exactly."""

_BLOCKS_AT_ONCE = 1 << 14
_SMALLEST_SCALE = float(np.finfo(np.float16).tiny)


@dataclass(frozen=True)
class Quantised:
    """A quantised tensor.

    Attributes:
        integers: int8 values; for 4 bits, -8 to 7 as (blocks, 32), otherwise in the shape of the tensor.
        scales: float16 (blocks, 1), or float32 with one scale per channel.
        axis: axis of the scales.
        shape: shape of the tensor.
    """

    integers: npt.NDArray[np.int8]
    scales: npt.NDArray[Any]
    axis: int
    shape: tuple[int, ...]

    def values(self) -> Floats:
        """Return the dequantised tensor."""
        scales = self.scales.astype(np.float32)
        if self.integers.shape != self.shape:
            return (self.integers.astype(np.float32) * scales).reshape(self.shape)
        wide = [-1 if axis == self.axis else 1 for axis in range(len(self.shape))]
        return self.integers.astype(np.float32) * scales.reshape(wide)


def in_four_bits(weights: Floats) -> Quantised:
    """Quantise blocks of 32 consecutive weights to 4 bits, each with the scale of least squared error.

    Raises:
        ValueError: the number of weights is not a multiple of 32.
    """
    if weights.size % BLOCK:
        raise ValueError(f"{weights.size} weights cannot be cut into blocks of {BLOCK}")
    blocks = weights.reshape(-1, BLOCK).astype(np.float32)
    scales = np.concatenate(
        [_best_scales(blocks[i : i + _BLOCKS_AT_ONCE]) for i in range(0, len(blocks), _BLOCKS_AT_ONCE)]
    )
    return Quantised(_rounded(blocks, scales), scales, 1, weights.shape)


def in_eight_bits(weights: Floats, *, axis: int) -> Quantised:
    """Quantise weights to 8 bits, with one scale per index of an axis that represents its largest weight exactly."""
    others = tuple(other for other in range(weights.ndim) if other != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True).astype(np.float32)
    scales = np.maximum(largest / 127, np.finfo(np.float32).tiny)
    integers = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return Quantised(integers, scales.reshape(-1), axis, weights.shape)


def packed(integers: npt.NDArray[np.int8]) -> bytes:
    """Pack two 4-bit integers per byte, the first in the lower half, as ONNX stores them."""
    halves = (integers.reshape(-1, 2) & 0x0F).astype(np.uint8)
    return (halves[:, 0] | halves[:, 1] << 4).tobytes()


def _best_scales(blocks: Floats) -> npt.NDArray[np.float16]:
    """Return the scale of every block, (blocks, 1), of either sign, because the integers are not symmetric around 0."""
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1).astype(np.float64)
    best = np.full((len(blocks), 1), np.float16(1))
    least = np.full((len(blocks), 1), np.inf)
    for reach in (_LOWEST, _HIGHEST):
        for fraction in _FRACTIONS:
            scales = _storable(fraction * largest / reach)
            error = np.sum((_rounded(blocks, scales) * scales.astype(np.float32) - blocks) ** 2, axis=1, keepdims=True)
            is_better = error < least
            best, least = np.where(is_better, scales, best), np.where(is_better, error, least)
    return best


def _storable(scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float16]:
    """Round scales to half precision, none of them to zero."""
    signs = np.where(scales < 0, -1.0, 1.0)
    return np.asarray(signs * np.maximum(np.abs(scales), _SMALLEST_SCALE), np.float16)


def _rounded(blocks: Floats, scales: npt.NDArray[np.float16]) -> npt.NDArray[np.int8]:
    return np.clip(np.rint(blocks / scales.astype(np.float32)), _LOWEST, _HIGHEST).astype(np.int8)
