"""Write tests/data/reference from the full reference vectors: large files without their random inputs.

Usage: make_reference_data.py FOLDER_OF_THE_FULL_VECTORS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tests.reference_vectors import BLOCK, FOLDER, reference_vectors, stream

LARGE = ("demucs_v2", "hdemucs_stereo_44100", "hdemucs_stereo_100001", "hdemucs_mono_44100", "hdemucs_mono_100001")
N_POSITIONS = 3000
SMALLEST_DRAW = 64
"""Shorter arrays are stored in full."""

NORMAL_SCALES = (1.0, 0.3)


def find_uniform(array: np.ndarray) -> dict[str, object] | None:
    """Return the position of an array in the random stream and its factor, or None."""
    numbers, signs = array.ravel().astype(np.float64), 2 * stream() - 1
    first = int(np.argmax(np.abs(numbers[:BLOCK])))
    n = len(signs) - numbers.size
    places = np.arange(n)
    for index in (*range(first), *range(first + 1, BLOCK)):
        crosswise = signs[places + first] * numbers[index] - signs[places + index] * numbers[first]
        places = places[np.abs(crosswise) < 4e-6 * abs(numbers[first])]
    for place in places:
        drawn = signs[place : place + numbers.size]
        scale = float(drawn @ numbers / (drawn @ drawn))
        if np.linalg.norm(numbers - scale * drawn) < 1e-6 * np.linalg.norm(numbers):
            return {"offset": int(place), "shape": array.shape, "scale": scale}
    return None


def find_normal(array: np.ndarray) -> dict[str, object] | None:
    """Return the same for normal numbers of a known standard deviation."""
    for scale in NORMAL_SCALES:
        x, y = np.split(array.ravel()[:BLOCK].astype(np.float64) / scale, 2)
        radii, angles = 1 - np.exp(-(x**2 + y**2) / 2), (np.arctan2(y, x) / (2 * np.pi)) % 1
        for place in np.flatnonzero(np.abs(stream()[: -array.size] - radii[0]) < 1e-5):
            drawn = stream()[place : place + BLOCK]
            if np.abs(drawn - np.concatenate([radii, angles])).max() < 1e-4:
                return {"offset": int(place), "shape": array.shape, "scale": scale}
    return None


def shortened(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with random inputs replaced by their position, and samples of the output."""
    draws, kept = {}, {}
    for key, array in arrays.items():
        found = None
        if key.startswith("state/") and array.size >= SMALLEST_DRAW and np.ptp(array) > 0:
            found = find_uniform(array)
        elif key.startswith("input/"):
            found = find_normal(array)
            kept[f"last/{key}"] = array.ravel()[-BLOCK:]
        if found is None:
            kept[key] = array
        else:
            draws[key] = found
    (output,) = (key for key in arrays if key.startswith("output/"))
    n = arrays[output].shape[-1]
    inner = np.random.default_rng(0).choice(n, N_POSITIONS, replace=False)
    kept["positions"] = np.unique([0, 1, n - 2, n - 1, *inner]).astype(np.int32)
    kept[output] = arrays[output][..., kept["positions"]]
    kept["draws"] = np.array(json.dumps(draws))
    print(f"{name}: {len(draws)} arrays are drawn, {len(kept)} stored")
    return kept


def verify(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Compare a written file with the full one."""
    read, worst = reference_vectors(name), 0.0
    positions = read.pop("positions", None)
    assert set(read) == set(arrays)
    for key, array in arrays.items():
        expected = array[..., positions] if positions is not None and key.startswith("output/") else array
        if array.dtype.kind in "fc":
            assert read[key].shape == expected.shape
            worst = max(worst, float(np.linalg.norm(read[key] - expected) / (np.linalg.norm(expected) or 1)))
        else:
            assert np.array_equal(read[key], expected)
    assert worst < 1e-6, worst
    print(f"{name}: {(FOLDER / f'{name}.npz').stat().st_size / 1000:.0f} kB, largest relative difference {worst:.1e}")


def main() -> None:
    """Write one file per file of the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
        kept = shortened(path.stem, arrays) if path.stem in LARGE else arrays
        np.savez_compressed(FOLDER / path.name, **kept)
        verify(path.stem, arrays)


if __name__ == "__main__":
    main()
