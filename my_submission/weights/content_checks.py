"""Comparison of files with their manifest entries: Git LFS pointers, size and hash."""

from __future__ import annotations

from pathlib import Path

from my_submission.errors import WeightsError
from my_submission.files import hashing
from my_submission.weights.manifest import Artefact
from my_submission.weights.mdx_net_facts import facts_of
from my_submission.weights.published_hashes import PUBLISHED_GIT_BLOBS, PUBLISHED_SHA256

MDX_NET = "mdx-net"
"""Architecture of the public graphs that are listed in ``mdx_net_facts``."""

_LFS_SIGNATURE = b"version https://git-lfs.github.com/spec/"
_LFS_POINTER_MAX_BYTES = 1024
"""Git LFS takes no larger file for a pointer."""


def is_lfs_pointer(path: Path) -> bool:
    """Whether ``path`` is the pointer that Git LFS leaves in place of a file it has not downloaded."""
    if path.stat().st_size > _LFS_POINTER_MAX_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_LFS_SIGNATURE)) == _LFS_SIGNATURE


def sha256_of(path: Path, *, is_remembered: bool = False) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits.

    Args:
        path: the file.
        is_remembered: whether a file that has not changed in this process is read only once.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        return hashing.remembered_sha256_of(path) if is_remembered else hashing.sha256_of(path)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error


def find_damage(artefact: Artefact, path: Path, *, is_remembered: bool = False) -> str | None:
    """Return how the content of ``path`` differs from that of ``artefact``, as one clause; None when it does not.

    An artefact without any known hash is compared by size alone; see :func:`has_known_digest`.
    """
    if is_lfs_pointer(path):
        return "is a Git LFS pointer, not the file itself"
    n_bytes = path.stat().st_size
    if artefact.n_bytes is not None and n_bytes < artefact.n_bytes:
        return f"has {n_bytes} of {artefact.n_bytes} bytes"
    if artefact.n_bytes is not None and n_bytes > artefact.n_bytes:
        return f"has {n_bytes} bytes where {artefact.n_bytes} are expected"
    return _other_blob(artefact, path) or _other_digest(artefact, path, is_remembered=is_remembered)


def _other_digest(artefact: Artefact, path: Path, *, is_remembered: bool) -> str | None:
    """Return how the SHA-256 of a file differs from the known ones, as one clause; None if it does not."""
    if artefact.known_digest is None and artefact.name not in PUBLISHED_SHA256:
        return None
    digest = sha256_of(path, is_remembered=is_remembered)
    for origin, expected in (
        (f"published for {artefact.name}", PUBLISHED_SHA256.get(artefact.name)),
        ("of the manifest", artefact.known_digest),
    ):
        if expected is not None and not digest.startswith(expected):
            return f"is not the file {origin}: sha256 {digest[: len(expected)]}, expected {expected}"
    return None


def is_identified(artefact: Artefact, path: Path) -> bool:
    """Whether a file can be recognised: by a known hash of its entry, or as a public MDX-Net graph by its end."""
    return has_known_digest(artefact) or (artefact.architecture == MDX_NET and facts_of(path) is not None)


def _other_blob(artefact: Artefact, path: Path) -> str | None:
    """Return how the git id of a file differs from the known ones, as one clause; None if it does not."""
    published = PUBLISHED_GIT_BLOBS.get(artefact.name) if artefact.format == "torch" else None  # graphs are made of it
    known = (
        (f"published for {artefact.name}", published),
        ("of the manifest", artefact.git_blob),
    )
    if not any(expected for _, expected in known):
        return None
    try:
        found = hashing.git_blob_id_of(path)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    for origin, expected in known:
        if expected is not None and found != expected:
            return f"is not the file {origin}: git blob {found}, expected {expected}"
    return None


def has_known_digest(artefact: Artefact) -> bool:
    """Whether the manifest or this package states a hash to compare with."""
    is_published = artefact.name in PUBLISHED_SHA256 or (
        artefact.format == "torch" and artefact.name in PUBLISHED_GIT_BLOBS
    )
    return artefact.known_digest is not None or artefact.git_blob is not None or is_published
