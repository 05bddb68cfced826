"""Entering new files of weights into a manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from my_submission.errors import WeightsError
from my_submission.files.part_files import write_whole
from my_submission.weights.content_checks import is_lfs_pointer, sha256_of
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import MANIFEST_NAME, Artefact, manifest_text, read_manifest


def describe_artefact(path: Path) -> dict[str, Any]:
    """Return the fields of a manifest entry that follow from a file's content: ``sha256`` and ``bytes``.

    Raises:
        WeightsError: the file is missing, empty, or a Git LFS pointer.
    """
    if not path.is_file():
        raise WeightsError("is not a file", where=path)
    n_bytes = path.stat().st_size
    if n_bytes == 0 or is_lfs_pointer(path):
        raise WeightsError("is empty" if n_bytes == 0 else "is a Git LFS pointer, not the file itself", where=path)
    return {"sha256": sha256_of(path), "bytes": n_bytes}


def record_artefacts(directory: Path, artefacts: Iterable[Artefact]) -> ModelsFolder:
    """Enter artefacts into the manifest of ``directory``, with hashes and sizes of their files.

    Args:
        directory: a models folder; one without a manifest gets one.
        artefacts: the new entries, which replace entries of the same name. Their ``sha256`` and ``n_bytes`` are
            ignored.

    Returns:
        The folder with its new manifest.

    Raises:
        WeightsError: a file is missing or does not contain weights, or the current manifest is invalid.
        OutputError: the manifest cannot be written.
    """
    manifest = directory / MANIFEST_NAME
    entries = {known.name: known for known in (read_manifest(directory) if manifest.exists() else ())}
    for artefact in artefacts:
        described = describe_artefact(directory / artefact.path)
        entries[artefact.name] = replace(artefact, sha256=described["sha256"], n_bytes=described["bytes"])
    write_whole(manifest, manifest_text(entries.values()).encode())
    return ModelsFolder(directory)


def refresh_manifest(directory: Path, names: Iterable[str]) -> ModelsFolder:
    """As :func:`record_artefacts`, for existing entries whose files are new.

    Raises:
        UnknownNameError: the manifest has no such artefact.
        WeightsError: a file is missing or does not contain weights.
        OutputError: the manifest cannot be written.
    """
    folder = ModelsFolder(directory)
    return record_artefacts(directory, [folder.artefact(name) for name in names])
