"""The contract of every engine, and opening each file once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

Batch = npt.NDArray[np.float32]
"""float32 with the batch on the first axis; the other axes are the network's."""

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Arithmetic of products; "tf32" rounds factors to ten bits of mantissa on GPUs that can, and is fp32 elsewhere."""

Opened = TypeVar("Opened")


class Engine(Protocol):
    """Maps a batch to a batch."""

    @property
    def runs_on(self) -> str:
        """Runtime and device for logs and reports, such as "onnxruntime CPU, 2 threads"."""
        ...

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Map a batch; neither side keeps a reference to the other's array.

        ``is_last`` means that no other batch follows soon: working memory is released, on a GPU only if memory is
        scarce; weights stay loaded.
        """
        ...


@runtime_checkable
class DeferredEngine(Engine, Protocol):
    """An engine that opens its weights when they are first needed."""

    def open(self) -> None:
        """Open the weights now, so that no run has to."""
        ...


@runtime_checkable
class SegmentsEngine(Engine, Protocol):
    """An engine that runs segments of different lengths together, at less cost than one after the other."""

    def run_together(self, segments: Sequence[Batch], *, is_last: bool = False) -> list[Batch]:
        """Map segments, each without a batch axis, to one result each."""
        ...


class EngineWrapper:
    """Base of engines around another one, which runs on what that one runs on."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def runs_on(self) -> str:
        """Runtime and device of the inner engine."""
        return self.engine.runs_on


class RemarkingEngine(EngineWrapper):
    """Another engine with a remark for the reader of a report."""

    def __init__(self, engine: Engine, remark: str) -> None:
        super().__init__(engine)
        self.remark = remark

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the other engine."""
        return self.engine.run(batch, is_last=is_last)


def open_once(open_file: Callable[..., Opened], path: Path, **options: Hashable) -> Opened:
    """Return ``open_file(path, **options)``, cached for the life of the process while the file is unchanged."""
    real = path.resolve()
    return cast(Opened, _opened(open_file, real, real.stat().st_mtime_ns, **options))


@lru_cache(maxsize=64)
def _opened(open_file: Callable[..., Any], path: Path, modified_ns: int, **options: Hashable) -> Any:
    return open_file(path, **options)
