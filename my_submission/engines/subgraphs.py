"""Graphs built in memory as something to run, opened when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.graphs.subgraph import Array, GraphPiece
from my_submission.weights import map_tensors


class Piece(Protocol):
    """A graph ready to run."""

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """The graph's one output; ``is_last`` gives working memory back."""
        ...


OpenPiece = Callable[[GraphPiece, Path], Piece]
"""Makes a graph ready to run; the path is that of the checkpoint, for error messages."""


class DeferredPiece:
    """A piece that is opened when it is first run, and can be let go of until it is run again."""

    def __init__(self, open_piece: Callable[[], Piece]) -> None:
        self._open_piece = open_piece
        self._piece: Piece | None = None

    def open(self) -> Piece:
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
    open_piece: OpenPiece, path: Path, names: Collection[str], make: Callable[[Mapping[str, Array]], GraphPiece]
) -> DeferredPiece:
    """A piece made from some tensors of a checkpoint, which are mapped when it is opened; in float32 whatever they are.

    Args:
        open_piece: the runtime.
        path: the checkpoint.
        names: of the tensors.
        make: the graph, from these tensors.
    """

    def opened() -> Piece:
        tensors = {name: np.asarray(tensor, np.float32) for name, tensor in map_tensors(path, names).items()}
        return open_piece(make(tensors), path)

    return DeferredPiece(opened)
