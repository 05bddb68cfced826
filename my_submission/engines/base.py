"""The contract every engine keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Batch = npt.NDArray[np.float32]
"""float32 with the batch on the first axis; the other axes are the network's."""


class Engine(Protocol):
    """Something that maps a batch to a batch, always the same way."""

    @property
    def runs_on(self) -> str:
        """Where the work is really done, for logs and reports, such as "onnxruntime CPU, 2 threads"."""
        ...

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Map a batch; neither side keeps a reference to the other's array.

        ``is_last`` says that no other batch follows soon: working memory is given back, on a GPU where it is scarce;
        weights stay.
        """
        ...


@runtime_checkable
class DeferredEngine(Engine, Protocol):
    """An engine that opens its weights when they are first needed."""

    def open(self) -> None:
        """Open them now, so that no run has to."""
        ...


@runtime_checkable
class SegmentsEngine(Engine, Protocol):
    """An engine that runs segments of different lengths together, for less than one after the other."""

    def run_together(self, segments: Sequence[Batch], *, is_last: bool = False) -> list[Batch]:
        """Map segments, each without a batch axis, to one result each."""
        ...
