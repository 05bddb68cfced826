"""External data files of ONNX graphs: which there are, whether they are present, and where they may be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from my_submission.errors import WeightsError
from my_submission.weights.content_checks import sha256_of
from my_submission.weights.manifest import MANIFEST_NAME, Artefact
from my_submission.weights.onnx_layout import read_layout


def companions_of(artefact: Artefact, path: Path) -> Mapping[str, int]:
    """Return the external data files of an artefact, relative to its folder, with their minimum sizes in bytes.

    A file that is not a valid graph has none; opening it raises the error.
    """
    if artefact.format != "onnx":
        return {}
    try:
        return read_layout(path).external_files()
    except WeightsError:
        return {}


def find_missing(artefact: Artefact, path: Path) -> str | None:
    """Return what is wrong with the external data files of an artefact, as one clause; None when nothing is."""
    for location, n_bytes in companions_of(artefact, path).items():
        beside = path.parent / location
        if not beside.is_file():
            return f"its weights are in {location!r} beside it, which is missing"
        if beside.stat().st_size < n_bytes:
            return f"its weights are in {location!r}, which has {beside.stat().st_size} of at least {n_bytes} bytes"
    return None


def refuse_clash(
    artefact: Artefact, artefacts: Iterable[Artefact], directory: Path, location: str, staged: Path
) -> None:
    """Refuse to overwrite a file that is not an earlier version of this data file.

    Raises:
        WeightsError: there is such a file.
    """
    target = directory / artefact.path
    beside = target.parent / location
    others = [other for other in artefacts if other.path != artefact.path]
    names = {(directory / name).resolve() for name in (MANIFEST_NAME, *(entry.path for entry in (*others, artefact)))}
    if beside.resolve() not in names:
        if not beside.exists() or (beside.is_file() and sha256_of(beside) == sha256_of(staged)):
            return
        sharing = [other for other in others if _uses(other, directory / other.path, beside)]
        if beside.is_file() and not sharing and _uses(artefact, target, beside):
            return
    raise WeightsError(
        f"its weights are in {location!r}, and another file has that name",
        where=beside,
        hint="export the graph into one file, or move the other file away",
    )


def _uses(artefact: Artefact, path: Path, beside: Path) -> bool:
    """Whether a file is an external data file of the artefact's graph at ``path``."""
    return any((path.parent / location).resolve() == beside.resolve() for location in companions_of(artefact, path))
