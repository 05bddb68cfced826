"""Training runs: from an experiment and its songs to checkpoints, graphs and logs."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar

from my_submission.errors import InputError
from training.examples.loading import RunData, RunDataModule
from training.experiment import Experiment
from training.export.own_systems import incomplete_system
from training.loop.callbacks import STEP_NAME, EpochLog, GraphExport, KeptWeights, WeightAverage
from training.loop.checkpoints import LAST, last_checkpoint, resumable
from training.loop.checks import check_space, check_start
from training.loop.rate_search import with_found_rate
from training.loop.trainer import build_trainer, expected_warnings, matrix_products, watch
from training.modules.base import module_settings, monitored
from training.settings.strict import to_table

logger = logging.getLogger(__name__)

LIGHTNING_STEP_NAME = STEP_NAME.replace("{step:07d}", "{step:07.0f}")
""":data:`STEP_NAME` for Lightning, whose steps are tensors."""


@dataclass(frozen=True)
class FitReport:
    """Result of a run.

    Attributes:
        steps: total optimisation steps.
        last: the last checkpoint.
        best: the best checkpoint by validation; None without validation.
        best_sdr_db: its mean global SDR, if that ranks checkpoints.
        best_l1: its mean absolute error, if that ranks checkpoints.
        best_loss: its loss, if another loss ranks checkpoints.
        is_first_process: whether this is the first process of a distributed run.
    """

    steps: int
    last: Path
    best: Path | None
    best_sdr_db: float | None
    best_l1: float | None = None
    best_loss: float | None = None
    is_first_process: bool = True

    @property
    def score(self) -> str:
        """Metric of the best checkpoint, as text."""
        if self.best_sdr_db is not None:
            return f"val/sdr {self.best_sdr_db:.3f} dB"
        return f"val/l1 {self.best_l1:.6f}" if self.best_l1 is not None else f"val/loss {self.best_loss:.6f}"


def fit(
    experiment: Experiment, data: RunData, *, name: str, runs: Path, cache: Path, resume: Path | None = None
) -> FitReport:
    """Train until the last epoch, or until validation no longer improves.

    Writes ``experiment.json``, ``checkpoints/`` (the best ones and ``last.ckpt``), ``onnx/`` (their graphs) and
    ``logs/`` below ``runs/name``, and the manifest in ``runs``, which is also a models folder. If ``last.ckpt`` exists,
    the run is resumed, with the weights and examples of an uninterrupted run.

    Args:
        experiment: settings of the run.
        data: its songs.
        name: name of the run.
        runs: folder of runs.
        cache: folder of cached levels.
        resume: checkpoint of any run of this experiment to resume from, instead of ``last.ckpt``.

    Raises:
        SettingsError: the run was started with other settings, a logger is not installed, or devices are missing.
        InputError: the songs do not fit the experiment.
        OutputError: the folder cannot be written, or the disk has too little space.
        WeightsError: a checkpoint cannot be resumed from.
    """
    run = runs / name
    check_start(experiment, data, run)
    resumed_from = resume or last_checkpoint(run)
    if resumed_from is not None:
        experiment = resumable(resumed_from, experiment)
        logger.info("%s: resuming from %s", name, resumed_from)
    if experiment.run.threads is not None:
        torch.set_num_threads(experiment.run.threads)
    source = RunDataModule(experiment, data, cache)
    module = module_settings(experiment).module(experiment, total_steps=experiment.run.epochs * source.epoch_steps)
    check_space(experiment, module.network, run)
    if resumed_from is None:
        module_settings(experiment).initialise(module, experiment, source.dataset())
        if experiment.run.auto_lr_find:
            experiment = module.experiment = with_found_rate(module, data, cache, run)
    best = _best_checkpoints(experiment, run) if data.validation else None
    trainer = build_trainer(
        experiment, run, _callbacks(experiment, runs, run, best), is_validated=bool(data.validation)
    )
    watch(module, trainer)
    if trainer.is_global_zero:
        (run / "experiment.json").write_text(json.dumps(to_table(experiment), indent=2) + "\n", encoding="utf-8")
        _say_what_is_missing(runs, experiment)
    with expected_warnings(), matrix_products(tf32=experiment.run.tf32):
        trainer.fit(module, source, ckpt_path=resumed_from, weights_only=True)
    return _report(trainer, run, best, experiment.validation.monitor)


def _say_what_is_missing(runs: Path, experiment: Experiment) -> None:
    """Log what a known system needs besides this run's networks, before hours are spent on them."""
    known = incomplete_system(runs, experiment)
    if known is not None and known[1]:
        system, missing = known
        mixer = next((name for name in missing if name.endswith("/mixer")), None)
        networks = ", ".join(name for name in missing if name != mixer)
        then = f"python -m training mixer SONG... --family {experiment.family} --models-dir {runs}"
        parts = [networks] if networks else []
        parts += [f"the Mixer {mixer} (after all networks: {then})"] if mixer else []
        logger.info("--system %s will need besides this run: %s", system, "; ".join(parts))


def _best_checkpoints(experiment: Experiment, run: Path) -> ModelCheckpoint:
    metric, mode = monitored(experiment.validation.monitor)
    return ModelCheckpoint(
        dirpath=run / "checkpoints",
        filename=LIGHTNING_STEP_NAME,
        auto_insert_metric_name=False,
        monitor=metric,
        mode=mode,
        save_top_k=experiment.validation.keep_best,
        save_weights_only=experiment.run.save_weights_only,
        enable_version_counter=False,
    )


def _callbacks(experiment: Experiment, runs: Path, run: Path, best: ModelCheckpoint | None) -> list[Any]:
    last = ModelCheckpoint(
        dirpath=run / "checkpoints",
        filename=Path(LAST).stem,
        monitor=None,
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    callbacks: list[Any] = [GraphExport(runs, run, best)]
    if experiment.run.loggers:
        callbacks.append(LearningRateMonitor("step"))
    if experiment.run.ema:
        callbacks.append(WeightAverage(experiment.run.ema))
    if best is not None:
        callbacks.append(best)
        metric, mode = monitored(experiment.validation.monitor)
        validation = experiment.validation
        if validation.patience_validations is not None:
            min_delta = validation.min_delta_db if mode == "max" else validation.min_delta_l1
            callbacks.append(
                EarlyStopping(metric, mode=mode, patience=validation.patience_validations, min_delta=min_delta)
            )
    if experiment.run.keep_every_epochs is not None:
        every = experiment.run.keep_every_epochs
        callbacks.append(KeptWeights(run / "weights", LIGHTNING_STEP_NAME, every_epochs=every))
    callbacks.append(RichProgressBar() if sys.stderr.isatty() else EpochLog())
    return [*callbacks, last]


def _report(trainer: Any, run: Path, best: ModelCheckpoint | None, monitor: str) -> FitReport:
    last = last_checkpoint(run)
    if last is None:
        raise InputError("the run ended before its first checkpoint", where=run)
    is_ranked = best is not None and best.best_model_path != ""
    score = float(best.best_model_score) if best is not None and best.best_model_score is not None else None
    return FitReport(
        steps=int(trainer.global_step),
        last=last,
        best=Path(best.best_model_path) if best is not None and is_ranked else None,
        best_sdr_db=score if monitor == "sdr" else None,
        best_l1=score if monitor == "l1" else None,
        best_loss=None if monitor in {"sdr", "l1"} else score,
        is_first_process=bool(trainer.is_global_zero),
    )
