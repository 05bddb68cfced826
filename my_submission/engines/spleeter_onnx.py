"""Spleeter's networks as graphs from the magnitude of a stereo mixture to the mask of one source."""

from __future__ import annotations

from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.errors import WeightsError

ARCHITECTURE = "spleeter"

CHANNELS, BINS = 2, 1024

_HINT = "make it with: python -m training convert-spleeter"


class SpleeterGraph(OnnxEngine):
    """A graph from magnitudes to a mask, both float32 (batch, 2, frames, 1024), with frames a multiple of 64."""

    def _check_signature(self) -> None:
        super()._check_signature()
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            shape = list(value.shape)
            if len(shape) != 4 or (shape[1], shape[3]) != (CHANNELS, BINS):
                problem = f"the graph's {value.name!r} has the shape {shape}, expected (batch, 2, frames, 1024)"
                raise WeightsError(problem, where=self.path, hint=_HINT)
