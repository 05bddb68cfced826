"""Records of a checkpoint that ``torch.save`` wrote before version 1.6.

Five pickles follow one another: magic number, version of the format, facts of the machine, the description, and the
keys of the storages. After them the storages follow in the order of the keys: the number of its elements as a signed
integer of 64 bits, then its values.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.weights.plain_pickle import (
    MalformedPickleError,
    ReadPickle,
    StorageReference,
    read_pickle,
)
from my_submission.weights.torch_zip import MAX_PICKLE_BYTES

_SIGNATURE = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle, which contains the magic number."""

_VERSION = 1001

_N_PICKLES = 5

_COUNT = struct.Struct("<q")


def is_legacy_torch_file(path: Path) -> bool:
    """Whether ``path`` was written by ``torch.save`` before version 1.6."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@dataclass(frozen=True)
class LegacyRecords:
    """Storages of a file by their positions.

    Attributes:
        path: the file.
        described: content of its description.
        storages: those of the description by key.
        offsets: key of a storage to the position of its values.
    """

    path: Path
    described: object
    storages: Mapping[str, StorageReference]
    offsets: Mapping[str, int]

    @classmethod
    def of(cls, path: Path) -> LegacyRecords:
        """Read the description of a file, and find its storages.

        Raises:
            MalformedPickleError: the file is incomplete, or not such a file.
            UnsafePickleError: it describes more than plain tensors.
        """
        with path.open("rb") as file:
            head = file.read(2 * MAX_PICKLE_BYTES)
        magic, version, facts, described, keys = _pickles(head)
        if version.content != _VERSION or not isinstance(facts.content, dict):
            raise MalformedPickleError("it does not begin as torch began such files")
        if facts.content.get("little_endian") is not True:
            raise MalformedPickleError("it was written on a big-endian machine")
        start = sum(pickle.n_bytes for pickle in (magic, version, facts, described, keys))
        return cls(path, described.content, described.storages, _offsets(path, keys.content, described, start))

    def description(self) -> object:
        """Return the content of the description, as :func:`read_plain_pickle` does."""
        return self.described

    def check(self, storages: set[StorageReference]) -> None:
        """Refuse storages that are not in the file.

        Raises:
            MalformedPickleError: one is missing, or described in two ways.
        """
        for storage in storages:
            if storage.key not in self.offsets:
                raise MalformedPickleError(f"storage {storage.key} is not in the file")
            if self.storages[storage.key] != storage:
                raise MalformedPickleError(f"storage {storage.key} is described in two ways")

    def read(self, storage: StorageReference) -> npt.NDArray[np.generic]:
        """Return the values of a storage as a new array of one dimension."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[storage.key])
            numbers: npt.NDArray[np.generic] = np.fromfile(file, storage.dtype, storage.n_elements)
        if len(numbers) < storage.n_elements:
            raise MalformedPickleError(f"storage {storage.key} reaches beyond the end of the file")
        return numbers

    def offset(self, storage: StorageReference, mapping: mmap.mmap) -> int:
        """Return the position of the values of a storage in the file."""
        return self.offsets[storage.key]

    def check_checksums(self) -> None:
        """Do nothing, because these files have no checksums."""


def _pickles(head: bytes) -> list[ReadPickle]:
    """Return the pickles at the beginning of a file."""
    found, position = [], 0
    for _ in range(_N_PICKLES):
        found.append(read_pickle(head[position : position + MAX_PICKLE_BYTES]))
        position += found[-1].n_bytes
    return found


def _offsets(path: Path, keys: object, described: ReadPickle, start: int) -> dict[str, int]:
    """Return the position of the values of every storage; the file must contain all of them."""
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in described.storages for key in keys):
        raise MalformedPickleError("its list of storages is not that of its description")
    offsets, n_bytes = {}, path.stat().st_size
    with path.open("rb") as file:
        for key in keys:
            file.seek(start)
            count, storage = file.read(_COUNT.size), described.storages[key]
            start += _COUNT.size + storage.n_bytes
            if start > n_bytes or _COUNT.unpack(count)[0] != storage.n_elements:
                raise MalformedPickleError(f"storage {key} is not as long as it is described, or the file is cut off")
            offsets[key] = start - storage.n_bytes
    return offsets
