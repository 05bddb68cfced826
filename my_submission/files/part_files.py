"""Files that appear under their final name only when they are complete.

A file is written as ``.<name>.<pid>.part`` beside its final place and renamed at the end. Its writer holds a lock on
it, which distinguishes a part left behind by a killed process from one being written, even by another container with
the same process ids. Systems without such locks (Windows) do not remove open files, which is equally safe.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from my_submission.errors import OutputError
from my_submission.files import locks
from my_submission.files.folders import make_directory, output_error

_logger = logging.getLogger(__name__)


class PartFile:
    """One file in the making.

    Args:
        final: the name it will have; its folder exists.

    Raises:
        OutputError: the folder cannot be written, or another run is writing this very file.
    """

    def __init__(self, final: Path) -> None:
        refuse_folder(final)
        self.final = final
        self.path = final.with_name(f".{final.stem}.{os.getpid()}.part")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise OutputError(
                "another run is writing this file", where=final, hint="wait for it, or choose another output folder"
            ) from error
        except OSError as error:
            raise output_error(error, final.parent) from error
        locks.try_lock(self._descriptor)
        self._is_open, self._is_released = True, False

    @classmethod
    def adopt(cls, file: Path, final: Path) -> PartFile:
        """Return a part file with the content of ``file``, which is on the same file system and is moved."""
        part = cls(final)
        try:
            os.replace(file, part.path)
            os.close(part._descriptor)
            part._descriptor = os.open(part.path, os.O_RDWR)
        except OSError as error:
            part.discard()
            raise output_error(error, final) from error
        locks.try_lock(part._descriptor)
        return part

    def sync(self) -> None:
        """Wait until the content is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise output_error(error, self.final) from error

    def commit(self) -> None:
        """Give the file its final name, replacing an earlier file."""
        if not locks.HAS_LOCKS:  # Windows renames no open file
            self._close()
        try:
            os.replace(self.path, self.final)
        except OSError as error:
            raise output_error(error, self.final) from error
        self._close()

    def release(self) -> None:
        """Close the complete file and leave its renaming to a journal, which has its name."""
        self._is_released = True
        self._close()

    def discard(self) -> None:
        """Remove the file, unless it has its final name already or was released."""
        if not self._is_released:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def refuse_folder(final: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        OutputError: there is one.
    """
    if final.is_dir():
        raise OutputError("a folder is where a file should go", where=final, hint="rename or remove that folder")


@contextlib.contextmanager
def written_whole(path: Path, *, is_flushed: bool = True) -> Iterator[Path]:
    """Yield a path to write to; at the end of the with block that file takes the place of ``path`` in one step.

    After an exception the new file is removed, and ``path`` is unchanged. Its folder is created if missing.

    Args:
        path: the final name.
        is_flushed: whether the content is on the disk before the file is renamed; large temporary files need no flush.

    Raises:
        OutputError: the folder cannot be written, or another run is writing this very file.
    """
    make_directory(path.parent)
    remove_abandoned_parts(path.parent, (path.stem,))
    part = PartFile(path)
    try:
        yield part.path
        if is_flushed:
            part.sync()
        part.commit()
    except BaseException:
        part.discard()
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Make or replace a file in one step. An existing device or pipe is written to instead.

    Raises:
        OutputError: the folder cannot be written, or another run is writing this very file.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        with written_whole(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise output_error(error, path) from error


def move_into_place(file: Path, final: Path) -> None:
    """Give a complete file of the same file system its final name, once its content is on the disk.

    Raises:
        OSError: it cannot be read or renamed.
    """
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())  # the name must not reach the disk before the content
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file, final)


def has_part_name(file_name: str, names: Iterable[str]) -> bool:
    """Whether a file has the name of a part file of one of ``names``, which have no suffix."""
    name, _, rest = file_name.removeprefix(".").rpartition(".part")[0].rpartition(".")
    return file_name == f".{name}.{rest}.part" and rest.isdecimal() and name in set(names)


def remove_abandoned_parts(directory: Path, names: Iterable[str]) -> None:
    """Remove the parts of files called ``names`` whose writers are dead.

    Raises:
        OutputError: the folder cannot be read.
    """
    known = frozenset(names)
    try:
        found = [entry for entry in os.listdir(directory) if has_part_name(entry, known)]
    except OSError as error:
        raise output_error(error, directory) from error
    for name in found:
        if _remove_if_abandoned(directory / name):
            _logger.info("removed %s, left behind by a run that was killed", directory / name)


def _remove_if_abandoned(path: Path) -> bool:
    try:
        if not locks.HAS_LOCKS:
            path.unlink()
            return True
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        if not locks.try_lock(descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
