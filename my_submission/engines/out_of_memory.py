"""Batches that shrink to what a device has memory for."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from my_submission.engines.base import Batch, Engine
from my_submission.engines.devices import Device
from my_submission.errors import DeviceMemoryError

logger = logging.getLogger(__name__)


class OutOfMemorySplitter:
    """An engine of independent items that goes on in halves where a batch does not fit the device.

    Nothing is lost: items that are done are kept, the others are run again in smaller batches, and so is everything
    that comes later. ``remark`` and the log say so. A single item that does not fit is an error.

    Args:
        engine: maps a batch to one result an item, each item by itself.
        name: of the network, for the remark.
        release: gives back the memory that libraries keep for later; called after every failure.
    """

    def __init__(self, engine: Engine, *, name: str, release: Callable[[], None]) -> None:
        self.engine = engine
        self.name = name
        self.remark = ""
        self._release = release
        self._most: int | None = None

    @property
    def runs_on(self) -> str:
        """Where the work is done."""
        return self.engine.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine over a batch, in as many runs as it takes.

        Raises:
            DeviceMemoryError: not even a single item fits.
        """
        done: list[Batch] = []
        position = 0
        while position < len(batch):
            stop = min(position + (self._most or len(batch)), len(batch))
            try:
                done.append(self.engine.run(batch[position:stop], is_last=is_last and stop == len(batch)))
            except DeviceMemoryError as error:
                if stop - position == 1:
                    raise
                problem = error.problem
            else:
                position = stop
                continue
            # Only here, after the exception and the tensors that its frames hold are gone, is there memory to release.
            self._release()
            self._most = (stop - position) // 2
            self.remark = f"{self.name}: runs of {self._most}, because {problem}"
            logger.warning(self.remark)
        return done[0] if len(done) == 1 else np.concatenate(done)


def fitting(engine: Engine, device: Device, *, name: str) -> Engine:
    """The engine as it is on the CPU, whose memory is planned; one whose batches shrink to a GPU's memory there."""
    if device.kind == "cpu":
        return engine
    import torch

    return OutOfMemorySplitter(engine, name=name, release=torch.cuda.empty_cache)
