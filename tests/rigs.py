"""Systems of fake engines: everything around a network, without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from my_submission.audio_io import MemoryStore, mixture_from_array
from my_submission.budget import Budget
from my_submission.engines import Engine
from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import OverlapChunking, Segmentation, SpectralChunking, StftGeometry
from my_submission.mechanisms import (
    Mechanism,
    Mixer,
    SongContext,
    SpectralMechanism,
    SpectralNetwork,
    SpectralRecipe,
    WaveformMechanism,
    WaveformRecipe,
)
from my_submission.planning import Calibration, CostModel, Forecast, Schedule
from my_submission.reports import SeparationReport, StageReport
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES, Stems
from my_submission.systems import Branch, BranchRecipe, LoadedSystem, SystemRecipe

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


def spectral(engines: Mapping[str, Engine], *, mixer: Mixer | None = None, batch_size: int = 1) -> SpectralMechanism:
    """Spectral networks of some engines."""
    networks = (SpectralNetwork(source, engine, CHUNKING, batch_size) for source, engine in engines.items())
    return SpectralMechanism(tuple(networks), mixer)


def waveform(engine: Engine, chunking: Segmentation = SEGMENTS, *, excess: int = 10) -> WaveformMechanism:
    """A waveform network in Demucs' order that hears ``excess`` samples more than it gives."""
    return WaveformMechanism(
        engine,
        DEMUCS_SOURCES,
        valid_length=lambda samples: samples + excess,
        chunking=chunking,
        normalisation="none",
    )


def two_branches(
    *,
    clock: FakeClock | None = None,
    chunk_seconds: float = 0.0,
    segment_seconds: float = 0.0,
    mixer: Mixer | None = None,
    names: Sequence[str] = ("networks", "demucs"),
    engines: Mapping[str, Engine] | None = None,
    segment_engine: Engine | None = None,
    segments: Segmentation = SEGMENTS,
    batch_size: int = 1,
) -> LoadedSystem:
    """Networks and a waveform refinement with equal shares; each run takes its seconds of the clock.

    ``engines`` replaces those of some sources, ``segment_engine`` that of the waveform network.
    """
    clock = clock or FakeClock()
    usual = {source: scaling(gain, lambda _: clock.pass_(chunk_seconds)) for source, gain in GAINS.items()}
    networks = spectral({**usual, **(engines or {})}, mixer=mixer, batch_size=batch_size)
    usual_waveform = waveform_engine(lambda n: clock.pass_(segment_seconds * n / SEGMENTS.segment_samples))
    demucs = waveform(segment_engine or usual_waveform, segments)
    recipe = SystemRecipe(
        "fake",
        "for tests",
        MUSIC_SOURCES,
        (
            BranchRecipe(names[0], SpectralRecipe({source: f"fake/{source}" for source in MUSIC_SOURCES}), HALVES),
            BranchRecipe(names[1], WaveformRecipe("fake/demucs", DEMUCS_SOURCES, "none", SEGMENTS), HALVES),
        ),
    )
    return LoadedSystem(recipe, (Branch(names[0], networks, HALVES), Branch(names[1], demucs, HALVES)), {})


def report_of(*parts: StageReport, **facts: object) -> SeparationReport:
    """A report of a song with these stages."""
    required = {"system": "s", "source_rate": 44_100, "source_samples": 100, "seconds": 1.0, "budget_seconds": 10.0}
    return SeparationReport(parts=parts, **required, peak_memory_bytes=1, cutoffs_hz={}, weights={}, **facts)


def with_branches(system: LoadedSystem, *numbers: int) -> LoadedSystem:
    """The system with some of its opened branches alone; its recipe stays."""
    return replace(system, branches=tuple(system.branches[number] for number in numbers))


def estimated(mechanism: Mechanism, mixture: np.ndarray) -> Stems:
    """Stems of a mechanism alone, without a deadline, as it gives them in the published order."""
    with mixture_from_array(mixture, 44_100) as prepared:
        samples = prepared.samples

        def new_store(channels: int = 2, samples: int = samples) -> MemoryStore:
            return MemoryStore(channels=channels, samples=samples)

        forecast = Forecast(CostModel(Calibration()), Budget())
        shares = dict.fromkeys(mechanism.sources, 1.0)
        context = SongContext(name="only", mixture=prepared, new_store=new_store, forecast=forecast, shares=shares)
        work = mechanism.stages(context)
        schedule = Schedule(work.stages)
        while (item := schedule.next_item(forecast)) is not None:
            item.commit(item.compute())
        assert all(stage.is_covered for stage in work.stages)
        return work.buffer.read(0, samples)
