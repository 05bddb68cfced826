"""Which examples a process works on in an epoch: a function of the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import Sampler


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How the examples of a step are shared out.

    Attributes:
        batch: examples of one optimisation step.
        micro_batch: that one process works on at once.
        world_size: processes.
        epoch_steps: optimisation steps of one epoch.
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
        """Of one process."""
        return self.epoch_steps * self.batch // self.world_size

    def examples(self, epoch: int, rank: int) -> Iterator[int]:
        """Numbers of the examples of one process in one epoch, in order."""
        for step in range(epoch * self.epoch_steps, (epoch + 1) * self.epoch_steps):
            for part in self.parts(step, rank):
                yield from part

    def parts(self, step: int, rank: int) -> Iterator[range]:
        """Numbers of the examples that one process works on at once in one step, one part after the other."""
        for part in range(rank, self.batch // self.micro_batch, self.world_size):
            first = step * self.batch + part * self.micro_batch
            yield range(first, first + self.micro_batch)


class StepSampler(Sampler[int]):
    """The examples of one process; Lightning tells it the epoch, so that a resumed run goes on where it was."""

    def __init__(self, plan: BatchPlan, rank: int) -> None:
        self.plan = plan
        self.rank = rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.examples_per_epoch

    def __iter__(self) -> Iterator[int]:
        return self.plan.examples(self.epoch, self.rank)
