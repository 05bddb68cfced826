"""Graphs of conditioned networks on onnxruntime: spectra and source numbers in, spectra of those sources out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.engines.onnx_engine import GraphShape, OnnxGraph, check_element_type
from my_submission.errors import WeightsError

SPECTRA_INPUT = "input"
SOURCES_INPUT = "source"
OUTPUT = "output"

_HINT = (
    "export it with a float32 input (batch, 4, frames, bins), an int64 input (sources) "
    "and a float32 output (batch, sources, 4, frames, bins)"
)


class ConditionedOnnx(OnnxGraph):
    """A graph of spectra and source numbers."""

    def _check_signature(self) -> None:
        inputs = {value.name: list(value.shape) for value in self._session.get_inputs()}
        outputs = {value.name: list(value.shape) for value in self._session.get_outputs()}
        if set(inputs) != {SPECTRA_INPUT, SOURCES_INPUT} or set(outputs) != {OUTPUT}:
            problem = f"the graph maps {', '.join(inputs)} to {', '.join(outputs)}"
            raise WeightsError(f"{problem}, which is not a conditioned network", where=self.path, hint=_HINT)
        shape, out = inputs[SPECTRA_INPUT], outputs[OUTPUT]
        is_fixed = len(shape) == 4 and all(isinstance(size, int) and size > 0 for size in shape[1:])
        if not is_fixed or len(inputs[SOURCES_INPUT]) != 1 or out[2:] != shape[1:]:
            raise WeightsError(f"the graph maps the shape {shape} to {out}", where=self.path, hint=_HINT)
        kinds = {SPECTRA_INPUT: "float", SOURCES_INPUT: "int64", OUTPUT: "float"}
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            check_element_type(value, kinds[value.name], where=self.path)

    def shape(self) -> GraphShape:
        """Return channels, bins and frames of the input of spectra."""
        (shape,) = (value.shape for value in self._session.get_inputs() if value.name == SPECTRA_INPUT)
        channels, frames, bins = shape[1:]
        return GraphShape(channels, bins, frames, self._metadata())

    def run_for(self, sources: Sequence[int], spectra: Batch, *, is_last: bool = False) -> Batch:
        """Map spectra (n, 4, T, F) of a mixture to (n, sources, 4, T, F)."""
        feeds: dict[str, npt.NDArray[Any]] = {
            SPECTRA_INPUT: np.asarray(spectra, np.float32),
            SOURCES_INPUT: np.array(sources, dtype=np.int64),
        }
        return self._fetch(OUTPUT, feeds, n_items=len(spectra), is_last=is_last)


class FixedSourcesOnnx:
    """A conditioned graph with fixed sources, as an engine of spectra."""

    def __init__(self, graph: ConditionedOnnx, sources: Sequence[int]) -> None:
        self.graph = graph
        self.sources = tuple(sources)

    @property
    def runs_on(self) -> str:
        """Runtime and device of the graph."""
        return self.graph.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Map spectra (n, 4, T, F) of a mixture to (n, sources, 4, T, F)."""
        return self.graph.run_for(self.sources, batch, is_last=is_last)
