"""Lightning's trainer of an experiment: devices, precision, loggers, and the warnings that are expected of it."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar

from training.experiment import Experiment
from training.loop.checks import check_devices
from training.modules.base import SeparationModule
from training.settings.strict import SettingsError
from training.tables.run import WandbSettings

EXPECTED_WARNINGS = (
    ".*does not have many workers.*",  # the number of workers is a setting
    ".*exists and is not empty.*",  # runs are resumed into their own folder
    ".*number of training batches .* is smaller than the logging interval.*",
    ".*isinstance.treespec, LeafSpec.*",  # inside Lightning
    ".*module.s. in eval mode at the start of training.*",  # the averaged network is
    ".*have no .val_dataloader.*",  # runs without validation songs
    ".*Total length of `list` across ranks is zero.*",  # searches of a learning rate validate nothing
    ".*available but not used.*",  # the accelerator is a setting
    ".*torch.jit.script.* is deprecated.*",
    ".*Detected call of `lr_scheduler.step..` before `optimizer.step...*",  # fp16 skips steps while it adapts its scale
)


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


def watch(module: SeparationModule, trainer: Any) -> None:
    """Let wandb log what ``wandb.watch`` names, if that logger is asked for."""
    from lightning.pytorch.loggers import WandbLogger

    watched = module.experiment.wandb.watch
    if watched is not None and trainer.is_global_zero:
        for logger_ in trainer.loggers:
            if isinstance(logger_, WandbLogger):
                logger_.watch(module, log=watched)
