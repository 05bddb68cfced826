"""Demucs v2 on onnxruntime's CPU provider."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

from my_submission.engines.demucs_engine import DemucsEngine
from my_submission.engines.onnx_subgraph import OnnxSubgraph
from my_submission.engines.processors import available_cpus


def open_demucs(path: Path, *, threads: int | None = None) -> DemucsEngine:
    """The engine of a checkpoint: the same one for the life of the process while the file stays as it is.

    Args:
        path: a checkpoint of plain tensors.
        threads: processors for one run; as many as the process may use when not given.

    Raises:
        WeightsError: the file is damaged or not a Demucs v2.
    """
    real = path.resolve()
    return _opened(real, real.stat().st_mtime_ns, threads or available_cpus())


@lru_cache(maxsize=4)
def _opened(path: Path, modified_ns: int, threads: int) -> DemucsEngine:
    import onnxruntime

    runs_on = f"onnxruntime {onnxruntime.__version__} CPU, {threads} threads, level by level"
    return DemucsEngine(path, open_piece=partial(OnnxSubgraph, threads=threads), runs_on=runs_on)
