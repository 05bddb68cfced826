"""The search of a learning rate: the rule on curves, and a run that is the one of the found rate."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from lightning.pytorch.tuner.lr_finder import _LRCallback

from my_submission.errors import MdxError
from tests.training_songs import write_spooled_songs
from training.examples.loading import read_data
from training.experiment import Experiment
from training.loop import rate_search
from training.loop.checkpoints import read_checkpoint
from training.loop.fitting import FitReport, fit
from training.loop.rate_search import LOWEST, N_RATES, steepest_fall, unbiased
from training.modules.registry import load_experiment

pytestmark = pytest.mark.needs("torch", "lightning")


@pytest.mark.parametrize("offset", [1.0, -20.0])
def test_the_loss_falls_fastest_in_the_middle_of_its_fall(offset: float) -> None:
    """A curve that is flat, falls around point 60 and then diverges, of positive and of negative losses."""
    points = np.arange(N_RATES)
    curve = offset + 0.5 - 0.4 / (1 + np.exp((60 - points) / 5.0))
    curve[85:] += 10.0 ** (points[85:] - 83)
    curve[90:] = math.nan
    assert steepest_fall(curve.tolist()) == 60


def test_means_of_a_constant_loss_are_that_loss() -> None:
    """By Lightning's own callback."""
    callback = _LRCallback(5, None)
    trainer = MagicMock(fit_loop=MagicMock(batch_idx=0), accumulate_grad_batches=1, global_step=0)
    for step in range(1, 6):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, MagicMock(), {"loss": torch.tensor(3.0)}, None, 0)
    assert callback.losses[0] == pytest.approx(3.0 / 1.98)
    assert unbiased(callback.losses) == pytest.approx([3.0] * 5)


def test_a_fall_after_a_rise_is_not_considered() -> None:
    """It is the steepest one, and its rates are too high."""
    curve = [1.0] * 30 + np.linspace(1.0, 0.8, 21).tolist() + [1.5, 2.0, 2.5, 3.0, 2.0, 1.0, 0.9, 0.9, 0.9]
    index = steepest_fall(curve)
    assert index is not None
    assert 30 <= index <= 50


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [1.0] * 12,
        [1.0] * N_RATES,
        np.linspace(1.0, 2.0, N_RATES).tolist(),
        [math.nan] * N_RATES,
        [1.0] * 10 + [math.inf] * 90,
        [1.0, 0.9, 0.8, 40.0, *np.linspace(30.0, 1.0, N_RATES).tolist()],
    ],
    ids=["empty", "short", "flat", "rising", "nan", "infinite", "diverges at once"],
)
def test_a_curve_without_a_fall_has_no_rate(losses: list[float]) -> None:
    assert steepest_fall(losses) is None


N_TRIED = 30
"""Rates of the searches here, so that they are short."""


def small(*overrides: str) -> Experiment:
    changed = (
        'targets=["vocals"]',
        "network.depth=3",
        "network.growth=2",
        "run.epochs=1",
        "run.epoch_steps=2",
        "transform.frames=16",
    )
    return load_experiment("tiny", ['targets=["vocals"]', *changed, *overrides])


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rate_search, "N_RATES", N_TRIED)
    write_spooled_songs(tmp_path / "songs", range(2))
    return tmp_path / "songs"


def run(experiment: Experiment, songs: Path, name: str) -> FitReport:
    runs = songs.parent / "runs"
    return fit(experiment, read_data(experiment, [songs]), name=name, runs=runs, cache=runs / "cache")


@pytest.mark.slow
def test_a_run_with_a_search_is_the_run_of_the_found_rate(songs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To the bit; it goes on with that rate, which is not searched again, whatever is configured."""
    searched = small("run.auto_lr_find=true", "optimiser.learning_rate=7.0")
    report = run(searched, songs, "searched")
    saved = read_checkpoint(report.last)
    rate = saved["experiment"]["optimiser"]["learning_rate"]
    assert LOWEST < rate < 1.0
    run_folder = report.last.parents[1]
    curve = (run_folder / "logs" / "learning_rates.csv").read_text(encoding="utf-8").splitlines()
    assert (curve[0], len(curve)) == ("learning_rate,loss", 1 + N_TRIED)
    assert not (run_folder / "rate_search").exists()
    plain = read_checkpoint(run(small(f"optimiser.learning_rate={rate!r}"), songs, "plain").last)
    for name, value in plain["state_dict"].items():
        assert torch.equal(value, saved["state_dict"][name]), name
    with caplog.at_level(logging.INFO):
        longer = run(replace(searched, run=replace(searched.run, epochs=2)), songs, "searched")
    assert "it is not searched again" in caplog.text
    assert longer.steps == 4
    assert read_checkpoint(longer.last)["experiment"]["optimiser"]["learning_rate"] == rate


@pytest.mark.slow
def test_a_search_without_a_result_is_an_error_before_the_first_step(
    songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a constant network cannot fall."""
    monkeypatch.setattr("training.modules.tfc_tdf.loss_of", lambda *_: torch.zeros((), requires_grad=True))
    with pytest.raises(MdxError, match="the loss does not fall at any learning rate between 1e-08 and 1") as raised:
        run(small("run.auto_lr_find=true"), songs, "flat")
    assert "Set optimiser.learning_rate and run.auto_lr_find=false" in str(raised.value)
    assert not (songs.parent / "runs" / "flat" / "checkpoints").exists()
