"""Graphs built in memory, with their weights beside them, on onnxruntime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.engines.devices import Device, explained
from my_submission.engines.onnx_engine import open_session, run_options
from my_submission.graphs.subgraph import OUTPUT, Subgraph

CPU = Device("cpu")


class OnnxSubgraph:
    """One graph in a session of its own.

    Args:
        piece: the graph; onnxruntime takes what it needs of the weights.
        where: the file that the weights come from, for error messages.
        threads: processors for one run.

    Raises:
        WeightsError: onnxruntime cannot open the graph.
    """

    def __init__(self, piece: Subgraph, where: Path, *, threads: int) -> None:
        import onnxruntime

        self._runtime = onnxruntime
        self._fed = piece.fed
        self._session = open_session(
            onnxruntime, piece.content, device=CPU, threads=threads, where=where, weights=piece.weights
        )

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]], *, is_last: bool = False) -> Batch:
        """Run the graph."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in {**feeds, **self._fed}.items()}
        with explained(CPU, 1):
            result: Batch = self._session.run([OUTPUT], contiguous, run_options(self._runtime, CPU, is_last=is_last))[0]
        return result
