"""Checkpoints of plain tensors, read without torch and without running code from the file.

``torch.save`` writes a zip of uncompressed records: ``<folder>/data.pkl`` describes the tensors,
``<folder>/data/<key>`` holds their values, ``<folder>/byteorder`` the byte order.
"""

from __future__ import annotations

import io
import math
import mmap
import pickletools
import struct
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.weights.archives import BROKEN_ZIP_ERRORS, is_zip, open_zip
from my_submission.weights.content import is_lfs_pointer
from my_submission.weights.plain_pickle import (
    MalformedPickleError,
    SkippedObject,
    StorageReference,
    TensorReference,
    UnsafePickleError,
    read_plain_pickle,
)

_LEGACY_SIGNATURE = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First pickle of files of torch before 1.6: the magic number."""

_LEGACY_PREAMBLE = 3
"""Pickles before the description: magic number, version of the format, and facts of the machine."""

_MAX_PREAMBLE_OPCODES = 1000

_MAX_PICKLE_BYTES = 8 << 20
"""The description of a state dict takes about 200 bytes per tensor; the largest networks have some thousands."""

_MAX_VIEWS_RATIO = 4
"""Largest ratio of the size of all tensors to that of the file; views overlap in tied weights."""

_MAX_BYTEORDER_BYTES = 16
"""Limit on the record with "little" or "big"."""

_READ_BLOCK_BYTES = 1 << 20


def is_legacy_torch_file(path: Path) -> bool:
    """Whether ``path`` was written by ``torch.save`` before version 1.6, which only torch itself reads."""
    with path.open("rb") as file:
        return file.read(len(_LEGACY_SIGNATURE)) == _LEGACY_SIGNATURE


def read_state_dict(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a torch zip checkpoint by name, in the file's order.

    Of a training checkpoint the tensors under ``state_dict`` are returned; settings and the optimiser's state are not
    loaded.

    Element types are those of the file, except that bfloat16 is converted to float32, which is exact. Tensors that
    are the same view in the file are the same array.

    Raises:
        WeightsError: the file is no such checkpoint, is damaged, holds anything but plain tensors, or describes
            tensors that its records cannot hold. A checkpoint older than torch 1.6 is refused too; ask
            :func:`is_legacy_torch_file` first where torch may be used instead.
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
            raise WeightsError(f"holds no tensor {missing[0]}", where=path, hint=_FETCH_AGAIN)
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


def check_legacy_bounds(path: Path) -> None:
    """Refuse a file of torch before 1.6 that would take torch a long time or more memory than the file has bytes.

    Raises:
        WeightsError: its description is too long or malformed, or its storages claim more than the file has.
    """
    try:
        with path.open("rb") as file:
            head = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
        for _ in range(_LEGACY_PREAMBLE):
            for count, _ in enumerate(pickletools.genops(head)):
                if count > _MAX_PREAMBLE_OPCODES:
                    raise MalformedPickleError("it does not begin as torch began such files")
        read_plain_pickle(head.read(), max_storage_bytes=path.stat().st_size)
    except UnsafePickleError:
        return  # torch refuses it as well, and names the reason
    except (MalformedPickleError, ValueError) as error:
        raise WeightsError(f"is no checkpoint of plain tensors: {error}", where=path, hint=_FETCH_AGAIN) from error


def check_checksums(path: Path) -> None:
    """Read a torch zip checkpoint to its end, so that every record is compared with its checksum.

    For files without a known hash. Files of torch before 1.6 have no checksums and are not read.

    Raises:
        WeightsError: as :func:`read_state_dict`, or a record was changed after it was written.
    """
    if is_legacy_torch_file(path):
        return
    with _open_checkpoint(path) as checkpoint:
        for name in checkpoint.archive.namelist():
            with checkpoint.archive.open(_stored(checkpoint.archive, name)) as record:
                while record.read(_READ_BLOCK_BYTES):
                    pass


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
    archive: zipfile.ZipFile
    folder: str
    tensors: dict[str, TensorReference]

    def check(self) -> None:
        """Refuse tensors that the records cannot hold."""
        storages = {view.storage for view in self.tensors.values()}
        records = {self._record(storage).filename for storage in storages}
        if len(records) < len(storages):
            raise MalformedPickleError("one record is described as two storages")
        held = sum(storage.n_bytes for storage in storages)
        n_bytes = self.path.stat().st_size
        if held > n_bytes:
            raise MalformedPickleError(f"its storages claim {held} bytes, and the file has {n_bytes}")
        shown = sum(view.n_elements * np.dtype(view.storage.dtype).itemsize for view in set(self.tensors.values()))
        if shown > _MAX_VIEWS_RATIO * n_bytes:
            raise MalformedPickleError(f"its tensors would take {shown} bytes, and the file has {n_bytes}")

    def read_storage(self, storage: StorageReference) -> npt.NDArray[Any]:
        """Return the values of a record as a new array of one dimension."""
        numbers = np.empty(storage.n_elements, dtype=storage.dtype)
        target = numbers.view(np.uint8).data
        with self.archive.open(self._record(storage)) as record:
            for start in range(0, len(target), _READ_BLOCK_BYTES):
                block = record.read(len(target[start : start + _READ_BLOCK_BYTES]))
                target[start : start + len(block)] = block
            record.read()  # to the end, where the checksum is compared
        return _widened(numbers) if storage.is_bfloat16 else numbers

    def map_storage(self, storage: StorageReference, mapping: mmap.mmap) -> npt.NDArray[Any]:
        """Return the values of a record as a memory-mapped array of one dimension."""
        header = self._record(storage).header_offset
        # The record follows its local header: 30 bytes that end in the lengths of the name and extra field after them.
        if not 0 <= header <= len(mapping) - 30 or mapping[header : header + 4] != b"PK\3\4":
            raise MalformedPickleError(f"storage {storage.key} does not begin where the file says")
        name_and_extra = struct.unpack_from("<HH", mapping, header + 26)
        offset = header + 30 + sum(name_and_extra)
        if offset + storage.n_bytes > len(mapping):
            raise MalformedPickleError(f"storage {storage.key} reaches beyond the end of the file")
        numbers = np.frombuffer(mapping, storage.dtype, storage.n_elements, offset)
        return _widened(numbers) if storage.is_bfloat16 else numbers

    def _record(self, storage: StorageReference) -> zipfile.ZipInfo:
        record = _stored(self.archive, f"{self.folder}data/{storage.key}")
        if record.file_size < storage.n_bytes:
            raise MalformedPickleError(
                f"storage {storage.key} claims {storage.n_bytes} bytes, and its record has {record.file_size}"
            )
        return record


@contextmanager
def _open_checkpoint(path: Path) -> Iterator[_Checkpoint]:
    _refuse_other_files(path)
    try:
        with open_zip(path) as archive:
            folder = _folder_of(archive)
            _refuse_big_endian(archive, folder)
            tensors = _tensors_of(read_plain_pickle(archive.read(_stored(archive, f"{folder}data.pkl"))))
            checkpoint = _Checkpoint(path, archive, folder, tensors)
            checkpoint.check()
            yield checkpoint
    except UnsafePickleError as error:
        hint = "extract the tensors with torch on an isolated machine, and save only them"
        raise WeightsError(f"contains code ({error}) and was not opened", where=path, hint=hint) from error
    except MalformedPickleError as error:
        raise WeightsError(f"is no checkpoint of plain tensors: {error}", where=path, hint=_FETCH_AGAIN) from error
    except (*BROKEN_ZIP_ERRORS, KeyError, OSError) as error:  # OSError: an offset before the start of the file
        raise WeightsError(f"is a damaged checkpoint ({error})", where=path, hint=_FETCH_AGAIN) from error


_FETCH_AGAIN = "fetch the file again"


def _refuse_other_files(path: Path) -> None:
    try:
        if is_lfs_pointer(path):
            raise WeightsError("is a Git LFS pointer, not the file itself", where=path, hint="run git lfs pull")
        if is_legacy_torch_file(path):
            raise WeightsError(
                "was written by torch before 1.6, in a form that only torch reads",
                where=path,
                hint="convert it once: torch.save(torch.load(FILE, weights_only=True), NEW_FILE)",
            )
        if not is_zip(path):
            raise WeightsError(
                "is not a checkpoint that torch.save wrote, or is truncated", where=path, hint=_FETCH_AGAIN
            )
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error


def _folder_of(archive: zipfile.ZipFile) -> str:
    """Return the folder of all records, with its slash."""
    described = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(described) != 1:
        raise MalformedPickleError("it has no data.pkl where torch.save puts one")
    return described[0].removesuffix("data.pkl")


def _refuse_big_endian(archive: zipfile.ZipFile, folder: str) -> None:
    name = f"{folder}byteorder"
    if name in archive.namelist() and archive.read(_stored(archive, name)) != b"little":
        raise MalformedPickleError("it was written on a big-endian machine")


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return an uncompressed record: torch never compresses, and an uncompressed record cannot be a zip bomb."""
    record = archive.getinfo(name)
    if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
        raise MalformedPickleError(f"its record {name} is compressed")
    if name.endswith(".pkl") and record.file_size > _MAX_PICKLE_BYTES:
        raise MalformedPickleError(f"its description takes {math.ceil(record.file_size / 2**20)} MiB")
    if name.endswith("/byteorder") and record.file_size > _MAX_BYTEORDER_BYTES:
        raise MalformedPickleError(f"its byteorder takes {record.file_size} bytes")
    return record


def _tensors_of(described: object) -> dict[str, TensorReference]:
    if not isinstance(described, dict):
        raise MalformedPickleError(f"it holds a {type(described).__name__}, and a dictionary of tensors is expected")
    described = described["state_dict"] if isinstance(described.get("state_dict"), dict) else described
    for name, value in described.items():
        if not isinstance(name, str):
            raise MalformedPickleError(f"a key is a {type(name).__name__}, and text is expected")
        if not isinstance(value, TensorReference):
            kind = value.name if isinstance(value, SkippedObject) else type(value).__name__
            raise MalformedPickleError(f'its "{name}" is a {kind}, and a tensor is expected')
    return described
