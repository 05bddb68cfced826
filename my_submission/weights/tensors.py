"""Checkpoints of plain tensors, read without torch and without running code from the file.

Both forms of ``torch.save`` are read: archives (:mod:`.torch_zip`), and the older files (:mod:`.torch_legacy`).
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.weights.archives import BROKEN_ZIP_ERRORS, is_zip, open_zip
from my_submission.weights.content_checks import is_lfs_pointer
from my_submission.weights.plain_pickle import (
    MalformedPickleError,
    SkippedObject,
    StorageReference,
    TensorReference,
    UnsafePickleError,
)
from my_submission.weights.plain_settings import plain_settings
from my_submission.weights.torch_legacy import LegacyRecords, is_legacy_torch_file
from my_submission.weights.torch_zip import ZipRecords

_MAX_VIEWS_RATIO = 4
"""Largest ratio of the size of all tensors to that of the file; views overlap in tied weights."""


def read_state_dict(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a checkpoint by name, in the file's order.

    Of a training checkpoint the tensors under ``state_dict`` are returned; settings and the optimiser's state are not
    loaded.

    Element types are those of the file, except that bfloat16 is converted to float32, which is exact. Tensors that
    are the same view in the file are the same array.

    Raises:
        WeightsError: the file is not such a checkpoint, is damaged, contains anything but plain tensors, or describes
            tensors that its records cannot hold.
    """
    with _open_checkpoint(path) as checkpoint:
        arrays: dict[TensorReference, npt.NDArray[Any]] = {}
        views_of: dict[StorageReference, list[TensorReference]] = {}
        for view in dict.fromkeys(checkpoint.tensors.values()):
            views_of.setdefault(view.storage, []).append(view)
        for storage, views in views_of.items():
            numbers = checkpoint.read_storage(storage)
            arrays.update({view: _view(numbers, view, is_sole=len(views) == 1) for view in views})
        return {name: arrays[view] for name, view in checkpoint.tensors.items()}


def map_tensors(path: Path, names: Collection[str], *, is_private: bool = False) -> dict[str, npt.NDArray[Any]]:
    """As :func:`read_state_dict`, but only the tensors of these names, memory-mapped instead of copied.

    The arrays are read-only unless ``is_private``: then writing copies a page for this process, and the file is
    unchanged. Checksums are not compared; the file must be verified by its hash.

    Raises:
        WeightsError: as :func:`read_state_dict`, or a name is not in the file.
    """
    with _open_checkpoint(path) as checkpoint:
        if missing := sorted(set(names) - set(checkpoint.tensors)):
            raise WeightsError(f"contains no tensor {missing[0]}", where=path, hint=_FETCH_AGAIN)
        with path.open("rb") as file:
            access = mmap.ACCESS_COPY if is_private else mmap.ACCESS_READ
            mapping = mmap.mmap(file.fileno(), 0, access=access)
        views = {name: checkpoint.tensors[name] for name in names}
        return {
            name: _view(checkpoint.map_storage(view.storage, mapping), view, is_sole=True)
            for name, view in views.items()
        }


def read_tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a checkpoint's tensors without reading them; errors as :func:`read_state_dict`."""
    with _open_checkpoint(path) as checkpoint:
        return {name: view.shape for name, view in checkpoint.tensors.items()}


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a training program in a checkpoint: its ``hyper_parameters`` as plain values.

    Containers of Lightning, OmegaConf and argparse are dictionaries; values of other kinds are left out. Empty if the
    checkpoint has no settings.

    Raises:
        WeightsError: as :func:`read_state_dict`.
    """
    with _open_checkpoint(path) as checkpoint:
        return plain_settings(checkpoint.settings)


def check_checksums(path: Path) -> None:
    """Read a checkpoint to its end, so that every record is compared with its checksum.

    For files without a known hash. Files of torch before 1.6 have no checksums and are not read to their end.

    Raises:
        WeightsError: as :func:`read_state_dict`, or a record was changed after it was written.
    """
    with _open_checkpoint(path) as checkpoint:
        checkpoint.records.check_checksums()


def _view(numbers: npt.NDArray[Any], view: TensorReference, *, is_sole: bool) -> npt.NDArray[Any]:
    if view.n_elements == 0:
        return np.empty(view.shape, dtype=numbers.dtype)
    byte_strides = tuple(
        stride * numbers.itemsize if length > 1 else 0  # the stride of a dimension of one is never used
        for length, stride in zip(view.shape, view.strides, strict=True)
    )
    strided = np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, byte_strides)
    return np.ascontiguousarray(strided).reshape(view.shape) if is_sole else strided.copy(order="C")


def _widened(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return bfloat16, stored as 16-bit integers, as float32."""
    return (numbers.astype("<u4") << 16).view("<f4")


@dataclass(frozen=True)
class _Checkpoint:
    """An open checkpoint whose description has been checked against its records."""

    path: Path
    records: ZipRecords | LegacyRecords
    tensors: dict[str, TensorReference]
    settings: object

    @classmethod
    def of(cls, path: Path, records: ZipRecords | LegacyRecords) -> _Checkpoint:
        """Return the checkpoint of some records; tensors that they cannot hold are refused."""
        described = records.description()
        settings = described.get("hyper_parameters") if isinstance(described, dict) else None
        checkpoint = cls(path, records, _tensors_of(described), settings)
        checkpoint._check()
        return checkpoint

    def _check(self) -> None:
        storages = {view.storage for view in self.tensors.values()}
        self.records.check(storages)
        held = sum(storage.n_bytes for storage in storages)
        n_bytes = self.path.stat().st_size
        if held > n_bytes:
            raise MalformedPickleError(f"its storages claim {held} bytes, and the file has {n_bytes}")
        shown = sum(view.n_elements * np.dtype(view.storage.dtype).itemsize for view in set(self.tensors.values()))
        if shown > _MAX_VIEWS_RATIO * n_bytes:
            raise MalformedPickleError(f"its tensors would take {shown} bytes, and the file has {n_bytes}")

    def read_storage(self, storage: StorageReference) -> npt.NDArray[Any]:
        """Return the values of a record as a new array of one dimension."""
        numbers = self.records.read(storage)
        return _widened(numbers) if storage.is_bfloat16 else numbers

    def map_storage(self, storage: StorageReference, mapping: mmap.mmap) -> npt.NDArray[Any]:
        """Return the values of a record as a memory-mapped array of one dimension."""
        offset = self.records.offset(storage, mapping)
        if offset + storage.n_bytes > len(mapping):
            raise MalformedPickleError(f"storage {storage.key} reaches beyond the end of the file")
        numbers = np.frombuffer(mapping, storage.dtype, storage.n_elements, offset)
        if not numbers.flags.aligned:  # as files of torch before 1.6 have them
            numbers = numbers.copy()
        return _widened(numbers) if storage.is_bfloat16 else numbers


@contextmanager
def _open_checkpoint(path: Path) -> Iterator[_Checkpoint]:
    _refuse_other_files(path)
    try:
        if is_legacy_torch_file(path):
            yield _Checkpoint.of(path, LegacyRecords.of(path))
            return
        with open_zip(path) as archive:
            yield _Checkpoint.of(path, ZipRecords.of(archive))
    except UnsafePickleError as error:
        hint = "extract the tensors with torch on an isolated machine, and save only them"
        raise WeightsError(f"contains code ({error}) and was not opened", where=path, hint=hint) from error
    except MalformedPickleError as error:
        raise WeightsError(f"is not a checkpoint of plain tensors: {error}", where=path, hint=_FETCH_AGAIN) from error
    except (*BROKEN_ZIP_ERRORS, KeyError, OSError) as error:  # OSError: an offset before the start of the file
        raise WeightsError(f"is a damaged checkpoint ({error})", where=path, hint=_FETCH_AGAIN) from error


_FETCH_AGAIN = "fetch the file again"


def _refuse_other_files(path: Path) -> None:
    try:
        if is_lfs_pointer(path):
            raise WeightsError("is a Git LFS pointer, not the file itself", where=path, hint="run git lfs pull")
        if is_legacy_torch_file(path):
            return
        if not is_zip(path):
            raise WeightsError(
                "is not a checkpoint that torch.save wrote, or is truncated", where=path, hint=_FETCH_AGAIN
            )
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error


def _tensors_of(described: object) -> dict[str, TensorReference]:
    if not isinstance(described, dict):
        raise MalformedPickleError(
            f"it contains a value of type {type(described).__name__}, not a dictionary of tensors"
        )
    described = described["state_dict"] if isinstance(described.get("state_dict"), dict) else described
    for name, value in described.items():
        if not isinstance(name, str):
            raise MalformedPickleError(f"a key is a {type(name).__name__}, and text is expected")
        if not isinstance(value, TensorReference):
            kind = value.name if isinstance(value, SkippedObject) else type(value).__name__
            raise MalformedPickleError(f'its "{name}" is a {kind}, and a tensor is expected')
    return described
