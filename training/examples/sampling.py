"""Distribution of examples over processes, as a function of the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import Sampler


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Distribution of the examples of a step over processes and micro-batches.

    Attributes:
        batch: examples per optimisation step.
        micro_batch: examples per forward pass of one process.
        world_size: number of processes.
        epoch_steps: optimisation steps per epoch.
    """

    batch: int
    micro_batch: int
    world_size: int
    epoch_steps: int

    def __post_init__(self) -> None:
        if min(self.batch, self.micro_batch, self.world_size, self.epoch_steps) < 1:
            raise ValueError(f"every count must be at least 1: {self}")
        if self.batch % (self.micro_batch * self.world_size):
            raise ValueError(f"batch={self.batch} cannot be split over {self.world_size} x {self.micro_batch}")

    @property
    def examples_per_epoch(self) -> int:
        """Number of examples per epoch and process."""
        return self.epoch_steps * self.batch // self.world_size

    def examples(self, epoch: int, rank: int) -> Iterator[int]:
        """Yield the numbers of the examples of one process in one epoch, in order."""
        for step in range(epoch * self.epoch_steps, (epoch + 1) * self.epoch_steps):
            for part in self.parts(step, rank):
                yield from part

    def parts(self, step: int, rank: int) -> Iterator[range]:
        """Yield the micro-batches of one process in one step, as ranges of example numbers."""
        for part in range(rank, self.batch // self.micro_batch, self.world_size):
            first = step * self.batch + part * self.micro_batch
            yield range(first, first + self.micro_batch)


class StepSampler(Sampler[int]):
    """Sampler of the examples of one process; Lightning sets the epoch, also in resumed runs."""

    def __init__(self, plan: BatchPlan, rank: int) -> None:
        self.plan = plan
        self.rank = rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls it before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.examples_per_epoch

    def __iter__(self) -> Iterator[int]:
        return self.plan.examples(self.epoch, self.rank)
