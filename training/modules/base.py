"""Base classes of all trained networks: averaging, optimiser, validation on whole songs.

A new network is a file beside this one with two classes: its :class:`ModuleSettings` under a ``kind`` and its
:class:`SeparationModule`, each with the abstract methods filled in.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from evaluator.metrics import global_sdr
from my_submission.errors import MdxError
from training.data.stems import SILENT_SONG_RMS
from training.examples.loading import RunDataModule
from training.experiment import Experiment, NetworkSettings
from training.export.graphs import Exported
from training.modules.activations import recompute_in_backward
from training.modules.validation_loss import loss_of_chunks
from training.modules.whole_songs import separate
from training.optimisation.optimisers import Plateau
from training.settings.strict import to_table

EXPERIMENT_KEY = "experiment"
"""Key of the experiment's table in a checkpoint."""

SDR_METRIC = "val/sdr"
L1_METRIC = "val/l1"
LOSS_METRIC = "val/loss"
MONITORED: dict[str, tuple[str, Literal["min", "max"]]] = {"sdr": (SDR_METRIC, "max"), "l1": (L1_METRIC, "min")}
"""Logged value that ranks checkpoints, and its mode, by name in the settings; other names are losses."""


def monitored(monitor: str) -> tuple[str, Literal["min", "max"]]:
    """Return the logged value that ranks checkpoints, and its mode."""
    return MONITORED.get(monitor, (LOSS_METRIC, "min"))


class ModuleSettings(NetworkSettings):
    """Settings of a network that build it and the Lightning module that trains it."""

    @abstractmethod
    def network(self, experiment: Experiment) -> nn.Module:
        """Return the network with weights drawn from torch's global generator."""

    @abstractmethod
    def trainer(self) -> type[SeparationModule]:
        """Return the class of the module that trains the network."""

    def load_start(self, network: nn.Module, experiment: Experiment) -> None:
        """Load the weights that a fresh run starts from into ``network``; by default it keeps its random ones."""

    def module(self, experiment: Experiment, *, total_steps: int) -> SeparationModule:
        """Return the module with weights drawn from the experiment's seed; torch's generator state is restored."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            network = self.network(experiment)
        return self.trainer()(experiment, network, total_steps=total_steps)

    def initialise(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Set the initial weights of a fresh module and of its average.

        Args:
            module: a module returned by :meth:`module`.
            experiment: the run.
            examples: its training windows by number.
        """
        for network in (module.network, module.averaged):
            if network is not None:
                self.load_start(network, experiment)


def module_settings(experiment: Experiment) -> ModuleSettings:
    """Return the experiment's network settings as those that build a module."""
    return cast("ModuleSettings", experiment.network)


class SeparationModule(lightning.LightningModule):
    """Base class of the Lightning modules that train a network.

    Args:
        experiment: the run.
        network: the network with its initial weights.
        total_steps: optimisation steps of the whole run, for schedules.

    Attributes:
        network: the network that is trained.
        averaged: exponential moving average of its weights; None if the experiment has none.
        is_searching_rate: whether the learning rate is being searched, so that the loss may diverge.
    """

    is_searching_rate: bool = False

    def __init__(self, experiment: Experiment, network: nn.Module, *, total_steps: int) -> None:
        super().__init__()
        self.experiment = experiment
        self.total_steps = total_steps
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False).eval() if experiment.run.ema else None
        if experiment.run.checkpoint_activations:
            recompute_in_backward(self.blocks())
        self._micro_losses: list[Tensor] = []
        self._sums: dict[str, list[float]] = {}
        self._absolute = [0.0, 0.0]
        self._losses = [0.0, 0.0]

    @property
    def evaluated(self) -> nn.Module:
        """Network that is validated and exported: the average if there is one."""
        return self.network if self.averaged is None else self.averaged

    @abstractmethod
    def batch_loss(self, stems: Tensor) -> Tensor:
        """Return the loss of examples ``[N, sources, 2, samples]``, in the order of ``experiment.sources``."""

    @abstractmethod
    def estimate(self, mixtures: Tensor) -> Tensor:
        """Separate mixtures ``[N, 2, samples]`` into ``[N, targets, 2, samples]`` with the network ``evaluated``."""

    @abstractmethod
    def export_graphs(self, folder: Path) -> list[Exported]:
        """Write the network ``evaluated`` to ``folder`` and check the files against it."""

    @abstractmethod
    def blocks(self) -> Iterable[nn.Module]:
        """Return the parts of ``network`` whose activations can be recomputed in the backward pass."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the loss of a micro-batch, scaled so that all windows of a step count the same."""
        loss = self.batch_loss(batch)
        scale = self.experiment.batch_split.loss_scale(len(batch))
        if scale != 1.0:  # parts of different sizes
            loss = loss * scale
        self._micro_losses.append(loss.detach())
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the mean loss of the step over micro-batches and processes.

        Raises:
            MdxError: a loss is not finite; the step has not changed the weights.
        """
        losses = torch.stack(self._micro_losses)
        self._micro_losses.clear()
        if not (self.is_searching_rate or torch.isfinite(losses).all()):
            self._raise_not_finite(losses.tolist())
        mean = losses.mean()
        self.log("train/loss", mean, on_step=True, on_epoch=False, sync_dist=True)

    def _raise_not_finite(self, losses: Sequence[float]) -> NoReturn:
        part = next(index for index, loss in enumerate(losses) if not math.isfinite(loss))
        step = int(self.trainer.global_step)
        source = self.trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it where fit is given one
        windows = source.windows(step, part) if isinstance(source, RunDataModule) else f"part {part}"
        raise MdxError(
            f"the loss of step {step} is {losses[part]} with {windows}",
            hint="listen to these stems; if they are fine, lower optimiser.learning_rate and resume from last.ckpt",
        )

    def on_validation_epoch_start(self) -> None:
        """Reset the sums of the last validation."""
        self._sums = {target: [0.0, 0.0] for target in self.experiment.targets}
        self._absolute = [0.0, 0.0]
        self._losses = [0.0, 0.0]

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Add the metrics of one song, ``(sources, 2, samples)``; silent targets have no SDR.

        The absolute error is a mean over chunks, as published for LaSAFT: a long song counts more than a short one.
        """
        experiment, mixture = self.experiment, batch.sum(dim=0)
        kept = experiment.chunking.kept_samples
        estimates = separate(self.estimate, experiment.chunking, mixture)
        for target, row, estimate in zip(experiment.targets, experiment.target_rows, estimates.numpy(), strict=True):
            reference = batch[row].cpu().numpy()
            self._absolute[0] += float(np.abs(reference - estimate).sum()) / (2 * kept)
            self._absolute[1] += -(-reference.shape[-1] // kept)
            if np.sqrt(np.mean(np.square(reference, dtype=np.float64))) > SILENT_SONG_RMS:
                self._sums[target][0] += global_sdr(reference, estimate)
                self._sums[target][1] += 1.0
        monitor = experiment.validation.monitor
        if monitor not in MONITORED:
            references = batch[experiment.target_rows].cpu()
            total, n_chunks = loss_of_chunks(monitor, experiment, estimates, references, mixture.cpu())
            self._losses[0] += total
            self._losses[1] += n_chunks

    def on_validation_epoch_end(self) -> None:
        """Log the means over the songs of all processes, per target and over targets."""
        sums = torch.tensor([self._sums[target] for target in self.experiment.targets], device=self.device)
        totals = self.trainer.strategy.reduce(sums, reduce_op="sum")
        means = totals[:, 0] / totals[:, 1]
        if not torch.isfinite(means).all():
            silent = [t for t, n in zip(self.experiment.targets, totals[:, 1], strict=True) if n == 0]
            raise ValueError(f"no validation song has a stem of {', '.join(silent) or 'finite SDR'}")
        for target, mean in zip(self.experiment.targets, means, strict=True):
            self.log(f"{SDR_METRIC}_{target}", mean)
        self.log(SDR_METRIC, means.mean(), prog_bar=True)
        absolute = self.trainer.strategy.reduce(torch.tensor(self._absolute, device=self.device), reduce_op="sum")
        self.log(L1_METRIC, absolute[0] / absolute[1])
        if self.experiment.validation.monitor not in MONITORED:
            losses = self.trainer.strategy.reduce(torch.tensor(self._losses, device=self.device), reduce_op="sum")
            self.log(LOSS_METRIC, losses[0] / losses[1])

    def configure_optimizers(self) -> Any:
        """Return the experiment's optimiser and schedule, stepped per step or per validation."""
        optimiser = self.experiment.optimiser.build(p for p in self.network.parameters() if p.requires_grad)
        if isinstance(self.experiment.schedule, Plateau):
            metric, mode = monitored(self.experiment.validation.monitor)
            every = self.experiment.validation.every_epochs
            in_validations = replace(self.experiment.schedule, patience=self.experiment.schedule.patience // every)
            plateau = in_validations.build(optimiser, self.total_steps, mode=mode)
            scheduler = {"scheduler": plateau, "interval": "epoch", "frequency": every, "monitor": metric}
            return {"optimizer": optimiser, "lr_scheduler": scheduler}
        per_step = self.experiment.schedule.build(optimiser, self.total_steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": per_step, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the experiment as a plain table."""
        checkpoint[EXPERIMENT_KEY] = to_table(self.experiment)
