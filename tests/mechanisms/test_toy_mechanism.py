"""A mechanism is one file: this one defines a toy recipe, its mechanism and its stage, and uses them everywhere."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from my_submission.engines import Device, Engine
from my_submission.errors import MdxError
from my_submission.events import Note
from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import (
    Fitted,
    Mechanism,
    MemoryLimit,
    Opening,
    Recipe,
    RunOptions,
    SongContext,
    SongStages,
)
from my_submission.planning import ChunkBuffer, Forecast, Stage, WorkItem
from my_submission.predictor import Predictor
from my_submission.predictor.memory import within_memory
from my_submission.systems import BranchRecipe, LoadedSystem, SystemRecipe, for_stems, load_system
from my_submission.weights import ModelsFolder
from tests.model_makers import write_manifest
from tests.rigs import FakeClock

SOURCES = ("left", "right")
BLOCK_BYTES = 8 * SAMPLE_RATE


@dataclass(frozen=True)
class SidesRecipe(Recipe):
    """Gives every source one side of the mixture."""

    sources: tuple[str, ...] = SOURCES
    block_seconds: float = 1.0
    clock: FakeClock | None = None

    @property
    def artefacts(self) -> tuple[str, ...]:
        return ()

    def open(self, opening: Opening) -> Sides:
        return Sides(self.sources, round(self.block_seconds * SAMPLE_RATE), self.clock or FakeClock())

    def with_sources(self, sources: tuple[str, ...]) -> SidesRecipe:
        return replace(self, sources=sources)


@dataclass(frozen=True)
class Sides(Mechanism):
    sources: tuple[str, ...]
    block_samples: int
    clock: FakeClock

    @property
    def engines(self) -> tuple[Engine, ...]:
        return ()

    def stages(self, song: SongContext) -> SongStages:
        buffer = ChunkBuffer(song.stores(self.sources), song.samples)
        return SongStages(buffer, (SidesStage(song, self, buffer),))

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        limit.require("a second of sides", BLOCK_BYTES)
        return Fitted(replace(self, block_samples=SAMPLE_RATE), ("blocks of a second",))


class SidesStage(Stage):
    def __init__(self, song: SongContext, sides: Sides, buffer: ChunkBuffer) -> None:
        key = song.cost_key(song.name, runs_on="numpy", chunking=sides.block_samples)
        super().__init__(song.name, key, "numpy", song.samples)
        self.song, self.sides, self.buffer, self.done = song, sides, buffer, 0

    @property
    def covered_samples(self) -> int:
        return self.done

    @property
    def is_done(self) -> bool:
        return self.done >= self.total_samples

    def audio_seconds_left(self, forecast: Forecast) -> float:
        return (self.total_samples - self.done) / SAMPLE_RATE

    def next_item(self, forecast: Forecast, *, after: int = 0) -> WorkItem | None:
        start, stop = self.done, min(self.done + self.sides.block_samples, self.total_samples)
        if start < after or not forecast.allows(self.cost_key, (stop - start) / SAMPLE_RATE):
            return None

        def compute() -> np.ndarray:
            self.sides.clock.pass_((stop - start) / SAMPLE_RATE)
            return self.song.mixture.store.read(start, stop)

        def commit(block: np.ndarray) -> None:
            for source in self.sides.sources:
                side = np.zeros_like(block)
                side[SOURCES.index(source)] = block[SOURCES.index(source)]
                self.buffer.write(source, start, side)
            self.done = stop

        return WorkItem(self, (stop - start) / SAMPLE_RATE, compute, commit, start)


def system_of(recipe: SidesRecipe, folder: Path) -> LoadedSystem:
    write_manifest(folder, [])
    shares = dict.fromkeys(recipe.sources, 1.0)
    system = SystemRecipe("sides", "for tests", recipe.sources, (BranchRecipe("sides", recipe, shares),))
    return load_system(system, ModelsFolder(folder), RunOptions(device=Device("cpu")))


def song(seconds: float = 4.0) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, round(seconds * SAMPLE_RATE))).astype(np.float32)


def test_it_separates_with_and_without_a_deadline(tmp_path: Path) -> None:
    clock = FakeClock()
    predictor = Predictor(system_of(SidesRecipe(clock=clock), tmp_path), clock=clock)
    for budget in (None, 60.0):
        stems = predictor.separate(song(), budget_seconds=budget)
        np.testing.assert_array_equal(stems["left"][0], song()[0])
        np.testing.assert_array_equal(stems["right"][1], song()[1])
    events = list(predictor.stream(song(), budget_seconds=3.0))
    planned = [event.text for event in events if isinstance(event, Note) and event.text.startswith("planned")]
    assert planned[0].startswith("planned: sides for ")


def test_it_fits_a_memory_limit_and_refuses_what_cannot(tmp_path: Path) -> None:
    system = system_of(SidesRecipe(block_seconds=10.0), tmp_path)
    fitted, notes = within_memory(system, 200_000_000, resident_bytes=0)
    assert notes == ("sides: blocks of a second",)
    assert fitted.branches[0].mechanism != system.branches[0].mechanism
    with pytest.raises(MdxError, match="a second of sides needs"):
        within_memory(system, 100_000_001, resident_bytes=0)


def test_some_of_its_sources_can_be_asked_for(tmp_path: Path) -> None:
    recipe = system_of(SidesRecipe(), tmp_path).recipe
    assert for_stems(recipe, ["right"]).branches[0].recipe.sources == ("right",)


def test_nobody_asks_what_kind_of_mechanism_it_is() -> None:
    """No isinstance on recipes, mechanisms or stages anywhere in the package."""
    found = []
    for path in sorted((Path(__file__).resolve().parents[2] / "my_submission").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                kinds = [child.id for child in ast.walk(node.args[1]) if isinstance(child, ast.Name)]
                found += [f"{path.name}: {kind}" for kind in kinds if kind.endswith(("Recipe", "Mechanism", "Stage"))]
    assert found == []
