"""Graphs of conditioned networks on onnxruntime: spectra and source numbers in, spectra of those sources out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.engines.devices import Device
from my_submission.engines.onnx_engine import OnnxGraph, check_element_type, open_graph
from my_submission.errors import WeightsError

SPECTRA_INPUT = "input"
SOURCES_INPUT = "source"
OUTPUT = "output"

_CURE = (
    "export it with a float32 input (batch, 4, frames, bins), an int64 input (sources) "
    "and a float32 output (batch, sources, 4, frames, bins)"
)


@dataclass(frozen=True)
class ConditionedGraphShape:
    """What a conditioned graph says about itself.

    Attributes:
        channels: real and imaginary parts of every audio channel, 4 for stereo.
        frames: of one chunk.
        bins: n_fft/2 + 1.
        metadata: the key-value notes in the file.
    """

    channels: int
    frames: int
    bins: int
    metadata: tuple[tuple[str, str], ...] = ()


class ConditionedOnnx(OnnxGraph):
    """One graph, one session. Use :func:`open_conditioned_onnx` so that a file is opened once.

    Opened as any other graph: errors, devices, threads and memory are those of the class above.
    """

    def _check_signature(self) -> None:
        inputs = {value.name: list(value.shape) for value in self._session.get_inputs()}
        outputs = {value.name: list(value.shape) for value in self._session.get_outputs()}
        if set(inputs) != {SPECTRA_INPUT, SOURCES_INPUT} or set(outputs) != {OUTPUT}:
            problem = f"the graph maps {', '.join(inputs)} to {', '.join(outputs)}"
            raise WeightsError(f"{problem}, which is no conditioned network", where=self.path, hint=_CURE)
        shape, out = inputs[SPECTRA_INPUT], outputs[OUTPUT]
        is_fixed = len(shape) == 4 and all(isinstance(size, int) and size > 0 for size in shape[1:])
        if not is_fixed or len(inputs[SOURCES_INPUT]) != 1 or out[2:] != shape[1:]:
            raise WeightsError(f"the graph maps the shape {shape} to {out}", where=self.path, hint=_CURE)
        kinds = {SPECTRA_INPUT: "float", SOURCES_INPUT: "int64", OUTPUT: "float"}
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            check_element_type(value, kinds[value.name], where=self.path)

    def spectra_shape(self) -> ConditionedGraphShape:
        """Channels, frames and bins from the graph's own input."""
        (shape,) = (value.shape for value in self._session.get_inputs() if value.name == SPECTRA_INPUT)
        metadata = self._session.get_modelmeta().custom_metadata_map
        channels, frames, bins = shape[1:]
        return ConditionedGraphShape(channels, frames, bins, metadata=tuple(sorted(metadata.items())))

    def run_for(self, sources: Sequence[int], spectra: Batch, *, is_last: bool = False) -> Batch:
        """Spectra (n, 4, T, F) of a mixture to (n, sources, 4, T, F)."""
        feeds: dict[str, npt.NDArray[Any]] = {
            SPECTRA_INPUT: np.asarray(spectra, np.float32),
            SOURCES_INPUT: np.array(sources, dtype=np.int64),
        }
        return self._fetch(OUTPUT, feeds, n_items=len(spectra), is_last=is_last)


class FixedSourcesOnnx:
    """A graph that is asked for the same sources every time: an engine of spectra."""

    def __init__(self, graph: ConditionedOnnx, sources: Sequence[int]) -> None:
        self.graph = graph
        self.sources = tuple(sources)

    @property
    def runs_on(self) -> str:
        """The provider in use, by onnxruntime's own account."""
        return self.graph.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Spectra of every source."""
        return self.graph.run_for(self.sources, batch, is_last=is_last)


def open_conditioned_onnx(path: Path, *, device: Device, threads: int | None = None) -> ConditionedOnnx:
    """A conditioned network's graph; see :func:`~my_submission.engines.onnx_engine.open_graph`."""
    return open_graph(ConditionedOnnx, path, device=device, threads=threads)
