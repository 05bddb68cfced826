"""Lightning callbacks: weight average, export of graphs, kept weights, log."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from training.export.manifest import record_graphs
from training.modules.base import SeparationModule

logger = logging.getLogger(__name__)

STEP_NAME = "step_{step:07d}"
"""Name of a checkpoint and of its folder of graphs."""

_STEP = re.compile(r"step_\d{7}")


class WeightAverage(lightning.Callback):
    """Update ``module.averaged``, the exponential moving average of ``module.network``, after every step.

    The decay is lower in the first steps, so that the initial weights are forgotten quickly.

    Args:
        decay: share of the average that is kept per step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._steps_seen = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Continue counting steps in a resumed run."""
        self._steps_seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average once per optimisation step, not once per micro-batch."""
        if trainer.global_step == self._steps_seen:
            return
        self._steps_seen = trainer.global_step
        if isinstance(pl_module, SeparationModule) and pl_module.averaged is not None:
            update_average(pl_module.averaged, pl_module.network, decay_at(self._steps_seen, self.decay))


def decay_at(step: int, decay: float) -> float:
    """Return the decay after ``step`` steps, ``min(decay, (1 + step) / (10 + step))``."""
    return min(decay, (1.0 + step) / (10.0 + step))


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the parameters of ``averaged`` towards those of ``network``; buffers are copied."""
    for kept, fresh in zip(averaged.parameters(), network.parameters(), strict=True):
        kept.lerp_(fresh, 1.0 - decay)
    for held, current in zip(averaged.buffers(), network.buffers(), strict=True):
        held.copy_(current)


def graph_folder(run: Path, step: int) -> Path:
    """Return the folder of the graphs exported at a step."""
    return run / "onnx" / STEP_NAME.format(step=step)


class GraphExport(lightning.Callback):
    """Export graphs with every checkpoint, delete those of deleted checkpoints, and record the best in the manifest.

    Args:
        runs: folder of all runs, which is also a models folder.
        run: folder of this run.
        best: callback that ranks checkpoints by validation; None records the last checkpoint.
    """

    def __init__(self, runs: Path, run: Path, best: ModelCheckpoint | None) -> None:
        self._runs = runs
        self._run = run
        self._best = best

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Export on the first process; the others wait at the checkpoint's own barrier."""
        if not trainer.is_global_zero or not isinstance(pl_module, SeparationModule):
            return
        current = graph_folder(self._run, trainer.global_step)
        if not current.is_dir():
            for written in pl_module.export_graphs(current):
                logger.info("%s: parity %.1f dB", written.path, written.parity_db)
        chosen = self._best_folder() or current
        record_graphs(self._runs, pl_module.experiment, chosen)
        self._remove_others({chosen, current})

    def _best_folder(self) -> Path | None:
        name = Path(self._best.best_model_path).stem if self._best and self._best.best_model_path else ""
        folder = self._run / "onnx" / name
        return folder if name and folder.is_dir() else None

    def _remove_others(self, needed: set[Path]) -> None:
        kept = {path.stem for path in (self._run / "checkpoints").glob("*.ckpt")}
        for folder in (self._run / "onnx").iterdir():
            if _STEP.fullmatch(folder.name) and folder not in needed and folder.name not in kept:
                shutil.rmtree(folder)


class KeptWeights(ModelCheckpoint):
    """Save the weights every few epochs and never delete a file.

    Args:
        folder: output folder.
        filename: pattern of the file names.
        every_epochs: epochs between two files.
    """

    def __init__(self, folder: Path, filename: str, *, every_epochs: int) -> None:
        super().__init__(
            dirpath=folder,
            filename=filename,
            auto_insert_metric_name=False,
            save_top_k=-1,
            save_weights_only=True,
            every_n_epochs=every_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Key of its state in a checkpoint, different from that of the other checkpoint callbacks."""
        return type(self).__qualname__


class EpochLog(lightning.Callback):
    """Log steps and metrics after every epoch, for runs without a progress bar."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log on the first process."""
        if trainer.is_global_zero:
            metrics = (f"{name} {float(value):.4f}" for name, value in sorted(trainer.callback_metrics.items()))
            logger.info("epoch %d, step %d: %s", trainer.current_epoch, trainer.global_step, ", ".join(metrics))
