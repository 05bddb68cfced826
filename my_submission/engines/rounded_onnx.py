"""Graphs of one input and one output on onnxruntime in faster arithmetic than fp32, for GPUs."""

from __future__ import annotations

from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.graphs.half_precision import half_precision
from my_submission.graphs.tfc_tdf_walk import load_model


class Tf32Onnx(OnnxEngine):
    """Products of float32 with factors rounded to ten bits, on GPUs that can; fp32 elsewhere."""

    has_tf32 = True
    is_reference = False

    @property
    def runs_on(self) -> str:
        """The provider in use, and the arithmetic."""
        return f"{super().runs_on}, tf32"


class HalfOnnx(OnnxEngine):
    """Everything in float16 but for input and output; a processor without it computes in float32 on rounded numbers.

    Raises:
        WeightsError: the graph cannot be converted.
    """

    is_reference = False
    has_tf32 = True  # no product of float32 is left, and without it no product of float16 would have tensor cores

    def _model(self) -> str | bytes:
        content: bytes = half_precision(load_model(self.path), self.path).SerializeToString()
        return content

    @property
    def runs_on(self) -> str:
        """The provider in use, and the arithmetic."""
        return f"{super().runs_on}, fp16"
