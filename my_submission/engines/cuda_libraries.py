"""CUDA's libraries, loaded before onnxruntime searches for them."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
from typing import Any

logger = logging.getLogger(__name__)

CUDNN_NAMES = ("cudnn64_9.dll",) if os.name == "nt" else ("libcudnn.so.9", "libcudnn.so")
"""Names under which onnxruntime searches for cuDNN, at the first convolution."""


def load_cuda_libraries(runtime: Any) -> None:
    """Load CUDA and cuDNN into this process for an onnxruntime module.

    Importing a CUDA build of torch loads its own libraries; onnxruntime searches only its own folder and the system's.
    It opens cuDNN at the first convolution, in the middle of a song, so a missing cuDNN is detected here instead.

    Raises:
        OSError: cuDNN cannot be loaded.
    """
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401
    if hasattr(runtime, "preload_dlls"):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            runtime.preload_dlls()
        logger.debug("preload_dlls: %s", output.getvalue())
    failures: list[OSError] = []
    for name in CUDNN_NAMES:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            failures.append(error)
        else:
            return
    raise failures[0]
