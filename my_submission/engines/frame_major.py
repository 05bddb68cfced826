"""Published TFC-TDF graphs on onnxruntime, fed frame after frame and as many frames as there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from my_submission.engines.base import Batch
from my_submission.engines.devices import Device
from my_submission.engines.onnx_engine import GraphShape, OnnxGraph, check_element_type, open_graph
from my_submission.graphs.tfc_tdf_frames import FrameMajorGraph, frame_major


class FrameMajorOnnx(OnnxGraph):
    """An engine of spectra, float32 (batch, 4, frames, bins) to the same shape, frames a multiple of 2^scales.

    The same numbers, to the bit, as the file's own graph gives for its own number of frames, without the two
    Transposes in it. Use :func:`open_frame_major` so that a file is opened once.

    Raises:
        WeightsError: the file is not a published-form TFC-TDF graph.
        DeviceError: onnxruntime does not give the device.
    """

    def __init__(self, path: Path, *, device: Device, threads: int) -> None:
        graph = frame_major(path)
        self._content: bytes | None = graph.content
        super().__init__(path, device=device, threads=threads)
        self._content = None
        self.reach = graph.reach
        self._shape = _shape_of(graph)

    def _model(self) -> str | bytes:
        return self._content or super()._model()

    def _check_signature(self) -> None:
        taken, given = self._session.get_inputs()[0], self._session.get_outputs()[0]
        for value in (taken, given):
            check_element_type(value, "float", where=self.path)
        self._input, self._output = taken.name, given.name

    def shape(self) -> GraphShape:
        """Channels and bins, and the frames that the file's own graph is fixed to."""
        return self._shape

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the graph over a batch."""
        feeds = {self._input: np.asarray(batch, np.float32)}
        return self._fetch(self._output, feeds, n_items=len(batch), is_last=is_last)


def _shape_of(graph: FrameMajorGraph) -> GraphShape:
    return GraphShape(graph.channels, graph.bins, graph.frames, metadata=graph.metadata)


def open_frame_major(path: Path, *, device: Device, threads: int | None = None) -> FrameMajorOnnx:
    """A published-form graph, rewritten; see :func:`~my_submission.engines.onnx_engine.open_graph`."""
    return open_graph(FrameMajorOnnx, path, device=device, threads=threads)
