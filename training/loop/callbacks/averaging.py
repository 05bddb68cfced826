"""The moving average of the weights, kept by the module and moved after every optimisation step."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import nn

from training.modules.base import SeparationModule


class WeightAverage(lightning.Callback):
    """Moves ``module.averaged`` towards ``module.network``; the average is in every checkpoint with the module.

    The decay starts low and reaches its value after some steps, so that the initial weights are soon forgotten.

    Args:
        decay: share of the average that a step keeps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._steps_seen = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A resumed run goes on counting."""
        self._steps_seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Averages once a step, not once an accumulated part."""
        if trainer.global_step == self._steps_seen:
            return
        self._steps_seen = trainer.global_step
        if isinstance(pl_module, SeparationModule) and pl_module.averaged is not None:
            average(pl_module.averaged, pl_module.network, decay_at(self._steps_seen, self.decay))


def decay_at(step: int, decay: float) -> float:
    """The decay after ``step`` steps: at most ``decay``, less at first."""
    return min(decay, (1.0 + step) / (10.0 + step))


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves parameters towards those of ``network``; buffers are copied."""
    for kept, fresh in zip(averaged.parameters(), network.parameters(), strict=True):
        kept.lerp_(fresh, 1.0 - decay)
    for held, current in zip(averaged.buffers(), network.buffers(), strict=True):
        held.copy_(current)
