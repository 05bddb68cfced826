"""Check every artefact of a models folder: is it there, is it whole, is it what it says, can it be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from my_submission.errors import WeightsError
from my_submission.weights.companions import companions_of, find_missing
from my_submission.weights.content import find_damage, has_known_digest, sha256_of
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import Artefact
from my_submission.weights.tensors import check_checksums, is_legacy_torch_file, read_tensor_shapes

Status = Literal["ok", "missing", "damaged", "unverified"]

GraphCheck = Callable[[Artefact, Path], None]
"""Opens an ONNX graph and raises WeightsError when it does not fit its entry; engines know how."""


@dataclass(frozen=True)
class VerifyResult:
    """The state of one artefact.

    Attributes:
        name: of the artefact.
        status: "ok"; "missing"; "damaged": not what its name or the manifest promises, or not readable;
            "unverified": readable as far as could be checked, but no hash of it is known.
        detail: what was found, in a few words.
    """

    name: str
    status: Status
    detail: str


def verify(
    models_folder: ModelsFolder, names: Iterable[str] | None = None, *, graph_check: GraphCheck | None = None
) -> list[VerifyResult]:
    """Check artefacts by pointer, size, hash and format, reading every byte anew.

    Args:
        models_folder: what to check.
        names: which artefacts; all of the manifest by default.
        graph_check: opens ONNX graphs; without it they are compared by content alone.

    Returns:
        One result a name, in order.

    Raises:
        UnknownNameError: the manifest has no such artefact.
    """
    chosen = [artefact.name for artefact in models_folder.artefacts] if names is None else list(names)
    artefacts = [models_folder.artefact(name) for name in chosen]
    return [_verify_one(artefact, models_folder.directory / artefact.path, graph_check) for artefact in artefacts]


def _verify_one(artefact: Artefact, path: Path, graph_check: GraphCheck | None) -> VerifyResult:
    if not path.is_file():
        return VerifyResult(artefact.name, "missing", f"{path} is not there")
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
    if not has_known_digest(artefact):
        status, detail = "unverified", f"no hash is known; sha256 {sha256_of(path)}"
    elif beside:
        status, detail = "unverified", f"its weights lie in {', '.join(map(repr, beside))}, of which no hash is known"
    else:
        status, detail = "ok", f"{'sha256' if artefact.sha256 else 'the published digits of sha256'} as expected"
    return VerifyResult(artefact.name, status, f"{detail}; {opened}")


def _open(artefact: Artefact, path: Path, graph_check: GraphCheck | None) -> str:
    """Open the file as what it says it is; returns what was found."""
    if artefact.format == "onnx":
        if graph_check is None:
            return "graph not opened"
        graph_check(artefact, path)
        return "graph opens"
    if is_legacy_torch_file(path):
        return "written by torch before 1.6, which only torch opens"
    if not has_known_digest(artefact):
        check_checksums(path)
    return f"{len(read_tensor_shapes(path))} tensors"
