"""Mixing of stems: panning, room, balance, and a compressor on the sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from training.augment.room import Room
from training.data.stems import active_rms
from training_material.band.amplifier import compression_gain

Mono = npt.NDArray[np.float32]
Stereo = npt.NDArray[np.float32]

BALANCE_DB: Mapping[str, tuple[float, float]] = {"drums": (0.0, 2.0), "bass": (-1.0, 2.0), "other": (0.5, 2.5)}
"""Mean and standard deviation of each stem's level in its non-silent parts."""

STEM_RMS = 0.09
PEAK = 0.95
COMPRESSION_PROBABILITY = 0.7
"""Probability of a compressor on the sum."""


def panned(mono: Mono, position: float) -> Stereo:
    """Pan with constant power from -1 (left) to 1 (right); returns ``(2, samples)``."""
    angle = (float(np.clip(position, -1.0, 1.0)) + 1.0) * np.pi / 4.0
    return np.asarray(np.stack((mono * np.cos(angle), mono * np.sin(angle))) * np.sqrt(2.0), dtype=np.float32)


def with_room(wave: Stereo, rng: np.random.Generator) -> Stereo:
    """Add a small random room."""
    room = Room(probability=1.0, shortest_seconds=0.15, longest_seconds=1.2, quietest_db=-22.0, loudest_db=-8.0)
    return np.asarray(room.apply(wave, rng), dtype=np.float32)


def mixed(
    stems: Mapping[str, Stereo],
    rng: np.random.Generator,
    *,
    balance_db: Mapping[str, tuple[float, float]] = BALANCE_DB,
) -> dict[str, Stereo]:
    """Balance the stems below full scale; the gain of a compressor on their sum is applied to all of them."""
    balanced = {}
    for source, (mean, deviation) in balance_db.items():
        level = STEM_RMS * 10.0 ** (rng.normal(mean, deviation) / 20.0)
        if source in stems:
            balanced[source] = stems[source] * np.float32(level / max(1e-9, active_rms(stems[source].T)))
    total = np.sum(list(balanced.values()), axis=0)
    if rng.random() < COMPRESSION_PROBABILITY:
        gain_curve = compression_gain(
            total, threshold_db=float(rng.uniform(-3.0, 2.0)), ratio=float(rng.uniform(1.3, 3.0))
        )
        balanced = {source: wave * gain_curve for source, wave in balanced.items()}
        total = total * gain_curve
    loudest = max(float(np.abs(total).max()), *(float(np.abs(wave).max()) for wave in balanced.values()))
    gain = np.float32(min(1.0, PEAK / loudest))
    return {source: np.asarray(wave * gain, dtype=np.float32) for source, wave in balanced.items()}
