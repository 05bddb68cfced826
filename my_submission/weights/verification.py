"""Verification of the artefacts of a models folder: presence, size, hash, and whether they can be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from my_submission.errors import WeightsError
from my_submission.weights.companions import companions_of, find_missing
from my_submission.weights.content_checks import find_damage, has_known_digest, is_identified, sha256_of
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import Artefact
from my_submission.weights.tensors import check_checksums, read_tensor_shapes

Status = Literal["ok", "missing", "damaged", "unverified"]

GraphCheck = Callable[[Artefact, Path], None]
"""Opens an ONNX graph; raises WeightsError when it does not fit its entry."""


@dataclass(frozen=True)
class VerifyResult:
    """The state of one artefact.

    Attributes:
        name: name of the artefact.
        status: "ok"; "missing"; "damaged": differs from its hash or the manifest, or not readable; "unverified":
            readable, but without a known hash.
        detail: the findings in a few words.
    """

    name: str
    status: Status
    detail: str


def verify(
    models_folder: ModelsFolder, names: Iterable[str] | None = None, *, graph_check: GraphCheck | None = None
) -> list[VerifyResult]:
    """Check artefacts by pointer, size, hash and format; every file is read again.

    Args:
        models_folder: the folder.
        names: names of the artefacts; all of the manifest by default.
        graph_check: opens ONNX graphs; without it only their content is compared.

    Returns:
        One result per name, in order.

    Raises:
        UnknownNameError: the manifest has no such artefact.
    """
    chosen = [artefact.name for artefact in models_folder.artefacts] if names is None else list(names)
    artefacts = [models_folder.artefact(name) for name in chosen]
    return [_verify_one(artefact, models_folder.path(artefact.name), graph_check) for artefact in artefacts]


def _verify_one(artefact: Artefact, path: Path, graph_check: GraphCheck | None) -> VerifyResult:
    if not path.is_file():
        return VerifyResult(artefact.name, "missing", f"{path} does not exist")
    try:
        problem = find_damage(artefact, path) or find_missing(artefact, path)
        if problem is not None:
            return VerifyResult(artefact.name, "damaged", f"{path} {problem}")
        opened, beside = _open(artefact, path, graph_check), companions_of(artefact, path)
    except WeightsError as error:
        return VerifyResult(artefact.name, "damaged", f"{path} {error.problem}")
    except OSError as error:
        return VerifyResult(artefact.name, "damaged", f"{path} cannot be read ({error.strerror})")
    status: Status
    if not is_identified(artefact, path):
        status, detail = "unverified", f"no hash is known; sha256 {sha256_of(path)}"
    elif beside:
        status, detail = "unverified", f"its weights are in {', '.join(map(repr, beside))}, of which no hash is known"
    elif not has_known_digest(artefact):
        status, detail = "ok", "the end of a public graph"
    else:
        status, detail = "ok", f"{_compared(artefact)} as expected"
    return VerifyResult(artefact.name, status, f"{detail}; {opened}")


def _compared(artefact: Artefact) -> str:
    """Return in words which property of a file was compared."""
    if artefact.sha256:
        return "sha256"
    return "git blob" if artefact.git_blob and not artefact.known_digest else "the published digits of sha256"


def _open(artefact: Artefact, path: Path, graph_check: GraphCheck | None) -> str:
    """Open the file by its format; return the findings."""
    if artefact.format == "onnx":
        if graph_check is None:
            return "graph not opened"
        graph_check(artefact, path)
        return "graph opens"
    if not has_known_digest(artefact):
        check_checksums(path)
    return f"{len(read_tensor_shapes(path))} tensors"
