"""The manifest of a models folder, with one entry per artefact, read strictly.

``manifest.json`` contains ``{"schema": 1, "artefacts": [...]}``. It contains only facts that cannot be read from the
files: frames and kept bins come from an ONNX graph, channel counts from a state dict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from my_submission.documents import KEY, convert, key_of
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from terminal.documents import DocumentError, read_json

MANIFEST_NAME = "manifest.json"
SCHEMA = 1

ArtefactFormat = Literal["onnx", "torch"]

OptionValue: TypeAlias = str | bool | int | None
"""Value of an option of a network's training."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{8,63}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_BLOB = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")


@dataclass(frozen=True)
class ArtefactGeometry:
    """The transform that a spectral network was trained with.

    Attributes:
        n_fft: window and transform length, in samples.
        hop: distance between frames, in samples.
        frames: number of frames of one chunk; only for a state dict, because a graph states its own.
        silent_bins: first bins that are silenced in the network's input; default: none.
    """

    n_fft: int
    hop: int
    frames: int | None = None
    silent_bins: int | None = None

    def __post_init__(self) -> None:
        self.with_kept_bins(1 + max(0, self.silent_bins or 0))  # refuses impossible transforms

    def with_kept_bins(self, kept_bins: int) -> StftGeometry:
        """Return the full geometry for a number of bins, which comes from the graph."""
        return StftGeometry(self.n_fft, self.hop, kept_bins, self.silent_bins or 0)


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One file of weights.

    Attributes:
        name: its name in systems, such as "kuielab-a/bass".
        path: path of its file below the models folder, with forward slashes.
        sha256: SHA-256 of its content, 64 lower-case hexadecimal digits; None when unknown.
        n_bytes: its size; None when unknown.
        format: "onnx", or "torch" for a checkpoint of plain tensors.
        architecture: the network it belongs to, such as "tfc-tdf", "mixer", "demucs-v2".
        target: the source it estimates; None when it estimates several.
        geometry: the transform around a spectral network; None for others.
        sources: URLs it can be fetched from, best first.
        licence: an SPDX name or a short phrase.
        member: its name inside a source that is a .zip archive.
        archive_md5: MD5 of that archive.
        sha256_prefix: leading digits of its sha256 if its authors published no more.
        git_blob: id that git gives its content, 40 digits, if no sha256 is known but the file is in a repository.
        options: options of its training that a conditioned network's weights do not show, such as activations.
    """

    name: str
    path: str
    sha256: str | None
    n_bytes: int | None = field(metadata={KEY: "bytes"})
    format: ArtefactFormat
    architecture: str
    target: str | None = None
    geometry: ArtefactGeometry | None = None
    sources: tuple[str, ...]
    licence: str
    member: str | None = None
    archive_md5: str | None = None
    sha256_prefix: str | None = None
    git_blob: str | None = None
    options: Mapping[str, OptionValue] | None = None

    def __post_init__(self) -> None:
        _refuse_unless(_NAME.fullmatch(self.name), f'name "{self.name}" is not lower-case words joined by / . _ -')
        _refuse_escape("path", self.path)
        _refuse_unless(self.path != MANIFEST_NAME, f'path "{self.path}" is the manifest itself')
        for pattern, key, digits in (
            (_DIGEST, "sha256", self.sha256),
            (_PREFIX, "sha256_prefix", self.sha256_prefix),
            (_MD5, "archive_md5", self.archive_md5),
            (_BLOB, "git_blob", self.git_blob),
        ):
            _refuse_unless(digits is None or pattern.fullmatch(digits), f"{key} is not a lower-case hexadecimal digest")
        _refuse_unless(self.n_bytes is None or self.n_bytes > 0, f"bytes is {self.n_bytes}")
        for url in self.sources:
            _refuse_unless(is_url(url), f'source "{url}" is not an http or https address')
            _refuse_unless(
                self.member or not is_archive(url),
                f'source "{url}" is an archive, and no "member" names the file in it',
            )
        if self.member is not None:
            _refuse_escape("member", self.member)

    @property
    def known_digest(self) -> str | None:
        """The sha256 of the manifest, or its leading digits; None when it has neither."""
        return self.sha256 or self.sha256_prefix


@dataclass(frozen=True)
class _Manifest:
    schema: int
    artefacts: tuple[Any, ...]


def is_url(text: str) -> bool:
    """Whether ``text`` is an http or https address, and not a path."""
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def url_file_name(url: str) -> str:
    """Return the last part of an address, without its query."""
    return PurePosixPath(urlsplit(url).path).name


def is_archive(file_name_or_url: str) -> bool:
    """Whether a file or address is a .zip archive by its name; torch checkpoints are zip files with other names."""
    return urlsplit(file_name_or_url).path.lower().endswith(".zip")


def read_manifest(directory: Path) -> tuple[Artefact, ...]:
    """Return the artefacts of a models folder, in the order of its manifest.

    Raises:
        WeightsError: there is no manifest, or an entry is invalid; the message names the entry.
    """
    manifest = directory / MANIFEST_NAME
    try:
        return _artefacts_of(read_json(manifest))
    except FileNotFoundError as error:
        raise WeightsError(
            f"no {MANIFEST_NAME} here",
            where=directory,
            hint="name a models folder that contains one, see models/README.md",
        ) from error
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=manifest) from error
    except DocumentError as error:
        hint = f"{error.hint or 'fix the file'}; models/README.md describes the entries"
        raise WeightsError(f"is not a manifest ({error})", where=manifest, hint=hint) from error


def manifest_text(artefacts: Iterable[Artefact]) -> str:
    """Return the manifest of these artefacts, as :func:`read_manifest` reads it."""
    entries = [_entry_of(artefact) for artefact in artefacts]
    return json.dumps({"schema": SCHEMA, "artefacts": entries}, indent=2, ensure_ascii=False) + "\n"


def _entry_of(artefact: Artefact) -> dict[str, Any]:
    values = asdict(artefact)
    if artefact.geometry is not None:
        values["geometry"] = {key: value for key, value in values["geometry"].items() if value is not None}
    return {
        key_of(field): values[field.name]
        for field in fields(artefact)
        if values[field.name] is not None or field.default is MISSING
    }


def _artefacts_of(document: object) -> tuple[Artefact, ...]:
    manifest = convert(_Manifest, document)
    if manifest.schema != SCHEMA:
        raise DocumentError(f"schema is {manifest.schema!r}, and this program reads {SCHEMA}")
    artefacts: dict[str, Artefact] = {}
    for index, entry in enumerate(manifest.artefacts):
        label = entry.get("name") if isinstance(entry, dict) else None
        place = f'entry "{label}"' if isinstance(label, str) else f"entry number {index + 1}"
        artefact = convert(Artefact, entry, place=place)
        if artefact.name in artefacts:
            raise DocumentError(f"{place} appears twice")
        artefacts[artefact.name] = artefact
    return tuple(artefacts.values())


def _refuse_unless(condition: object, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def _refuse_escape(key: str, path: str) -> None:
    parts = PurePosixPath(path).parts
    is_inside = bool(parts) and not path.startswith("/") and ".." not in parts and path == "/".join(parts)
    _refuse_unless(is_inside and not set(path) & set("\\:\0"), f'{key} "{path}" does not stay inside its folder')
