"""Graphs beside every checkpoint, and the manifest entry of the best one."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from training.export.manifest import record_graphs
from training.modules.base import SeparationModule

logger = logging.getLogger(__name__)

STEP_NAME = "step_{step:07d}"
"""Name of a checkpoint and of its folder of graphs."""

_STEP = re.compile(r"step_\d{7}")


def graph_folder(run: Path, step: int) -> Path:
    """Where the graphs of the checkpoint after so many steps lie."""
    return run / "onnx" / STEP_NAME.format(step=step)


class GraphExport(lightning.Callback):
    """Exports at every checkpoint saved, drops the graphs of dropped ones, and keeps the manifest at the best.

    Args:
        runs: folder of all runs, which serves as a models folder.
        run: this run's folder below it.
        best: the checkpoints ranked by validation; None where nothing is validated, then the last counts.
    """

    def __init__(self, runs: Path, run: Path, best: ModelCheckpoint | None) -> None:
        self._runs = runs
        self._run = run
        self._best = best

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Exports on the first process; the others wait at the checkpoint's own barrier."""
        if not trainer.is_global_zero or not isinstance(pl_module, SeparationModule):
            return
        current = graph_folder(self._run, trainer.global_step)
        if not current.is_dir():
            for written in pl_module.export_graphs(current):
                logger.info("%s: parity %.1f dB", written.path, written.parity_db)
        chosen = self._best_folder() or current
        record_graphs(self._runs, pl_module.experiment, chosen)
        self._drop({chosen, current})

    def _best_folder(self) -> Path | None:
        name = Path(self._best.best_model_path).stem if self._best and self._best.best_model_path else ""
        folder = self._run / "onnx" / name
        return folder if name and folder.is_dir() else None

    def _drop(self, needed: set[Path]) -> None:
        kept = {path.stem for path in (self._run / "checkpoints").glob("*.ckpt")}
        for folder in (self._run / "onnx").iterdir():
            if _STEP.fullmatch(folder.name) and folder not in needed and folder.name not in kept:
                shutil.rmtree(folder)
