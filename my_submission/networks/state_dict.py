"""Checkpoints of plain tensors, mapped from the file; code in them is never executed."""

from __future__ import annotations

import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.weights import map_tensors, read_tensor_shapes
from my_submission.weights.archives import is_zip

_DAMAGED = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    struct.error,
    tarfile.TarError,
)
"""Errors of torch's reader for damaged files in its old formats."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, mapped from the file; changes of the tensors do not reach it.

    Archives of the first versions of torch, before 0.2, are read by torch.

    Args:
        path: a file written by ``torch.save``: a state dict, or a dict with one under ``state_dict``.

    Raises:
        WeightsError: the file is damaged, contains code, or has no state dict.
    """
    try:
        is_tar = not is_zip(path) and tarfile.is_tarfile(path)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    if is_tar:
        state = _loaded_by_torch(path)
    else:
        arrays = map_tensors(path, list(read_tensor_shapes(path)), is_private=True)
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if not state:
        raise WeightsError(
            "the checkpoint contains no state dict", where=path, hint="save the bare state dict with torch.save"
        )
    return state


def _loaded_by_torch(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a file in an old format; empty if there is none."""
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"the file contains more than tensors and was not opened ({reason[:200]})",
            where=path,
            hint="take the original checkpoint, or save the bare state dict again with torch.save",
        ) from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"the checkpoint cannot be read ({reason[:200]})", where=path, hint="fetch it again"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        return {}
    return dict(state)
