"""Records of a torch zip checkpoint, as ``torch.save`` writes it since version 1.6.

An archive of uncompressed records: ``<folder>/data.pkl`` describes the tensors, ``<folder>/data/<key>`` contains their
values, ``<folder>/byteorder`` the byte order.
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.weights.plain_pickle import MalformedPickleError, StorageReference, read_plain_pickle

MAX_PICKLE_BYTES = 8 << 20
"""The description of a state dict takes about 200 bytes per tensor; the largest networks have some thousands."""

_MAX_BYTEORDER_BYTES = 16
"""Limit on the record with "little" or "big"."""

_READ_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ZipRecords:
    """Records of an open archive.

    Attributes:
        archive: the checkpoint.
        folder: folder of all records, with its slash.
    """

    archive: zipfile.ZipFile
    folder: str

    @classmethod
    def of(cls, archive: zipfile.ZipFile) -> ZipRecords:
        """Return the records of an archive.

        Raises:
            MalformedPickleError: it is not a checkpoint, or was written on a big-endian machine.
        """
        described = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(described) != 1:
            raise MalformedPickleError("it has no data.pkl where torch.save puts one")
        records = cls(archive, described[0].removesuffix("data.pkl"))
        name = f"{records.folder}byteorder"
        if name in archive.namelist() and archive.read(records._stored(name)) != b"little":
            raise MalformedPickleError("it was written on a big-endian machine")
        return records

    def description(self) -> object:
        """Return the content of the description, as :func:`read_plain_pickle` does."""
        return read_plain_pickle(self.archive.read(self._stored(f"{self.folder}data.pkl")))

    def check(self, storages: set[StorageReference]) -> None:
        """Refuse storages that the records cannot hold.

        Raises:
            MalformedPickleError: two share a record, or a record is too short.
            KeyError: there is no such record.
        """
        if len({self._record(storage).filename for storage in storages}) < len(storages):
            raise MalformedPickleError("one record is described as two storages")

    def read(self, storage: StorageReference) -> npt.NDArray[np.generic]:
        """Return the values of a record as a new array of one dimension; its checksum is compared."""
        numbers = np.empty(storage.n_elements, dtype=storage.dtype)
        target = numbers.view(np.uint8).data
        with self.archive.open(self._record(storage)) as record:
            for start in range(0, len(target), _READ_BLOCK_BYTES):
                block = record.read(len(target[start : start + _READ_BLOCK_BYTES]))
                target[start : start + len(block)] = block
            record.read()  # to the end, where the checksum is compared
        return numbers

    def offset(self, storage: StorageReference, mapping: mmap.mmap) -> int:
        """Return the position of the values of a record in the mapped file."""
        header = self._record(storage).header_offset
        # The record follows its local header: 30 bytes that end in the lengths of the name and extra field after them.
        if not 0 <= header <= len(mapping) - 30 or mapping[header : header + 4] != b"PK\3\4":
            raise MalformedPickleError(f"storage {storage.key} does not begin where the file says")
        name_and_extra = struct.unpack_from("<HH", mapping, header + 26)
        return header + 30 + int(sum(name_and_extra))

    def check_checksums(self) -> None:
        """Read every record to its end, where its checksum is compared."""
        for name in self.archive.namelist():
            with self.archive.open(self._stored(name)) as record:
                while record.read(_READ_BLOCK_BYTES):
                    pass

    def _record(self, storage: StorageReference) -> zipfile.ZipInfo:
        record = self._stored(f"{self.folder}data/{storage.key}")
        if record.file_size < storage.n_bytes:
            raise MalformedPickleError(
                f"storage {storage.key} claims {storage.n_bytes} bytes, and its record has {record.file_size}"
            )
        return record

    def _stored(self, name: str) -> zipfile.ZipInfo:
        """Return an uncompressed record: torch never compresses, and an uncompressed one cannot be a zip bomb."""
        record = self.archive.getinfo(name)
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise MalformedPickleError(f"its record {name} is compressed")
        if name.endswith(".pkl") and record.file_size > MAX_PICKLE_BYTES:
            raise MalformedPickleError(f"its description takes {math.ceil(record.file_size / 2**20)} MiB")
        if name.endswith("/byteorder") and record.file_size > _MAX_BYTEORDER_BYTES:
            raise MalformedPickleError(f"its byteorder takes {record.file_size} bytes")
        return record
