"""Division of the examples of an optimisation step among processes and forward passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BatchSplit:
    """Division of a step's examples: as even as possible, the same number of parts on every process.

    Eight examples on three processes are 3 + 3 + 2.

    Attributes:
        batch: examples per optimisation step, over all processes and parts.
        micro_batch: maximum number of examples per forward pass of one process.
        world_size: number of processes.
    """

    batch: int
    micro_batch: int
    world_size: int

    def __post_init__(self) -> None:
        if min(self.batch, self.micro_batch, self.world_size) < 1:
            raise ValueError(f"every count must be at least 1: {self}")
        if self.batch // self.world_size < self.n_parts:
            raise ValueError(
                f"batch={self.batch} cannot be split over {self.world_size} processes in parts of at most "
                f"{self.micro_batch}: a process would have fewer than {self.n_parts} examples; "
                "raise data.batch or data.micro_batch, or lower run.devices"
            )

    @property
    def n_parts(self) -> int:
        """Forward passes per process and step."""
        largest_share = -(-self.batch // self.world_size)
        return -(-largest_share // self.micro_batch)

    @property
    def smallest_part(self) -> int:
        """Examples of the smallest part of any process."""
        return self.batch // self.world_size // self.n_parts

    def numbers(self, step: int, part: int, rank: int) -> range:
        """Return the numbers of the examples of one part on one process."""
        sizes = [self._size(p, r) for p in range(part + 1) for r in range(self.world_size)]
        first = step * self.batch + sum(sizes[: part * self.world_size + rank])
        return range(first, first + self._size(part, rank))

    def parts(self, step: int, rank: int) -> Iterator[range]:
        """Yield the parts of one process in one step."""
        for part in range(self.n_parts):
            yield self.numbers(step, part, rank)

    def loss_scale(self, n_examples: int) -> float:
        """Return the factor on the mean loss of ``n_examples`` that makes every example of a step count the same.

        Gradients are averaged over parts and over processes, whatever their numbers of examples.
        """
        return n_examples * self.n_parts * self.world_size / self.batch

    def _size(self, part: int, rank: int) -> int:
        share = _even(self.batch, self.world_size, rank)
        return _even(share, self.n_parts, part)


def _even(total: int, n: int, index: int) -> int:
    """Return the size of one of ``n`` parts of ``total``; the first ones are larger by one if it does not divide."""
    return total // n + (index < total % n)
