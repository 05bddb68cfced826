"""Files wherever fsspec reaches: in folders, in S3-compatible stores, on the web.

A file appears under its name whole or not at all: in a folder by a rename, in an object store by its very nature.
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
"""There a folder is told from a file by the slash at its end alone."""

_CHECKSUM_KEYS = ("ETag", "etag", "Content-MD5", "md5Hash", "crc32c", "checksum")
"""What stores call the mark that changes with a file's content."""


@dataclass(frozen=True)
class FileState:
    """What can be told of a file without reading it.

    Attributes:
        n_bytes: its size, or None where the server does not say.
        stamp: changes whenever the content does; None where there is no such mark.
    """

    n_bytes: int | None
    stamp: str | None


@dataclass(frozen=True)
class Storage:
    """How to reach places. Credentials come from the environment, as each store's own tools take them.

    Attributes:
        s3_endpoint: address of an S3-compatible store; Amazon's (or ``AWS_ENDPOINT_URL``) when not given.
    """

    s3_endpoint: str | None = None

    def place(self, url: str | os.PathLike[str]) -> RemotePath:
        """The place that a path or URL names; nothing is asked of it yet.

        Raises:
            UnknownNameError: no file system is known for this protocol, or its package is not installed.
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
            raise UnknownNameError(f"this place cannot be used ({error})", where=text, hint=f"give {known}") from error
        return RemotePath(system, str(path), protocol)


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on some file system of fsspec.

    Attributes:
        system: the file system.
        path: as that file system names it.
        protocol: such as "file", "s3" or "https".
    """

    system: fsspec.AbstractFileSystem
    path: str
    protocol: str

    @property
    def is_on_the_web(self) -> bool:
        """Whether it can only be read."""
        return self.protocol in _WEB_PROTOCOLS

    @property
    def is_local(self) -> bool:
        """Whether it lies on a file system of this machine."""
        return self.protocol in {"file", "local"}

    @property
    def local(self) -> Path:
        """Its path on this machine."""
        if not self.is_local:
            raise ValueError(f"{self.url} is not on this machine")
        return Path(self.path)

    @cached_property
    def url(self) -> str:
        """What users are told, and what :meth:`Storage.place` takes again."""
        return self.path if self.is_local or "://" in self.path else f"{self.protocol}://{self.path}"

    @property
    def file_name(self) -> str:
        """The last part of its path, without what a web address carries behind it."""
        path = unquote(urlsplit(self.path).path) if self.is_on_the_web else self.path
        return PurePosixPath(path).name

    def child(self, relative: str) -> RemotePath:
        """A place below this one."""
        return RemotePath(self.system, f"{self.path.rstrip('/')}/{relative}", self.protocol)

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in."""
        return RemotePath(self.system, self.path.rstrip("/").rpartition("/")[0], self.protocol)

    def is_folder(self) -> bool:
        """Whether files lie below it."""
        if self.is_on_the_web:
            return self.path.endswith("/")
        with _reaching(self.url):
            return bool(self.system.isdir(self.path))

    def files(self) -> list[str]:
        """Paths of all files below, relative to here, in no particular order."""
        root = self.path.rstrip("/") + "/"
        with _reaching(self.url):
            return [path.removeprefix(root) for path in self.system.find(self.path) if path.startswith(root)]

    def matches(self) -> list[RemotePath]:
        """The files and folders that this place means when its name is a pattern."""
        with _reaching(self.url):
            return [RemotePath(self.system, str(path), self.protocol) for path in sorted(self.system.glob(self.path))]

    def state(self) -> FileState | None:
        """Size and stamp of a file; None when there is none."""
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
        """Name to size of the files that lie in this folder; none where there is no folder."""
        try:
            with _reaching(self.url):
                entries = self.system.ls(self.path, detail=True)
        except InputError:
            return {}
        return {str(entry["name"]).rpartition("/")[2]: entry["size"] for entry in entries if entry["type"] == "file"}

    def read(self) -> bytes | None:
        """The content of a file; None when there is none."""
        try:
            with _reaching(self.url):
                content: bytes = self.system.cat_file(self.path)
        except InputError:
            return None
        return content

    def download(self, target: Path) -> None:
        """Copy a file here to ``target``."""
        with _reaching(self.url):
            self.system.get_file(self.path, str(target))

    def write(self, content: bytes) -> None:
        """Make or replace a file, whole or not at all.

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
        """Move a local file here, replacing what was here; a folder takes it by a rename, a store by an upload."""
        if self.is_local:
            try:
                os.replace(file, self.local)
            except OSError as error:
                raise output_error(error, self.local) from error
        else:
            with _reaching(self.url):
                self.system.put_file(str(file), self.path)

    def remove(self) -> None:
        """Remove a file, if it is there."""
        try:
            with _reaching(self.url):
                self.system.rm_file(self.path)
        except InputError:
            return


def sha256_of_file(path: Path) -> str:
    """The hash of a local file's content; InputError or StorageError where it cannot be read."""
    with _reaching(str(path)):
        return sha256_of(path)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Say of whatever a file system raises what it means: the file is not there, or cannot be had now."""
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
