"""Uploaded files on disk, with limits per visitor and in total.

An upload counts from its announcement until it is refused, replaced by a newer upload of the same visitor, discarded,
or its visitor leaves. An upload that exceeds a limit is refused before its content is read.
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
"""Allowance for the form around the file, which the announced length includes."""

UNUSED_SECONDS = 300.0
"""An upload that was not used for this time is deleted when another visitor needs the space."""


class UploadRefusedError(MdxError):
    """An upload is refused, with an HTTP status."""

    def __init__(self, problem: str, *, status: HTTPStatus, hint: str) -> None:
        super().__init__(problem, hint=hint)
        self.status = status


@dataclass(frozen=True)
class UploadLimits:
    """Limits in bytes and in files.

    Attributes:
        file_bytes: largest file.
        visitor_bytes: uploads per visitor that are not songs yet; a new upload replaces the oldest.
        visitor_files: number of such uploads per visitor.
        all_bytes: uploads of all visitors, current songs included.
        all_files: number of these uploads.
    """

    file_bytes: int
    visitor_bytes: int
    visitor_files: int
    all_bytes: int
    all_files: int


class Upload:
    """One uploaded file: incomplete, complete, or in use as a song.

    Attributes:
        visitor: id of the visitor's Streamlit session.
        name: file name on the visitor's machine.
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
            UploadRefusedError: the upload was replaced, or is larger than allowed or announced.
            OutputError: the disk is full or not writable.
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
        """Mark the upload as complete, so that the visitor's page finds it.

        Raises:
            UploadRefusedError: the upload was replaced, or its visitor has left.
            OutputError: the disk is full or not writable.
        """
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                raise _disk_error(error) from error
        self._store.complete(self, name, content_type, self._n_written)

    def release(self) -> None:
        """Delete the file and free its space; a second call does nothing."""
        self._store.release(self)

    def discard(self) -> None:
        """Delete the file; called by the store."""
        with self._lock:
            self.is_released = True
            with contextlib.suppress(OSError):  # unwritten data is not needed
                self._file.close()
            self.path.unlink(missing_ok=True)


class UploadStore:
    """All uploads of a server."""

    def __init__(self, folder: Path, limits: UploadLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self.limits, self._clock = folder, limits, clock
        self._lock = threading.Lock()
        self._held: set[Upload] = set()
        self._waiting: dict[tuple[str, str], Upload] = {}

    @property
    def n_bytes(self) -> int:
        """Size of all uploads."""
        with self._lock:
            return self._sum()

    @property
    def n_files(self) -> int:
        """Number of uploads."""
        with self._lock:
            return len(self._held)

    @property
    def has_room(self) -> bool:
        """Whether another upload is possible; its size is checked when it is announced."""
        with self._lock:
            return len(self._held) < self.limits.all_files and self._sum() < self.limits.all_bytes

    def announce(self, visitor: str, file_id: str, n_bytes: int) -> Upload:
        """Reserve space for a file; older uploads of the same visitor may be deleted.

        Raises:
            UploadRefusedError: the file is too large, or there is no space.
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
        """Mark an upload as complete; called by :meth:`Upload.complete`."""
        with self._lock:
            if upload.is_released:
                raise _gone("was replaced")
            upload.name, upload.content_type, upload.reserved_bytes = name, content_type, n_bytes
            upload.used_at, upload.is_complete = self._clock(), True

    def find(self, visitor: str, file_id: str) -> Upload | None:
        """Return a visitor's complete upload that was not taken, or None."""
        with self._lock:
            upload = self._waiting.get((visitor, file_id))
            if upload is None or not upload.is_complete:
                return None
            upload.used_at = self._clock()
            return upload

    def take(self, visitor: str, file_id: str) -> Upload:
        """Take a complete upload out of the store; the caller must release it. UploadRefusedError if it was deleted."""
        with self._lock:
            upload = self._waiting.get((visitor, file_id))
            if upload is None or not upload.is_complete:
                raise _gone("was deleted")
            del self._waiting[visitor, file_id]
            return upload

    def remove(self, visitor: str, file_id: str) -> None:
        """Delete an upload that was not taken, if there is one."""
        with self._lock:
            self._drop(self._waiting.get((visitor, file_id)))

    def remove_visitor(self, visitor: str) -> None:
        """Delete all uploads of a visitor that were not taken, incomplete ones included."""
        with self._lock:
            for upload in [one for one in self._waiting.values() if one.visitor == visitor]:
                self._drop(upload)

    def release(self, upload: Upload) -> None:
        """Delete an upload; called by :meth:`Upload.release`."""
        with self._lock:
            self._drop(upload)

    def _sum(self) -> int:
        return sum(upload.reserved_bytes for upload in self._held)

    def _make_room(self, n_bytes: int) -> None:
        """Delete unused uploads until there is space; called with the lock held."""
        horizon = self._clock() - UNUSED_SECONDS
        idle = sorted((one for one in self._waiting.values() if one.used_at < horizon), key=lambda one: one.used_at)
        while len(self._held) >= self.limits.all_files or self._sum() + n_bytes > self.limits.all_bytes:
            if not idle:
                raise UploadRefusedError(
                    "the server cannot take another upload now",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    hint="delete one of your songs, or try again later",
                )
            self._drop(idle.pop(0))

    def _drop(self, upload: Upload | None) -> None:
        """Remove an upload and delete its file; called with the lock held."""
        if upload is None or upload.is_released:
            return
        upload.discard()
        self._held.discard(upload)
        if self._waiting.get((upload.visitor, upload.file_id)) is upload:
            del self._waiting[upload.visitor, upload.file_id]


def _too_large(limits: UploadLimits) -> UploadRefusedError:
    return UploadRefusedError(
        f"the file is larger than the limit of {limits.file_bytes / 2**20:g} MiB",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        hint="compress it (FLAC, M4A), or shorten it",
    )


def _gone(what_happened: str) -> UploadRefusedError:
    return UploadRefusedError(f"this upload {what_happened}", status=HTTPStatus.GONE, hint="upload the file again")


def _disk_error(error: OSError) -> OutputError:
    return OutputError(f"the upload cannot be stored ({error.strerror})", hint="try again later")
