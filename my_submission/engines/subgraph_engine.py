"""Subgraphs on onnxruntime's CPU provider, opened when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.engines.devices import Device, explained
from my_submission.engines.onnx_engine import open_session, run_options
from my_submission.engines.runtimes import import_onnxruntime
from my_submission.graphs.subgraph import OUTPUT, Array, Subgraph
from my_submission.weights import map_tensors

CPU = Device("cpu")


class SubgraphEngine:
    """A subgraph in a session of its own.

    Args:
        subgraph: the graph and its weights.
        where: the file that the weights come from, for error messages.
        threads: processors per run.

    Raises:
        WeightsError: onnxruntime cannot open the graph.
    """

    def __init__(self, subgraph: Subgraph, where: Path, *, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        self._runtime = onnxruntime
        self._fed = subgraph.fed
        self._session = open_session(
            onnxruntime, subgraph.content, device=CPU, threads=threads, where=where, weights=subgraph.weights
        )

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """Return the output of the graph; ``is_last`` releases working memory."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in {**feeds, **self._fed}.items()}
        with explained(CPU, 1):
            result: Batch = self._session.run([OUTPUT], contiguous, run_options(self._runtime, CPU, is_last=is_last))[0]
        return result


class DeferredSubgraph:
    """A subgraph that is opened when it is first run, and can be closed until it is run again.

    Args:
        make: returns the graph.
        where: the file that the weights come from, for error messages.
        threads: processors per run.
    """

    def __init__(self, make: Callable[[], Subgraph], where: Path, *, threads: int) -> None:
        self._make = make
        self._where = where
        self._threads = threads
        self._engine: SubgraphEngine | None = None

    def open(self) -> SubgraphEngine:
        """Return the subgraph, ready to run."""
        self._engine = self._engine or SubgraphEngine(self._make(), self._where, threads=self._threads)
        return self._engine

    def close(self) -> None:
        """Release the weights."""
        self._engine = None

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """Run the subgraph."""
        return self.open()(feeds, is_last=is_last)


def subgraph_of(
    path: Path, names: Collection[str], make: Callable[[Mapping[str, Array]], Subgraph], *, threads: int
) -> DeferredSubgraph:
    """Return a deferred subgraph of some tensors of a checkpoint, which are mapped as float32 when it is opened.

    Args:
        path: the checkpoint.
        names: names of the tensors.
        make: returns the graph of these tensors.
        threads: processors per run.
    """

    def made() -> Subgraph:
        return make({name: np.asarray(tensor, np.float32) for name, tensor in map_tensors(path, names).items()})

    return DeferredSubgraph(made, path, threads=threads)
