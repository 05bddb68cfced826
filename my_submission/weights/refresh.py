"""For whoever makes weights: state the content of new files in the manifest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from my_submission.errors import OutputError, WeightsError
from my_submission.weights.content import is_lfs_pointer, sha256_of
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import MANIFEST_NAME


def describe_artefact(path: Path) -> dict[str, Any]:
    """The fields of a manifest entry that follow from a file's content: ``sha256`` and ``bytes``.

    Raises:
        WeightsError: the file is missing, empty, or a Git LFS pointer.
    """
    if not path.is_file():
        raise WeightsError("is not a file", where=path)
    n_bytes = path.stat().st_size
    if n_bytes == 0 or is_lfs_pointer(path):
        raise WeightsError("is empty" if n_bytes == 0 else "is a Git LFS pointer, not the file itself", where=path)
    return {"sha256": sha256_of(path), "bytes": n_bytes}


def refresh_manifest(directory: Path, names: Iterable[str]) -> ModelsFolder:
    """Write the hashes and sizes of the files now present into the manifest of ``directory``; the rest stays.

    Args:
        directory: a models folder.
        names: artefacts whose files are new; each must be there.

    Returns:
        The folder as it reads now.

    Raises:
        UnknownNameError: the manifest has no such artefact.
        WeightsError: a file is missing or no weights.
        OutputError: the manifest cannot be written.
    """
    folder = ModelsFolder(directory)
    fresh = {folder.artefact(name).name: describe_artefact(folder.path(name)) for name in names}
    manifest = directory / MANIFEST_NAME
    document = json.loads(manifest.read_text(encoding="utf-8"))
    for entry in document["artefacts"]:
        entry.update(fresh.get(entry["name"], {}))
    part = manifest.with_name(f".{MANIFEST_NAME}.part")
    try:
        part.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(manifest)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first failure is the one to tell
            part.unlink(missing_ok=True)
        raise OutputError(f"cannot be written ({error.strerror})", where=manifest) from error
    return ModelsFolder(directory)
