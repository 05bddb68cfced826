"""Files on their way in: on the disk from the first block on, with bounds a visitor and in all.

An upload counts from the moment it is announced until nobody holds it any more: it was refused, replaced by the same
visitor's next, given up, or its visitor left. What does not fit is refused before a byte of it is read.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from my_submission.errors import MdxError, OutputError
from my_submission.webapp.tokens import new_token

FRAMING_BYTES = 1 << 16
"""An announced length counts the lines around the file too."""

UNUSED_SECONDS = 300.0
"""An upload that no page has asked for during this time gives way to another visitor's when space is short."""


class UploadRefusedError(MdxError):
    """An upload that is not taken.

    Args:
        problem: why, as one clause.
        status: what HTTP calls it.
        hint: what the visitor can do.
    """

    def __init__(self, problem: str, *, status: HTTPStatus, hint: str) -> None:
        super().__init__(problem, hint=hint)
        self.status = status


@dataclass(frozen=True)
class UploadLimits:
    """Bounds in bytes and in files.

    Attributes:
        file_bytes: largest file.
        visitor_bytes: of one visitor, as long as no song has been made of them; what is new replaces what is oldest.
        visitor_files: of one visitor, likewise.
        all_bytes: of all visitors together, songs in hand included.
        all_files: of all visitors together, songs in hand included.
    """

    file_bytes: int
    visitor_bytes: int
    visitor_files: int
    all_bytes: int
    all_files: int


class Upload:
    """One file of a visitor: on its way in, there, or in use as a song.

    Attributes:
        visitor: whose it is.
        file_id: what the visitor's page calls it.
        path: where its content lies.
        name: of the file, as the visitor's machine calls it.
        content_type: as the visitor's machine says.
    """

    def __init__(self, store: UploadStore, visitor: str, file_id: str, path: Path, n_bytes: int) -> None:
        self._store, self.visitor, self.file_id, self.path = store, visitor, file_id, path
        self.reserved_bytes = n_bytes
        self.name = self.content_type = ""
        self.is_complete = self.is_released = False
        self.used_at = 0.0
        self._n_written = 0
        self._lock = threading.Lock()
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise _disk_error(error) from error

    def write(self, block: bytes) -> None:
        """Append a block of the file.

        Raises:
            UploadRefusedError: the upload was replaced meanwhile, or is larger than allowed or announced.
            OutputError: the disk cannot take it.
        """
        with self._lock:
            if self.is_released:
                raise _gone("was replaced")
            self._n_written += len(block)
            if self._n_written > self._store.limits.file_bytes:
                raise _too_large(self._store.limits)
            if self._n_written > self.reserved_bytes:
                raise UploadRefusedError(
                    "the file is longer than announced", status=HTTPStatus.BAD_REQUEST, hint="upload it again"
                )
            try:
                self._file.write(block)
            except OSError as error:
                raise _disk_error(error) from error

    def complete(self, name: str, content_type: str) -> None:
        """All of it is there; from now on the visitor's page finds it.

        Raises:
            UploadRefusedError: the upload was replaced meanwhile, or its visitor has left.
            OutputError: the disk cannot take it.
        """
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                raise _disk_error(error) from error
        self._store.complete(self, name, content_type, self._n_written)

    def release(self) -> None:
        """Remove it, wherever it has got to, and give its space to others; once more does nothing."""
        self._store.release(self)

    def discard(self) -> None:
        """Remove the file; for the store."""
        with self._lock:
            self.is_released = True
            with contextlib.suppress(OSError):  # what was not written is not wanted either
                self._file.close()
            self.path.unlink(missing_ok=True)


class UploadStore:
    """All uploads of a server.

    Args:
        folder: an existing folder for the files.
        limits: how much it takes.
        clock: monotonic seconds.
    """

    def __init__(self, folder: Path, limits: UploadLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self.limits, self._clock = folder, limits, clock
        self._lock = threading.Lock()
        self._held: set[Upload] = set()
        self._waiting: dict[tuple[str, str], Upload] = {}

    @property
    def n_bytes(self) -> int:
        """Bytes that count now."""
        with self._lock:
            return self._sum()

    @property
    def n_files(self) -> int:
        """Files that count now."""
        with self._lock:
            return len(self._held)

    @property
    def has_room(self) -> bool:
        """Whether another file may come; how large it may be shows when it is announced."""
        with self._lock:
            return len(self._held) < self.limits.all_files and self._sum() < self.limits.all_bytes

    def announce(self, visitor: str, file_id: str, n_bytes: int) -> Upload:
        """Make room for a file of so many bytes; older ones of the same visitor may have to go for it.

        Raises:
            UploadRefusedError: it is too large, or there is no room in all.
        """
        limits = self.limits
        if n_bytes > limits.file_bytes + FRAMING_BYTES:
            raise _too_large(limits)
        with self._lock:
            self._drop(self._waiting.get((visitor, file_id)))
            mine = [upload for upload in self._waiting.values() if upload.visitor == visitor]
            while mine and (
                len(mine) >= limits.visitor_files
                or sum(upload.reserved_bytes for upload in mine) + n_bytes > limits.visitor_bytes
            ):
                self._drop(mine.pop(0))
            self._make_room(n_bytes)
            upload = Upload(self, visitor, file_id, self._folder / new_token(), n_bytes)
            upload.used_at = self._clock()
            self._held.add(upload)
            self._waiting[visitor, file_id] = upload
        return upload

    def complete(self, upload: Upload, name: str, content_type: str, n_bytes: int) -> None:
        """What :meth:`Upload.complete` does."""
        with self._lock:
            if upload.is_released:
                raise _gone("was replaced")
            upload.name, upload.content_type, upload.reserved_bytes = name, content_type, n_bytes
            upload.used_at, upload.is_complete = self._clock(), True

    def find(self, visitor: str, file_id: str) -> Upload | None:
        """A visitor's file that is there and was not taken; None where there is none."""
        with self._lock:
            upload = self._waiting.get((visitor, file_id))
            if upload is None or not upload.is_complete:
                return None
            upload.used_at = self._clock()
            return upload

    def take(self, visitor: str, file_id: str) -> Upload:
        """Hand a file over to whom it now belongs; its space counts until it is released.

        Raises:
            UploadRefusedError: it is no longer there.
        """
        with self._lock:
            upload = self._waiting.get((visitor, file_id))
            if upload is None or not upload.is_complete:
                raise _gone("is no longer here")
            del self._waiting[visitor, file_id]
            return upload

    def remove(self, visitor: str, file_id: str) -> None:
        """Remove a file that was not taken; nothing where there is none."""
        with self._lock:
            self._drop(self._waiting.get((visitor, file_id)))

    def remove_visitor(self, visitor: str) -> None:
        """Remove every file of a visitor that was not taken, those on their way in as well."""
        with self._lock:
            for upload in [one for one in self._waiting.values() if one.visitor == visitor]:
                self._drop(upload)

    def release(self, upload: Upload) -> None:
        """What :meth:`Upload.release` does."""
        with self._lock:
            self._drop(upload)

    def _sum(self) -> int:
        return sum(upload.reserved_bytes for upload in self._held)

    def _make_room(self, n_bytes: int) -> None:
        """Drop what nobody asks for while there is no room; to be called with the lock held."""
        horizon = self._clock() - UNUSED_SECONDS
        idle = sorted((one for one in self._waiting.values() if one.used_at < horizon), key=lambda one: one.used_at)
        while len(self._held) >= self.limits.all_files or self._sum() + n_bytes > self.limits.all_bytes:
            if not idle:
                raise UploadRefusedError(
                    "this page has no room for another file now",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    hint="try again in a few minutes",
                )
            self._drop(idle.pop(0))

    def _drop(self, upload: Upload | None) -> None:
        """Forget and remove a file; to be called with the lock held."""
        if upload is None or upload.is_released:
            return
        upload.discard()
        self._held.discard(upload)
        if self._waiting.get((upload.visitor, upload.file_id)) is upload:
            del self._waiting[upload.visitor, upload.file_id]


def _too_large(limits: UploadLimits) -> UploadRefusedError:
    return UploadRefusedError(
        f"the file is larger than the {limits.file_bytes / 2**20:g} MiB that are allowed here",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        hint="compress it (FLAC, M4A), or cut it",
    )


def _gone(what_happened: str) -> UploadRefusedError:
    return UploadRefusedError(f"this upload {what_happened}", status=HTTPStatus.GONE, hint="upload the file again")


def _disk_error(error: OSError) -> OutputError:
    return OutputError(f"the upload cannot be kept ({error.strerror})", hint="try again later")
