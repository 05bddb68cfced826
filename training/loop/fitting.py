"""Training runs: from an experiment and its songs to checkpoints, graphs and logs."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar

from my_submission.errors import InputError
from training.examples.loading import RunData, RunDataModule
from training.experiment import Experiment
from training.export.own_systems import incomplete_system
from training.loop.callbacks import STEP_NAME, EpochLog, GraphExport, KeptWeights, WeightAverage
from training.loop.checkpoints import LAST, check_resumable, last_checkpoint
from training.loop.checks import check_devices, check_space, check_start
from training.modules.base import SeparationModule, module_settings, monitored
from training.settings.strict import SettingsError, to_table
from training.tables.run import WandbSettings

logger = logging.getLogger(__name__)

LIGHTNING_STEP_NAME = STEP_NAME.replace("{step:07d}", "{step:07.0f}")
""":data:`STEP_NAME` for Lightning, whose steps are tensors."""

EXPECTED_WARNINGS = (
    ".*does not have many workers.*",  # the number of workers is a setting
    ".*exists and is not empty.*",  # runs are resumed into their own folder
    ".*number of training batches .* is smaller than the logging interval.*",
    ".*isinstance.treespec, LeafSpec.*",  # inside Lightning
    ".*module.s. in eval mode at the start of training.*",  # the averaged network is
    ".*have no .val_dataloader.*",  # runs without validation songs
    ".*available but not used.*",  # the accelerator is a setting
    ".*torch.jit.script.* is deprecated.*",
    ".*Detected call of `lr_scheduler.step..` before `optimizer.step...*",  # fp16 skips steps while it adapts its scale
)


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
        resume: checkpoint of any run of this experiment to go on from, instead of ``last.ckpt``.

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
        check_resumable(resumed_from, experiment)
        logger.info("%s: resuming from %s", name, resumed_from)
    if experiment.run.threads is not None:
        torch.set_num_threads(experiment.run.threads)
    source = RunDataModule(experiment, data, cache)
    module = module_settings(experiment).module(experiment, total_steps=experiment.run.epochs * source.epoch_steps)
    check_space(experiment, module.network, run)
    if resumed_from is None:
        module_settings(experiment).initialise(module, experiment, source.dataset())
    best = _best_checkpoints(experiment, run) if data.validation else None
    trainer = build_trainer(
        experiment, run, _callbacks(experiment, runs, run, best), is_validated=bool(data.validation)
    )
    _watch(module, trainer)
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


def build_trainer(
    experiment: Experiment, run: Path, callbacks: Sequence[Any], *, is_validated: bool, is_logged: bool = True
) -> Any:
    """Return a Lightning trainer with the experiment's devices, precision, accumulation and loggers."""
    settings = experiment.run
    check_devices(settings)
    with expected_warnings():
        return lightning.Trainer(
            default_root_dir=run,
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy="ddp" if settings.world_size > 1 else "auto",
            precision=settings.precision,
            max_epochs=settings.epochs,
            min_epochs=settings.min_epochs,
            sync_batchnorm=settings.sync_batchnorm,
            accumulate_grad_batches=experiment.accumulation,
            gradient_clip_val=settings.clip,
            check_val_every_n_epoch=experiment.validation.every_epochs,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if is_validated else 0,
            use_distributed_sampler=False,
            deterministic="warn" if settings.deterministic else False,
            log_every_n_steps=settings.log_every_steps,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
            logger=_loggers(experiment, run) if is_logged else False,
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            callbacks=list(callbacks),
        )


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Suppress Lightning's warnings about intended settings."""
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


@contextmanager
def matrix_products(*, tf32: bool) -> Iterator[None]:
    """Allow or forbid TF32 in float32 matrix products of GPUs; the previous setting is restored."""
    backend = torch.backends.cuda.matmul
    before, backend.allow_tf32 = backend.allow_tf32, tf32
    try:
        yield
    finally:
        backend.allow_tf32 = before


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


def _loggers(experiment: Experiment, run: Path) -> list[Any]:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    loggers: list[Any] = []
    for name in experiment.run.loggers:
        if name == "csv":  # a new version per start, because this logger clears existing folders
            loggers.append(CSVLogger(run / "logs", name="csv", flush_logs_every_n_steps=experiment.run.log_every_steps))
        elif name == "tensorboard":
            loggers.append(TensorBoardLogger(run / "logs", name="tensorboard", version=""))
        elif importlib.util.find_spec("wandb") is None:
            raise SettingsError("run.loggers names wandb, which is not installed", hint="run pip install wandb")
        else:
            loggers.append(_wandb_logger(experiment.wandb, run))
    return loggers


def _wandb_logger(settings: WandbSettings, run: Path) -> Any:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(
        name=run.name,
        save_dir=run / "logs",
        id=settings.id,
        offline=settings.offline,
        project=settings.project,
        entity=settings.entity,
        group=settings.group,
        job_type=settings.job_type,
        tags=list(settings.tags) or None,
        resume="allow" if settings.id is not None else None,
    )


def _watch(module: SeparationModule, trainer: Any) -> None:
    """Let wandb log what ``wandb.watch`` names, if that logger is asked for."""
    from lightning.pytorch.loggers import WandbLogger

    watched = module.experiment.wandb.watch
    if watched is not None and trainer.is_global_zero:
        for logger_ in trainer.loggers:
            if isinstance(logger_, WandbLogger):
                logger_.watch(module, log=watched)


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
