"""One file out of a .zip archive, by content and never by the path the archive would like to write to."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from my_submission.errors import OutputError, WeightsError

BROKEN_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What the standard library raises for a damaged, truncated, encrypted or oddly compressed archive."""


def extract_member(archive: Path, wanted: Iterable[str], destination: Path, *, expected_bytes: int | None) -> None:
    """Copy one member of ``archive`` to ``destination``.

    Args:
        archive: a .zip file.
        wanted: the member's possible names, best first. A name matches a member exactly, or by its last part when
            only one member ends so: archives differ in whether they hold their own folder.
        destination: the file to write.
        expected_bytes: the member's size, if known; another is refused before anything is unpacked.

    Raises:
        WeightsError: the archive is damaged, or holds no such member, or one of another size.
        OutputError: ``destination`` cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            member = _find(opened, tuple(wanted), archive)
            if expected_bytes is not None and member.file_size != expected_bytes:
                raise WeightsError(
                    f"its {member.filename} has {member.file_size} bytes where {expected_bytes} are expected",
                    where=archive,
                )
            with opened.open(member) as source:
                copy_stream(source, destination)
    except BROKEN_ZIP_ERRORS as error:
        raise WeightsError(f"is not a readable .zip archive ({error})", where=archive) from error


def check_archive(archive: Path, expected_md5: str | None) -> None:
    """Refuse an archive that is not the published one, or no archive at all.

    The md5 finds damage before anything is unpacked; the sha256 of each member is what is trusted.

    Raises:
        WeightsError: the md5 differs, or the file is not a .zip.
    """
    if not zipfile.is_zipfile(archive):
        raise WeightsError("is not a .zip archive", where=archive)
    if expected_md5 is None:
        return
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != expected_md5:
        raise WeightsError(f"is not the published archive: md5 {digest}, expected {expected_md5}", where=archive)


def _find(opened: zipfile.ZipFile, wanted: tuple[str, ...], archive: Path) -> zipfile.ZipInfo:
    members = {member.filename: member for member in opened.infolist() if not member.is_dir()}
    for name in wanted:
        if name in members:
            return members[name]
    for name in wanted:
        last = PurePosixPath(name).name
        alike = [member for member in members.values() if PurePosixPath(member.filename).name == last]
        if len(alike) == 1:
            return alike[0]
    raise WeightsError(f"holds none of {', '.join(wanted)}", where=archive)


def copy_stream(source: IO[bytes], destination: Path) -> None:
    """Copy an open file to ``destination``, making its folder.

    Raises:
        OutputError: ``destination`` cannot be written.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with destination.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=destination, cure="make room or name another folder"
        ) from error
