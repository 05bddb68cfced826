"""Search of a learning rate before the first step, ``auto_lr_find`` of the authors' programs."""

from __future__ import annotations

import copy
import csv
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.tuner.tuning import Tuner

from my_submission.errors import MdxError
from training.examples.loading import RunData, RunDataModule
from training.experiment import Experiment
from training.loop.trainer import build_trainer, expected_warnings, matrix_products
from training.modules.base import SeparationModule

logger = logging.getLogger(__name__)

LOWEST, HIGHEST, N_RATES = 1e-8, 1.0, 100
"""Rates of the search, one per step and logarithmic: Lightning's defaults."""

SKIPPED_FIRST, SKIPPED_LAST = 10, 1
"""Points at the ends of the curve that are not considered, as in Lightning."""

MAX_RISE = 3.0
"""A loss above the minimum so far by this multiple of it counts as divergence; later points are ignored."""


def with_found_rate(module: SeparationModule, data: RunData, cache: Path, run: Path) -> Experiment:
    """Return the module's experiment with the learning rate at which the loss falls fastest.

    A copy of the module is trained on the run's first steps while the rate rises, by Lightning's tuner; weights and the
    processor's random numbers stay as they are. The curve is written to ``logs/learning_rates.csv``. With ``run.dev``
    nothing is searched.

    Args:
        module: the module with its initial weights.
        data: songs of the run.
        cache: folder of cached levels.
        run: folder of the run.

    Raises:
        MdxError: the loss does not fall at any rate.
    """
    experiment = module.experiment
    if experiment.run.dev:
        rate = experiment.optimiser.learning_rate
        logger.info("run.dev skips the learning rate search; %g is used (run.auto_lr_find)", rate)
        return experiment
    settings = replace(experiment.run, epochs=1, min_epochs=None, epoch_steps=N_RATES, auto_lr_find=False)
    searched = replace(experiment, run=settings)
    tried = copy.deepcopy(module)
    tried.experiment, tried.is_searching_rate = searched, True
    folder = run / "rate_search"
    trainer = build_trainer(searched, folder, [], is_validated=False, is_logged=False)
    try:
        with torch.random.fork_rng(devices=[]), expected_warnings(), matrix_products(tf32=settings.tf32):
            source = RunDataModule(searched, RunData(data.training, []), cache)
            finder = Tuner(trainer).lr_find(
                tried,
                datamodule=source,
                min_lr=LOWEST,
                max_lr=HIGHEST,
                num_training=N_RATES,
                early_stop_threshold=None,
                update_attr=False,
            )
    finally:
        if trainer.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)
    if finder is None:
        raise MdxError("the search of a learning rate did not run", hint="set run.auto_lr_find=false")
    rates, losses = finder.results["lr"], unbiased(finder.results["loss"])
    if trainer.is_global_zero:
        _write_curve(run / "logs" / "learning_rates.csv", rates, losses)
    index = steepest_fall(losses)
    if index is None:
        raise MdxError(
            f"the loss does not fall at any learning rate between {LOWEST:g} and {HIGHEST:g}",
            where=run / "logs" / "learning_rates.csv",
            hint="set optimiser.learning_rate and run.auto_lr_find=false",
        )
    logger.info("learning rate %.3g, where the loss falls fastest (run.auto_lr_find)", rates[index])
    return replace(experiment, optimiser=replace(experiment.optimiser, learning_rate=rates[index]))


def unbiased(smoothed: Sequence[float]) -> list[float]:
    """Return Lightning's running means of a loss with correct bias; Lightning divides the first ones by too much.

    After n steps of a mean that starts at zero, ``1 − 0.98ⁿ`` of it is there; Lightning's exponent is n + 1.
    """
    kept = 0.98
    return [loss * (1 - kept ** (n + 1)) / (1 - kept**n) for n, loss in enumerate(smoothed, start=1)]


def steepest_fall(losses: Sequence[float]) -> int | None:
    """Return the number of the point where a curve falls fastest on its way to its minimum, or None if it never falls.

    Later falls are not considered, because they follow a rise at rates that are too high; nor is all that follows once
    the curve diverges.

    The slope is taken over points, whose rates are logarithmic, as in Lightning 1, which the authors' programs use.
    Over rates themselves, as in Lightning 2, noise at the lowest rates outweighs every fall.
    """
    curve = np.asarray(losses[: _n_before_divergence(losses)], dtype=np.float64)
    curve = curve[SKIPPED_FIRST : len(curve) - SKIPPED_LAST]
    if len(curve) > 0:
        curve = curve[: int(np.argmin(curve)) + 1]
    if len(curve) < 2:
        return None
    slopes = np.gradient(curve)
    lowest = int(np.argmin(slopes))
    return lowest + SKIPPED_FIRST if slopes[lowest] < 0.0 else None


def _n_before_divergence(losses: Sequence[float]) -> int:
    least = float("inf")
    for number, loss in enumerate(losses):
        if not np.isfinite(loss) or loss > least + MAX_RISE * abs(least):
            return number
        least = min(least, loss)
    return len(losses)


def _write_curve(path: Path, rates: Sequence[float], losses: Sequence[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("learning_rate", "loss"))
        writer.writerows(zip(rates, losses, strict=True))
