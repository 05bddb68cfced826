"""CUDA's libraries, loaded before onnxruntime looks for them."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
from typing import Any

logger = logging.getLogger(__name__)

CUDNN_NAMES = ("cudnn64_9.dll",) if os.name == "nt" else ("libcudnn.so.9", "libcudnn.so")
"""Where onnxruntime looks for cuDNN, at the first convolution."""


def load_cuda_libraries(runtime: Any) -> None:
    """Load CUDA and cuDNN into this process for an onnxruntime module.

    A CUDA build of torch has loaded its own once it is imported, wherever they lie; onnxruntime itself looks only
    beside itself and where the system looks. cuDNN it opens at the first convolution, so a session without it opens,
    and fails in the middle of a song: it is asked for here.

    Raises:
        OSError: there is no cuDNN.
    """
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401
    if hasattr(runtime, "preload_dlls"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            runtime.preload_dlls()
        logger.debug("preload_dlls: %s", said.getvalue())
    failures: list[OSError] = []
    for name in CUDNN_NAMES:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            failures.append(error)
        else:
            return
    raise failures[0]
