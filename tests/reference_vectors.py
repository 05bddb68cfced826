"""Small networks of the published definitions: the originals' states, inputs and outputs, in tests/data/reference.

Large states are not stored. Their numbers were drawn by a Mersenne twister of a known seed, so the files say where in
its stream each array begins, and what it was multiplied by; see the README there.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data" / "reference"
SEED = 11
BLOCK = 16
"""Normal numbers were made in blocks of 16: eight radii, then eight angles; the last block was drawn anew."""


@lru_cache(maxsize=1)
def stream(n: int = 5_500_000) -> np.ndarray:
    """The first numbers of the generator, float64 in [0, 1), multiples of 2^-24 as torch draws them."""
    words = np.random.RandomState(SEED).randint(0, 2**32, size=n, dtype=np.uint32)
    return (words & 0xFFFFFF) / np.float64(2**24)


def uniform(offset: int, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Numbers between -scale and scale, float32."""
    drawn = stream()[offset : offset + int(np.prod(shape))]
    return np.asarray(scale * (2 * drawn - 1), np.float32).reshape(shape)


def normal(offset: int, shape: tuple[int, ...], scale: float, last: np.ndarray) -> np.ndarray:
    """Normal numbers of a deviation, float32; the last block is given."""
    size = int(np.prod(shape))
    drawn = stream()[offset : offset + size // BLOCK * BLOCK].reshape(-1, 2, BLOCK // 2)
    radius, angle = np.sqrt(-2 * np.log(1 - drawn[:, 0])), 2 * np.pi * drawn[:, 1]
    numbers = np.zeros(size)
    numbers[: drawn.size] = scale * np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    numbers[-BLOCK:] = last
    return np.asarray(numbers, np.float32).reshape(shape)


def reference_vectors(name: str) -> dict[str, np.ndarray]:
    """Arrays of one file: ``state/<original key>``, ``input/...``, ``output/...``, ``config`` (JSON).

    Where ``positions`` is there, the outputs hold these positions of their last axis only.
    """
    with np.load(FOLDER / f"{name}.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    for key, draw in json.loads(str(arrays.pop("draws", "{}"))).items():
        offset, shape, scale = draw["offset"], tuple(draw["shape"]), draw["scale"]
        last = arrays.pop(f"last/{key}", None)
        arrays[key] = uniform(offset, shape, scale) if last is None else normal(offset, shape, scale, last)
    return arrays
