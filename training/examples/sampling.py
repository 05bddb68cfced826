"""Distribution of examples over processes, as a function of the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import Sampler

from training.data.batches import BatchSplit


@dataclass(frozen=True, kw_only=True)
class BatchPlan(BatchSplit):
    """Distribution of the examples of a run over epochs, processes and parts.

    Attributes:
        epoch_steps: optimisation steps per epoch.
    """

    epoch_steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epoch_steps < 1:
            raise ValueError(f"epoch_steps={self.epoch_steps} must be at least 1")

    def epoch_parts(self, epoch: int, rank: int) -> Iterator[range]:
        """Yield the parts of one process in one epoch, in order."""
        for step in range(epoch * self.epoch_steps, (epoch + 1) * self.epoch_steps):
            yield from self.parts(step, rank)


class PartSampler(Sampler[list[int]]):
    """Batch sampler of one process.

    Args:
        plan: distribution of the run's examples.
        rank: number of the process.
        epoch: first epoch; Lightning sets all that follow, but a resumed run reads ahead before it does.
    """

    def __init__(self, plan: BatchPlan, rank: int, epoch: int = 0) -> None:
        self.plan = plan
        self.rank = rank
        self.epoch = epoch

    @property
    def sampler(self) -> PartSampler:
        """Itself, because Lightning sets the epoch of a batch sampler's ``sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls it before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.epoch_steps * self.plan.n_parts

    def __iter__(self) -> Iterator[list[int]]:
        for part in self.plan.epoch_parts(self.epoch, self.rank):
            yield list(part)
