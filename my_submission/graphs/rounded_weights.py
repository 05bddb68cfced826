"""Weights quantised to 8 bits, with one scale per block of a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BITS = 8
BLOCK = 32
"""Weights of a row that share a scale."""

STEPS = 127
"""Maximum magnitude of a rounded weight; 128 is added to make it unsigned."""

_MIN_MAGNITUDE = np.float32(1e-36)
"""Blocks whose maximum magnitude is below this are all zeros, because the inverse of the scale overflows float32."""

_ROWS_PER_BLOCK = 64
"""Half a megabyte of the widest network's rows, which fits a core's cache."""


def rounded_to_8_bits(
    matrix: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Round a matrix (rows, columns), columns a multiple of ``BLOCK``, for onnxruntime's MatMulNBits.

    Returns:
        Rounded weights plus 128, uint8 (rows, columns / BLOCK, BLOCK), and scales, float32 (rows, columns / BLOCK). The
        signal-to-noise ratio of normally distributed weights is 45 dB.

    Raises:
        ValueError: the number of columns is not a multiple of ``BLOCK``.
    """
    rows, columns = matrix.shape
    blocks, left = divmod(columns, BLOCK)
    if left:
        raise ValueError(f"{columns} columns are not a multiple of {BLOCK}")
    counts = np.empty((rows, blocks, BLOCK), np.uint8)
    sizes = np.empty((rows, blocks), np.float32)
    for start in range(0, rows, _ROWS_PER_BLOCK):
        part = np.array(matrix[start : start + _ROWS_PER_BLOCK], np.float32).reshape(-1, blocks, BLOCK)
        largest = np.maximum(part.max(-1), -part.min(-1))
        sizes[start : start + len(part)] = largest / STEPS
        part *= np.divide(STEPS, largest, out=np.zeros_like(largest), where=largest > _MIN_MAGNITUDE)[..., None]
        np.rint(part, out=part)
        part += STEPS + 1
        counts[start : start + len(part)] = part
    return counts, sizes
