"""Hashes of files and documents, and stamps that show a change of a file without reading it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 lower-case hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256_of(path: Path) -> str:
    """As :func:`sha256_of`, but a file that has not changed in this process is read only once."""
    state = path.stat()
    return _sha256_of_state(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of_state(path: Path, inode: int, n_bytes: int, mtime_ns: int) -> str:
    """Return the hash of a file; all arguments but the path only distinguish states of the file."""
    return sha256_of(path)


def git_blob_id_of(path: Path) -> str:
    """Return the id that git gives a file's content, as 40 lower-case hexadecimal digits.

    It is the SHA-1 of "blob", the size, a zero byte and the content. SHA-1 detects accidental changes, but an
    attacker can make two files with the same id.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)

        def started() -> Any:
            digest = hashlib.sha1(usedforsecurity=False)
            digest.update(f"blob {size}\0".encode())
            return digest

        return hashlib.file_digest(file, started).hexdigest()


def sha256_of_document(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values; the order of keys does not matter, other values count by their text."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def stamp_of(path: Path) -> str:
    """Return a string that changes whenever the content of a file does: size, time of change and inode.

    Raises:
        OSError: there is no such file.
    """
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
