"""Stems into a song: places, rooms, balance, and a compressor over the sum."""

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
"""Mean and deviation of each stem's level while it sounds."""

STEM_RMS = 0.09
LOUDEST_PEAK = 0.95
GLUED = 0.7
"""Share of songs with a compressor over the sum."""


def placed(mono: Mono, place: float) -> Stereo:
    """``(2, samples)`` with equal power from -1, left, to 1, right."""
    angle = (float(np.clip(place, -1.0, 1.0)) + 1.0) * np.pi / 4.0
    return np.asarray(np.stack((mono * np.cos(angle), mono * np.sin(angle))) * np.sqrt(2.0), dtype=np.float32)


def roomy(wave: Stereo, rng: np.random.Generator) -> Stereo:
    """In a small room, more or less."""
    room = Room(probability=1.0, shortest_seconds=0.15, longest_seconds=1.2, quietest_db=-22.0, loudest_db=-8.0)
    return np.asarray(room.apply(wave, rng), dtype=np.float32)


def mixed(stems: Mapping[str, Stereo], rng: np.random.Generator) -> dict[str, Stereo]:
    """The stems at a person's balance, below full scale; a compressor over their sum turns all of them alike."""
    balanced = {}
    for source, (mean, deviation) in BALANCE_DB.items():
        gain = STEM_RMS * 10.0 ** (rng.normal(mean, deviation) / 20.0)
        if source in stems:
            balanced[source] = stems[source] * np.float32(gain / max(1e-9, active_rms(stems[source].T)))
    total = np.sum(list(balanced.values()), axis=0)
    if rng.random() < GLUED:
        gain_curve = compression_gain(
            total, threshold_db=float(rng.uniform(-3.0, 2.0)), ratio=float(rng.uniform(1.3, 3.0))
        )
        balanced = {source: wave * gain_curve for source, wave in balanced.items()}
        total = total * gain_curve
    loudest = max(float(np.abs(total).max()), *(float(np.abs(wave).max()) for wave in balanced.values()))
    down = np.float32(min(1.0, LOUDEST_PEAK / loudest))
    return {source: np.asarray(wave * down, dtype=np.float32) for source, wave in balanced.items()}
