"""Assemblies of fake engines: everything around a network, without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import OverlapChunking, SpectralChunking, StftGeometry
from my_submission.separators import Mixer, SpectralSeparator, WaveformSeparator
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems import Assembly, Branch, BranchRecipe, SpectralRecipe, SystemRecipe, WaveformRecipe

GAINS = {"bass": 0.1, "drums": 0.2, "other": 0.3, "vocals": 0.4}
"""What the fake spectral networks multiply the mixture by."""

WAVEFORM_GAINS = {"bass": 0.08, "drums": 0.18, "other": 0.28, "vocals": 0.46}
"""What the fake waveform network multiplies the mixture by."""

CHUNKING = SpectralChunking(StftGeometry(256, 64, 129), 65)
SEGMENTS = OverlapChunking(8_000, 0.5)
HALVES = dict.fromkeys(MUSIC_SOURCES, 0.5)
WHOLES = dict.fromkeys(MUSIC_SOURCES, 1.0)


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def scaling(gain: float, on_run: Callable[[int], None] | None = None) -> FakeEngine:
    """An engine that multiplies its batch."""

    def run(batch: np.ndarray) -> np.ndarray:
        if on_run is not None:
            on_run(batch.shape[-1])
        return (gain * batch).astype(np.float32)

    return FakeEngine(run)


def waveform_engine(on_run: Callable[[int], None] | None = None) -> FakeEngine:
    """An engine that gives every source its share of the mixture, in Demucs' order."""
    gains = np.array([WAVEFORM_GAINS[name] for name in DEMUCS_SOURCES], np.float32)

    def run(batch: np.ndarray) -> np.ndarray:
        if on_run is not None:
            on_run(batch.shape[-1])
        return gains[None, :, None, None] * batch[:, None]

    return FakeEngine(run)


def two_branches(
    *,
    clock: FakeClock | None = None,
    chunk_seconds: float = 0.0,
    segment_seconds: float = 0.0,
    mixer: Mixer | None = None,
    names: Sequence[str] = ("networks", "demucs"),
) -> Assembly:
    """Networks and a waveform refinement with equal shares; each run takes its seconds of the clock."""
    clock = clock or FakeClock()
    spectral = tuple(
        SpectralSeparator(source, scaling(gain, lambda _: clock.pass_(chunk_seconds)), CHUNKING)
        for source, gain in GAINS.items()
    )
    waveform = WaveformSeparator(
        waveform_engine(lambda samples: clock.pass_(segment_seconds * samples / SEGMENTS.segment_samples)),
        DEMUCS_SOURCES,
        valid_length=lambda samples: samples + 10,
        chunking=SEGMENTS,
        normalisation="none",
    )
    recipe = SystemRecipe(
        "fake",
        "for tests",
        MUSIC_SOURCES,
        (
            BranchRecipe(names[0], SpectralRecipe({source: f"fake/{source}" for source in MUSIC_SOURCES}), HALVES),
            BranchRecipe(names[1], WaveformRecipe("fake/demucs", DEMUCS_SOURCES, "none", SEGMENTS), HALVES),
        ),
    )
    branches = (Branch(names[0], spectral, mixer, HALVES), Branch(names[1], (waveform,), None, HALVES))
    return Assembly(recipe, branches, {"bass": 5512.5}, {})
