"""Graphs built in memory as something to run, opened when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.graphs.subgraph import Array, Subgraph
from my_submission.weights import map_tensors


class SubgraphEngine(Protocol):
    """A graph ready to run."""

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """The graph's one output; ``is_last`` gives working memory back."""
        ...


OpenPiece = Callable[[Subgraph, Path], SubgraphEngine]
"""Makes a graph ready to run; the path is that of the checkpoint, for error messages."""


class DeferredSubgraph:
    """A piece that is opened when it is first run, and can be let go of until it is run again."""

    def __init__(self, open_piece: Callable[[], SubgraphEngine]) -> None:
        self._open_piece = open_piece
        self._piece: SubgraphEngine | None = None

    def open(self) -> SubgraphEngine:
        """The piece, ready to run."""
        self._piece = self._piece or self._open_piece()
        return self._piece

    def close(self) -> None:
        """Let go of its weights."""
        self._piece = None

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """Run it."""
        return self.open()(feeds, is_last=is_last)


def deferred_piece(
    open_piece: OpenPiece, path: Path, names: Collection[str], make: Callable[[Mapping[str, Array]], Subgraph]
) -> DeferredSubgraph:
    """A piece made from some tensors of a checkpoint, which are mapped when it is opened; in float32 whatever they are.

    Args:
        open_piece: the runtime.
        path: the checkpoint.
        names: of the tensors.
        make: the graph, from these tensors.
    """

    def opened() -> SubgraphEngine:
        tensors = {name: np.asarray(tensor, np.float32) for name, tensor in map_tensors(path, names).items()}
        return open_piece(make(tensors), path)

    return DeferredSubgraph(opened)
