"""Batches halved until they fit a device's memory."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from my_submission.engines.base import Batch, Engine, EngineWrapper
from my_submission.engines.devices import Device
from my_submission.errors import DeviceMemoryError

logger = logging.getLogger(__name__)


class OutOfMemorySplitter(EngineWrapper):
    """An engine of independent items that halves the batch when the device runs out of memory.

    Results so far are kept; the rest of the batch and all later batches run at the smaller size, which ``remark`` and
    the log report.

    Args:
        engine: maps a batch to one result per item; items do not depend on each other.
        name: name of the network, for the remark.
        release: releases memory that libraries cache; called after every failure.
    """

    def __init__(self, engine: Engine, *, name: str, release: Callable[[], None]) -> None:
        super().__init__(engine)
        self.name = name
        self.remark = ""
        self._release = release
        self._max_items: int | None = None

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine over a batch, in several runs if necessary.

        Raises:
            DeviceMemoryError: not even a single item fits.
        """
        done: list[Batch] = []
        position = 0
        while position < len(batch):
            stop = min(position + (self._max_items or len(batch)), len(batch))
            try:
                done.append(self.engine.run(batch[position:stop], is_last=is_last and stop == len(batch)))
            except DeviceMemoryError as error:
                if stop - position == 1:
                    raise
                problem = error.problem
            else:
                position = stop
                continue
            # Here the exception, whose frames hold tensors, is gone.
            self._release()
            self._max_items = (stop - position) // 2
            self.remark = f"{self.name}: runs of {self._max_items}, because {problem}"
            logger.warning(self.remark)
        return done[0] if len(done) == 1 else np.concatenate(done)


def fitting(engine: Engine, device: Device, *, name: str) -> Engine:
    """Return the engine with batches halved on a GPU that is out of memory; on the CPU memory is planned instead."""
    if device.kind == "cpu":
        return engine
    import torch

    return OutOfMemorySplitter(engine, name=name, release=torch.cuda.empty_cache)
