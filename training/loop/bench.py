"""What training costs: one optimisation step at full size, and the speed at which examples are made."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, from_numpy
from torch.utils.data import DataLoader, Dataset

from my_submission.predictor.peak_memory import peak_memory_bytes
from training.examples.loading import RunData, RunDataModule
from training.experiment import Experiment
from training.loop.fitting import build_trainer, expected_warnings
from training.modules.base import module_settings

NOISE_LEVEL = 0.05


@dataclass(frozen=True)
class StepCost:
    """One optimisation step.

    Attributes:
        parameters: of the network.
        examples: of one step.
        seconds: of each step measured, by the clock on the wall.
        processor_seconds: of all steps together, over all threads: what they took on a machine shared with others.
        peak_bytes: most memory the process held, on the GPU where there is one.
        device: what it ran on.
    """

    parameters: int
    examples: int
    seconds: tuple[float, ...]
    processor_seconds: float
    peak_bytes: int
    device: str

    @property
    def examples_per_second(self) -> float:
        """Of the fastest step."""
        return self.examples / min(self.seconds)


class _Noise(Dataset[Tensor]):
    """Examples of white noise: the work is the same as with music."""

    def __init__(self, n_examples: int, n_sources: int, n_samples: int) -> None:
        self._shape = (n_sources, 2, n_samples)
        self._n_examples = n_examples

    def __len__(self) -> int:
        return self._n_examples

    def __getitem__(self, index: int) -> Tensor:
        noise = np.random.default_rng(index).standard_normal(self._shape, dtype=np.float32)
        return from_numpy(noise * np.float32(NOISE_LEVEL))


class _StepClock(lightning.Callback):
    """Seconds of every optimisation step, its accumulated parts included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0
        self._step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._step, now = trainer.global_step, time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now


def bench_step(experiment: Experiment, scratch: Path, *, n_steps: int) -> StepCost:
    """Runs whole optimisation steps on noise, through the very module and trainer of a run."""
    short = replace(experiment, run=replace(experiment.run, epochs=1, epoch_steps=n_steps))
    if short.run.threads is not None:
        torch.set_num_threads(short.run.threads)
    module = module_settings(short).module(short, total_steps=n_steps)
    clock = _StepClock()
    n_examples = n_steps * short.data.batch // short.run.world_size
    noise = _Noise(n_examples, len(short.sources), short.window_samples)
    trainer = build_trainer(short, scratch, [clock], is_validated=False, is_logged=False)
    began = time.process_time()
    with expected_warnings():
        trainer.fit(module, DataLoader(noise, batch_size=short.data.micro_batch))
    is_gpu = trainer.strategy.root_device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if is_gpu else peak_memory_bytes()
    return StepCost(
        sum(p.numel() for p in module.network.parameters()),
        short.data.batch,
        tuple(clock.seconds),
        time.process_time() - began,
        int(peak or 0),
        torch.cuda.get_device_name() if is_gpu else f"CPU, {torch.get_num_threads()} threads",
    )


def bench_data(experiment: Experiment, data: RunData, cache: Path, *, n_batches: int) -> float:
    """Examples a second that one process's workers read and augment; the first batch, which starts them, apart."""
    batches = iter(RunDataModule(experiment, data, cache).loader(rank=0, world_size=experiment.run.world_size))
    next(batches)
    began = time.perf_counter()
    n_examples = sum(len(batch) for batch in islice(batches, n_batches))
    return n_examples / (time.perf_counter() - began)
