"""Usual costs: known for every system in the repository, and for no network of which nothing is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from my_submission.engines import Device
from my_submission.predictor import load
from my_submission.systems import SYSTEMS, for_stems, with_vocals_from
from my_submission.systems.starters import STARTERS
from my_submission.systems.usual_costs import MAX_USEFUL_THREADS, NETWORK_SECONDS, network_seconds, on_threads


def test_every_system_in_the_repository_has_costs_and_no_cost_is_of_another_artefact() -> None:
    assert {name for system in STARTERS for name in system.artefacts} == set(NETWORK_SECONDS)
    assert network_seconds(SYSTEMS["kuielab-a"].artefacts) is None
    assert network_seconds(["starter/bass", "starter/drums"]) == pytest.approx(0.038)


def test_costs_are_those_of_the_networks_that_run() -> None:
    """Fewer stems cost less; a vocals network from elsewhere makes the cost of the vocals unknown."""
    starter = SYSTEMS["starter-cinema"]
    (branch,) = for_stems(replace(starter, wiener=None), ["dialog"]).branches
    assert network_seconds(branch.recipe.artefacts) == NETWORK_SECONDS["starter-cinema/dialog"]
    vocals, accompaniment = with_vocals_from(SYSTEMS["starter-plus"], "mdx-net/kim-vocal-2").branches
    assert network_seconds(vocals.recipe.artefacts) is None
    assert network_seconds(accompaniment.recipe.artefacts) == NETWORK_SECONDS["starter-plus/accompaniment"]


def test_threads_share_the_work_up_to_a_number() -> None:
    assert on_threads(1.0, 2) == 0.5
    assert on_threads(1.0, 100) == 1.0 / MAX_USEFUL_THREADS


def test_a_loaded_system_expects_its_usual_duration_on_the_cpu_only(tiny_models: Path) -> None:
    predictor = load("starter", models_dir=tiny_models, device="cpu", threads=1)
    one, two = (predictor.system.usual_seconds(100.0, n_threads) for n_threads in (1, 2))
    assert one is not None
    assert two is not None
    networks = network_seconds(predictor.system.recipe.artefacts)
    assert one - two == pytest.approx(100.0 * networks / 2)
    unknown = replace(predictor.system.branches[0], processor_seconds=None)
    assert replace(predictor.system, branches=(unknown,)).usual_seconds(100.0, 1) is None
    predictor.device = Device("cuda", 0)
    assert predictor._n_cpu_threads is None
