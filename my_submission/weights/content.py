"""Whether a file is the artefact it claims to be: pointer, size and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from my_submission.errors import WeightsError
from my_submission.weights.manifest import Artefact
from my_submission.weights.published import PUBLISHED_SHA256

_LFS_SIGNATURE = b"version https://git-lfs.github.com/spec/"
_LFS_POINTER_MAX_BYTES = 1024
"""Git LFS itself takes nothing larger for a pointer."""


def is_lfs_pointer(path: Path) -> bool:
    """Whether ``path`` is the text that Git LFS leaves in place of a file it has not downloaded."""
    if path.stat().st_size > _LFS_POINTER_MAX_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_LFS_SIGNATURE)) == _LFS_SIGNATURE


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 lower-case hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error


def remembered_sha256_of(path: Path) -> str:
    """As :func:`sha256_of`, but a file that has not changed in this process is read once only."""
    state = path.stat()
    return _sha256_of_state(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of_state(path: Path, inode: int, n_bytes: int, mtime_ns: int) -> str:
    """The hash of a file in one state; all arguments but the path are there to tell states apart."""
    return sha256_of(path)


def find_damage(artefact: Artefact, path: Path, *, digest_of: Callable[[Path], str] = sha256_of) -> str | None:
    """What is wrong with the content of ``path`` as ``artefact``, as one clause; None when nothing is.

    An artefact without any known hash is compared by size alone; see :func:`has_known_digest`.
    """
    if is_lfs_pointer(path):
        return "is a Git LFS pointer, not the file itself"
    n_bytes = path.stat().st_size
    if artefact.n_bytes is not None and n_bytes < artefact.n_bytes:
        return f"has {n_bytes} of {artefact.n_bytes} bytes"
    if artefact.n_bytes is not None and n_bytes > artefact.n_bytes:
        return f"has {n_bytes} bytes where {artefact.n_bytes} are expected"
    if not has_known_digest(artefact):
        return None
    digest = digest_of(path)
    for origin, expected in (
        (f"published for {artefact.name}", PUBLISHED_SHA256.get(artefact.name)),
        ("of the manifest", artefact.known_digest),
    ):
        if expected is not None and not digest.startswith(expected):
            return f"is not the file {origin}: sha256 {digest[: len(expected)]}, expected {expected}"
    return None


def has_known_digest(artefact: Artefact) -> bool:
    """Whether the manifest or this package states a hash to compare with."""
    return artefact.known_digest is not None or artefact.name in PUBLISHED_SHA256
