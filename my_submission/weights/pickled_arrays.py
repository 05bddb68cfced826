"""Checkpoints whose pickle contains numpy arrays, read without running code from the file.

``torch.save`` of a dictionary of numpy arrays writes a zip with one record, ``<folder>/data.pkl``: a pickle of the
arrays, their bytes as Latin-1 text. Four names occur in it; each is replaced by a class of this module that only stores
its arguments, and every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.weights.archives import BROKEN_ZIP_ERRORS

_MAX_PICKLE_BYTES = 256 << 20
"""Four times the size of Spleeter's networks."""

_CURE = "fetch the file again, from where it was published"

_TYPES = {"f2": np.float16, "f4": np.float32, "f8": np.float64, "i4": np.int32, "i8": np.int64}


def read_pickled_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a checkpoint by name, in the file's order.

    Raises:
        WeightsError: the file is not such a checkpoint, is damaged, or contains anything but plain arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
            if len(names) != 1 or names[0].file_size > _MAX_PICKLE_BYTES:
                raise WeightsError("is not a checkpoint of numpy arrays", where=path, hint=_CURE)
            content = archive.read(names[0])
    except BROKEN_ZIP_ERRORS as error:
        raise WeightsError(f"is not a checkpoint, or is damaged ({error})", where=path, hint=_CURE) from error
    try:
        found = _ArrayUnpickler(content).load()
        if not isinstance(found, dict):
            raise _RefusedError(f"contains a value of type {type(found).__name__}, not a dictionary")
        return {_name(key): _values(value) for key, value in found.items()}
    except _RefusedError as error:
        raise WeightsError(f"is not a checkpoint of plain arrays: {error}", where=path, hint=_CURE) from error
    except Exception as error:  # a malformed pickle may raise anything
        raise WeightsError(f"is damaged ({type(error).__name__}: {error})", where=path, hint=_CURE) from error


class _RefusedError(Exception):
    """The pickle contains more than plain arrays; the message names it."""


class _Type:
    """Stand-in for ``numpy.dtype``: the element type, little endian."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or code not in _TYPES:
            raise _RefusedError(f"element type {code!r}")
        self.type = np.dtype(_TYPES[code])

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in {"<", "|"}:
            raise _RefusedError("an element type that is not little endian")


class _Array:
    """Stand-in for an array."""

    def __init__(self) -> None:
        self.values: npt.NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _RefusedError("an array of an unknown form")
        _, shape, kind, is_fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes) or not isinstance(shape, tuple):
            raise _RefusedError("an array of an unknown form")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise _RefusedError(f"an array of the shape {shape}")
        if math.prod(shape) * kind.type.itemsize != len(content):
            raise _RefusedError(f"{len(content)} bytes for an array of the shape {shape}")
        order = "F" if is_fortran else "C"
        self.values = np.frombuffer(content, kind.type.newbyteorder("<")).reshape(shape, order=order)  # type: ignore[call-overload]


def _new_array(*_: object) -> _Array:
    """Stand-in for ``numpy.core.multiarray._reconstruct``."""
    return _Array()


class _Encoding:
    """Stand-in for ``codecs.encode``; all texts together are no longer than the pickle."""

    def __init__(self, n_bytes: int) -> None:
        self._left = n_bytes

    def __call__(self, text: object, codec: object = None) -> bytes:
        if not isinstance(text, str) or codec != "latin1":
            raise _RefusedError(f"text in {codec!r}")
        self._left -= len(text)
        if self._left < 0:
            raise _RefusedError("the same bytes many times")
        return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Finds only the four stand-ins, so the pickle can call nothing else."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        core = ("numpy.core.multiarray", "numpy._core.multiarray")
        self._stand_ins: dict[tuple[str, str], Any] = {
            **{(module, "_reconstruct"): _new_array for module in core},
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Type,
            ("_codecs", "encode"): _Encoding(len(content)),
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = self._stand_ins.get((module_name, global_name))
        if found is None:
            raise _RefusedError(f"the name {module_name}.{global_name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError(f"a record {pid!r} outside of the pickle")


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise _RefusedError(f"the key {key!r}")
    return key


def _values(value: object) -> npt.NDArray[Any]:
    if not isinstance(value, _Array) or value.values is None:
        raise _RefusedError(f"a {type(value).__name__} where an array should be")
    return value.values
