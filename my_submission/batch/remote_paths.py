"""Files on any file system of fsspec: local folders, S3-compatible stores, the web.

Files are replaced in one step: in a local folder by a rename, in an object store by the upload itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs

from my_submission.errors import InputError, StorageError, UnknownNameError
from my_submission.files.folders import output_error
from my_submission.files.hashing import sha256_of, stamp_of
from my_submission.files.part_files import write_whole

_S3_PROTOCOLS = ("s3", "s3a")

_WEB_PROTOCOLS = ("http", "https")
"""Their folders end in a slash; nothing else distinguishes them from files."""

_CHECKSUM_KEYS = ("ETag", "etag", "Content-MD5", "md5Hash", "crc32c", "checksum")
"""Keys of the file information whose value changes with the content, in different stores."""


@dataclass(frozen=True)
class FileState:
    """Size and stamp of a file, known without reading it.

    Attributes:
        n_bytes: size in bytes, or None if the server does not say.
        stamp: a string that changes whenever the content does, or None if the server has none.
    """

    n_bytes: int | None
    stamp: str | None


@dataclass(frozen=True)
class Storage:
    """Access to file systems. Credentials come from the environment, as for each store's own tools.

    Attributes:
        s3_endpoint: address of an S3-compatible store; ``AWS_ENDPOINT_URL`` or Amazon by default.
    """

    s3_endpoint: str | None = None

    def place(self, url: str | os.PathLike[str]) -> RemotePath:
        """Return the file or folder of a path or URL, without accessing it.

        Raises:
            UnknownNameError: fsspec has no file system for this protocol, or its package is not installed.
        """
        text = os.fspath(url)
        protocol = text.partition("://")[0] if "://" in text else "file"
        options: dict[str, Any] = {} if protocol in {"file", "local"} else {"use_listings_cache": False}
        if self.s3_endpoint is not None and protocol in _S3_PROTOCOLS:
            options["endpoint_url"] = self.s3_endpoint
        try:
            system, path = url_to_fs(text, **options)
        except (ImportError, ValueError) as error:
            known = "a path, s3://bucket/key, https://host/path or another URL that fsspec knows"
            raise UnknownNameError(f"cannot be used ({error})", where=text, hint=f"give {known}") from error
        return RemotePath(system, str(path), protocol)


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on some file system of fsspec.

    Attributes:
        system: the file system.
        path: its path on that file system.
        protocol: such as "file", "s3" or "https".
    """

    system: fsspec.AbstractFileSystem
    path: str
    protocol: str

    @property
    def is_on_the_web(self) -> bool:
        """Whether it is on a web server, where it can only be read."""
        return self.protocol in _WEB_PROTOCOLS

    @property
    def is_local(self) -> bool:
        """Whether it is on a file system of this machine."""
        return self.protocol in {"file", "local"}

    @property
    def local(self) -> Path:
        """Its path on this machine."""
        if not self.is_local:
            raise ValueError(f"{self.url} is not on this machine")
        return Path(self.path)

    @cached_property
    def url(self) -> str:
        """The path or URL for messages and for :meth:`Storage.place`."""
        return self.path if self.is_local or "://" in self.path else f"{self.protocol}://{self.path}"

    @property
    def file_name(self) -> str:
        """The last part of its path, without the query of a web address."""
        path = unquote(urlsplit(self.path).path) if self.is_on_the_web else self.path
        return PurePosixPath(path).name

    def child(self, relative: str) -> RemotePath:
        """Return a file or folder below this folder."""
        return RemotePath(self.system, f"{self.path.rstrip('/')}/{relative}", self.protocol)

    @property
    def parent(self) -> RemotePath:
        """The parent folder."""
        return RemotePath(self.system, self.path.rstrip("/").rpartition("/")[0], self.protocol)

    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        if self.is_on_the_web:
            return self.path.endswith("/")
        with _reaching(self.url):
            return bool(self.system.isdir(self.path))

    def files(self) -> list[str]:
        """Return the paths of all files below, relative to this folder, in no particular order."""
        root = self.path.rstrip("/") + "/"
        with _reaching(self.url):
            return [path.removeprefix(root) for path in self.system.find(self.path) if path.startswith(root)]

    def matches(self) -> list[RemotePath]:
        """Return the files and folders that its path matches as a pattern."""
        with _reaching(self.url):
            return [RemotePath(self.system, str(path), self.protocol) for path in sorted(self.system.glob(self.path))]

    def state(self) -> FileState | None:
        """Return size and stamp of the file; None when it does not exist."""
        try:
            with _reaching(self.url):
                if self.is_local:
                    return FileState(self.local.stat().st_size, stamp_of(self.local))
                info = self.system.info(self.path)
        except InputError:
            return None
        mark = next((str(info[key]) for key in _CHECKSUM_KEYS if info.get(key)), None)
        return FileState(info.get("size"), None if mark is None else f"{info.get('size')}-{mark}")

    def sizes(self) -> dict[str, int]:
        """Return name to size in bytes of the files in this folder; empty if it does not exist."""
        try:
            with _reaching(self.url):
                entries = self.system.ls(self.path, detail=True)
        except InputError:
            return {}
        return {str(entry["name"]).rpartition("/")[2]: entry["size"] for entry in entries if entry["type"] == "file"}

    def read(self) -> bytes | None:
        """Return the content of the file; None when it does not exist."""
        try:
            with _reaching(self.url):
                content: bytes = self.system.cat_file(self.path)
        except InputError:
            return None
        return content

    def download(self, target: Path) -> None:
        """Copy the file to a local path."""
        with _reaching(self.url):
            self.system.get_file(self.path, str(target))

    def write(self, content: bytes) -> None:
        """Make or replace the file in one step.

        Raises:
            OutputError: the folder cannot be written.
            StorageError: the store refuses.
        """
        if not self.is_local:
            with _reaching(self.url):
                self.system.pipe_file(self.path, content)
            return
        write_whole(self.local, content)

    def take(self, file: Path) -> None:
        """Replace this file by a local one, which is renamed or uploaded."""
        if self.is_local:
            try:
                os.replace(file, self.local)
            except OSError as error:
                raise output_error(error, self.local) from error
        else:
            with _reaching(self.url):
                self.system.put_file(str(file), self.path)

    def remove(self) -> None:
        """Remove the file, if it exists."""
        try:
            with _reaching(self.url):
                self.system.rm_file(self.path)
        except InputError:
            return


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a local file; InputError or StorageError if it cannot be read."""
    with _reaching(str(path)):
        return sha256_of(path)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Translate errors of file systems into InputError (no such file) and StorageError (not reachable now)."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("there is no such file", where=url, hint="check the path for typing errors") from error
    except Exception as error:  # every kind of store has errors of its own (OSError, botocore's, aiohttp's)
        raise StorageError(
            f"it cannot be reached ({type(error).__name__}: {error})",
            where=url,
            hint="check address, credentials and permissions, and run the same command again",
        ) from error
