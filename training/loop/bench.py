"""Benchmarks of training: optimisation steps at full size, and the speed of data loading."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
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
from training.examples.sampling import BatchPlan, PartSampler
from training.experiment import Experiment
from training.loop.trainer import build_trainer, expected_warnings
from training.modules.base import module_settings

NOISE_LEVEL = 0.05


@dataclass(frozen=True)
class StepCost:
    """Cost of optimisation steps.

    Attributes:
        parameters: number of parameters of the network.
        examples: examples per step.
        seconds: wall-clock time per step.
        processor_seconds: processor time of all steps over all threads, which other processes do not affect.
        peak_bytes: peak memory of the process, or of the GPU if it was used.
        device: the device.
    """

    parameters: int
    examples: int
    seconds: tuple[float, ...]
    processor_seconds: float
    peak_bytes: int
    device: str

    @property
    def examples_per_second(self) -> float:
        """Examples per second of the fastest step."""
        return self.examples / min(self.seconds)


class _Noise(Dataset[Tensor]):
    """Examples of white noise, which cost as much as music."""

    def __init__(self, n_examples: int, n_sources: int, n_samples: int) -> None:
        self._shape = (n_sources, 2, n_samples)
        self._n_examples = n_examples

    def __len__(self) -> int:
        return self._n_examples

    def __getitem__(self, index: int) -> Tensor:
        noise = np.random.default_rng(index).standard_normal(self._shape, dtype=np.float32)
        return from_numpy(noise * np.float32(NOISE_LEVEL))


class _StepClock(lightning.Callback):
    """Wall-clock time of every optimisation step with its micro-batches."""

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
    """Measure optimisation steps on noise, with the module and trainer of a run."""
    short = replace(experiment, run=replace(experiment.run, epochs=1, epoch_steps=n_steps))
    if short.run.threads is not None:
        torch.set_num_threads(short.run.threads)
    module = module_settings(short).module(short, total_steps=n_steps)
    clock = _StepClock()
    noise = _Noise(n_steps * short.data.batch, len(short.sources), short.window_samples)
    plan = BatchPlan(**asdict(short.batch_split), epoch_steps=n_steps)
    trainer = build_trainer(short, scratch, [clock], is_validated=False, is_logged=False)
    began = time.process_time()
    with expected_warnings():
        trainer.fit(module, DataLoader(noise, batch_sampler=PartSampler(plan, trainer.global_rank)))
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
    """Return the examples per second that the workers of one process load, without the first batch."""
    batches = iter(RunDataModule(experiment, data, cache).loader(rank=0, world_size=experiment.run.world_size))
    next(batches)
    began = time.perf_counter()
    n_examples = sum(len(batch) for batch in islice(batches, n_batches))
    return n_examples / (time.perf_counter() - began)
