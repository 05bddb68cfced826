"""Members of .zip archives, extracted to a path of the caller's choice and never to the path in the archive."""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from my_submission.errors import OutputError, WeightsError

BROKEN_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""Errors of the standard library for damaged, truncated, encrypted or unusually compressed archives."""

_MAX_DIRECTORY_BYTES = 4 << 20
"""Limit on the list of members; each takes about 100 bytes there, and half a kilobyte in memory."""

_MAX_COMPRESSION = 100
"""Largest ratio of a member's size to its compressed size: weights hardly compress, a zip bomb a thousandfold."""

_END_RECORD = struct.Struct("<4s4H2LH")
_END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")


def is_zip(path: Path) -> bool:
    """Whether a file ends like a .zip archive, even a broken one; False if it cannot be read."""
    try:
        return zipfile.is_zipfile(path)
    except BROKEN_ZIP_ERRORS:
        return True


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .zip archive after checking the size of its list of members.

    Raises:
        zipfile.BadZipFile: it is not an archive, or its list is too large; or another of ``BROKEN_ZIP_ERRORS``.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if (n_bytes := _directory_bytes(file)) > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its list of members takes {n_bytes} bytes")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _directory_bytes(file: IO[bytes]) -> int:
    """Return the size of the list of members by the archive's last record; 0 if there is none."""
    end = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, end - _END_RECORD.size - 0xFFFF))  # a comment may follow the record
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END_RECORD.size:
        return 0
    n_bytes = int(_END_RECORD.unpack_from(tail, at)[5])
    before = start + at - _LOCATOR_64.size - _END_RECORD_64.size
    if before >= 0:
        file.seek(before)
        record = _END_RECORD_64.unpack(file.read(_END_RECORD_64.size))
        if record[0] == b"PK\6\6":
            n_bytes = max(n_bytes, int(record[8]))
    return n_bytes


def extract_member(archive: Path, wanted: Iterable[str], destination: Path, *, expected_bytes: int | None) -> None:
    """Copy one member of ``archive`` to ``destination``.

    Args:
        archive: a .zip file.
        wanted: possible names of the member, best first. A name matches a member exactly, or by its last part when
            only one member ends so, because some archives contain their own folder and some do not.
        destination: the file to write.
        expected_bytes: the member's size, if known; another size is refused before unpacking.

    Raises:
        WeightsError: the archive is damaged, or contains no such member, or one of another size.
        OutputError: ``destination`` cannot be written.
    """
    try:
        with open_zip(archive) as opened:
            member = _find(opened, tuple(wanted), archive)
            if expected_bytes is not None and member.file_size != expected_bytes:
                raise WeightsError(
                    f"its {member.filename} has {member.file_size} bytes where {expected_bytes} are expected",
                    where=archive,
                )
            _refuse_bomb(member, archive)
            with opened.open(member) as source:
                copy_stream(source, destination)
    except BROKEN_ZIP_ERRORS as error:
        raise WeightsError(f"is not a readable .zip archive ({error})", where=archive, hint="fetch it again") from error


def _refuse_bomb(member: zipfile.ZipInfo, archive: Path) -> None:
    stored = min(member.compress_size, archive.stat().st_size)
    if member.file_size > max(1 << 20, _MAX_COMPRESSION * stored):
        raise WeightsError(
            f"its {member.filename} would grow from {stored} to {member.file_size} bytes",
            where=archive,
            hint="unpack it yourself if you trust it, and give the file",
        )


def check_archive(archive: Path, expected_md5: str | None) -> None:
    """Refuse a file that is not the published archive.

    The md5 only detects damage before unpacking; the sha256 of each member proves its content.

    Raises:
        WeightsError: the md5 differs, or the file is not a .zip.
    """
    if not is_zip(archive):
        raise WeightsError("is not a .zip archive", where=archive)
    if expected_md5 is None:
        return
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != expected_md5:
        raise WeightsError(f"is not the published archive: md5 {digest}, expected {expected_md5}", where=archive)


def _find(opened: zipfile.ZipFile, wanted: tuple[str, ...], archive: Path) -> zipfile.ZipInfo:
    members = {member.filename: member for member in opened.infolist() if not member.filename.endswith("/")}
    for name in wanted:
        if name in members:
            return members[name]
    for name in wanted:
        last = PurePosixPath(name).name
        alike = [member for member in members.values() if PurePosixPath(member.filename).name == last]
        if len(alike) == 1:
            return alike[0]
    raise WeightsError(f"contains none of {', '.join(wanted)}", where=archive)


def copy_stream(source: IO[bytes], destination: Path) -> None:
    """Copy an open file to ``destination``, making its folder.

    Raises:
        OutputError: ``destination`` cannot be written.
        zipfile.BadZipFile: ``source`` is a member that cannot be read.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with destination.open("wb") as out:
            while block := _block(source):
                out.write(block)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=destination, hint="free some space, or name another folder"
        ) from error


def _block(source: IO[bytes]) -> bytes:
    try:
        return source.read(1 << 20)
    except OSError as error:  # bzip2 raises OSError for damaged data
        raise zipfile.BadZipFile(f"a member cannot be read: {error}") from error
