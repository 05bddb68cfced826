"""Published TFC-TDF graphs in bfloat16 by OpenVINO, on processors with native bfloat16 products.

OpenVINO is the extra ``fast``. The arithmetic is set explicitly, so that the report is true on every processor.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from my_submission.engines.base import Batch
from my_submission.errors import WeightsError
from my_submission.graphs.tfc_tdf_frames import frame_major
from terminal.quantities import counted


@lru_cache(maxsize=1)
def bf16_obstacle() -> str | None:
    """Return why bfloat16 cannot be used on this machine, or None if it can."""
    if importlib.util.find_spec("openvino") is None:
        return "OpenVINO is not installed (the extra fast)"
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return None if "BF16" in capabilities else "this processor does not multiply bfloat16"


class OpenVinoFrames:
    """An engine of spectra in bfloat16, float32 (batch, 4, frames, bins) to the same shape.

    Args:
        path: a published-form TFC-TDF graph.
        threads: processors per run.

    Raises:
        WeightsError: the file is not such a graph, or OpenVINO cannot compile it.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import openvino

        self.path = path
        self.threads = threads
        self._version = openvino.__version__.partition("-")[0]
        self._request: Any = self._new_request()

    def _new_request(self) -> Any:
        """Return the compiled network with the memory for a run."""
        import openvino

        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        content = frame_major(self.path, are_norms_apart=True).content
        core = openvino.Core()
        try:
            return core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            problem = f"OpenVINO cannot compile this graph ({' '.join(str(error).split())[:300]})"
            raise WeightsError(problem, where=self.path, hint="use --precision fp32") from error

    @property
    def runs_on(self) -> str:
        """OpenVINO's version, threads and arithmetic."""
        return f"OpenVINO {self._version} CPU, {counted(self.threads, 'thread')}, bf16"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the graph over a batch; the last run releases the network, which the next one compiles again."""
        self._request = self._request or self._new_request()
        outputs = self._request.infer([np.ascontiguousarray(batch, dtype=np.float32)])
        result: Batch = np.array(outputs[0], dtype=np.float32)
        if is_last:
            # The request of a published network keeps half a gigabyte; compiling takes a fifth of a second.
            del outputs
            self._request = None
        return result
