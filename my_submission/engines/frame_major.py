"""Published TFC-TDF graphs on onnxruntime, rewritten to take frames before bins and any number of frames."""

from __future__ import annotations

from pathlib import Path

from my_submission.engines.devices import Device
from my_submission.engines.onnx_engine import GraphShape, OnnxEngine
from my_submission.graphs.tfc_tdf_frames import frame_major


class FrameMajorOnnx(OnnxEngine):
    """An engine of spectra, float32 (batch, 4, frames, bins) to the same shape, frames a multiple of 2^scales.

    At the file's own number of frames, the output is bit-identical to that of the stored graph.

    Raises:
        WeightsError: the file is not a published-form TFC-TDF graph.
        DeviceError: onnxruntime cannot use the device.
    """

    def __init__(self, path: Path, *, device: Device, threads: int) -> None:
        graph = frame_major(path)
        super().__init__(path, device=device, threads=threads, model=graph.content)
        self.reach = graph.reach
        self._shape = GraphShape(graph.channels, graph.bins, graph.frames, graph.metadata)

    def shape(self) -> GraphShape:
        """Return channels and bins, and the number of frames of the stored graph."""
        return self._shape
