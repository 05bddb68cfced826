"""Weights in 8 bits: a number of steps each, and a step size for every block of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BITS = 8
BLOCK = 32
"""Weights of a row that share a step size."""

STEPS = 127
"""The largest weight of a block in steps; signs are told by an offset of one more."""

_LEAST = np.float32(1e-36)
"""A block whose largest weight is smaller is all zeros: float32 holds no inverse of its step."""

_ROWS_AT_ONCE = 64
"""Half a megabyte of the widest network's rows: it stays in a processor's own cache."""


def rounded_to_8_bits(
    matrix: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """A matrix (rows, columns), columns a multiple of ``BLOCK``, in the form that onnxruntime's MatMulNBits takes.

    Returns:
        uint8 (rows, columns / BLOCK, BLOCK), 128 more than the number of steps; float32 (rows, columns / BLOCK), the
        size of a step. Weights of normal distribution are 45 dB from their rounded ones.

    Raises:
        ValueError: the columns are no multiple.
    """
    rows, columns = matrix.shape
    blocks, left = divmod(columns, BLOCK)
    if left:
        raise ValueError(f"{columns} columns are not a multiple of {BLOCK}")
    counts = np.empty((rows, blocks, BLOCK), np.uint8)
    sizes = np.empty((rows, blocks), np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        part: npt.NDArray[Any] = np.array(matrix[start : start + _ROWS_AT_ONCE], np.float32).reshape(-1, blocks, BLOCK)
        largest = np.maximum(part.max(-1), -part.min(-1))
        sizes[start : start + len(part)] = largest / STEPS
        part *= np.divide(STEPS, largest, out=np.zeros_like(largest), where=largest > _LEAST)[..., None]
        np.rint(part, out=part)
        part += STEPS + 1
        counts[start : start + len(part)] = part
    return counts, sizes
