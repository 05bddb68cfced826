"""The record beside a set of stems: their recipe, the song's content, and the report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from my_submission.audio_io.writing.audio_format import AudioFormat
from my_submission.audio_io.writing.file_names import StemFileNames
from my_submission.audio_io.writing.stem_sets import (
    RECORD_SCHEMA,
    SetFile,
    read_record,
    settle,
)
from my_submission.errors import InputError
from my_submission.files.hashing import sha256_of, sha256_of_document, stamp_of
from my_submission.version import __version__


@dataclass(frozen=True, kw_only=True)
class StemRecipe:
    """Everything but the song that stems depend on.

    Attributes:
        system: name of the system.
        weights: artefact name to SHA-256.
        settings: the options that can change a sample, as plain values.
        audio_format: format of the stems.
        version: version of this program.
    """

    system: str
    weights: Mapping[str, str]
    settings: Mapping[str, Any]
    audio_format: AudioFormat
    version: str = __version__

    @property
    def digest(self) -> str:
        """A hash of the recipe."""
        format_facts = self.audio_format.as_json()
        names = [format_facts.pop("file_format"), format_facts.pop("subtype")]
        facts = {
            "schema": RECORD_SCHEMA,
            "version": self.version,
            "system": self.system,
            "weights": dict(self.weights),
            "settings": dict(self.settings),
            "format": [*names, format_facts] if format_facts else names,
        }
        return sha256_of_document(facts)

    def key(self, content_sha256: str) -> str:
        """Return the key of the stems of a song with this content."""
        return hashlib.sha256(f"{content_sha256} {self.digest}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RecordRequest:
    """The caller's part of ``separation.json``.

    Attributes:
        song: name of the song; default: name of the output folder.
        settings: the options that can change a sample, as given to the caller; default: those of the predictor and the
            call.
        content: content of the song, as :func:`content_of` returns it, possibly with more keys; default: read from the
            file.
        original: the file that was given, if the one that is separated is a copy.
    """

    song: str | None = None
    settings: Mapping[str, Any] | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    original: Path | None = None


def content_of(path: Path) -> dict[str, Any]:
    """Return the content of a song: its file's name, size, stamp and hash.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        stamp = stamp_of(path)
        return {"name": path.name, "bytes": path.stat().st_size, "stamp": stamp, "sha256": sha256_of(path)}
    except OSError as error:
        hint = "check the path and its permissions"
        raise InputError(f"it cannot be read ({error.strerror})", where=path, hint=hint) from error


def separation_record(
    *,
    song: str,
    recipe: StemRecipe,
    content: Mapping[str, Any],
    files: Mapping[str, SetFile],
    made_with: Mapping[str, Any],
    report: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the record of a set of stems, as plain values.

    Args:
        song: name of the song.
        recipe: recipe of the stems.
        content: content of the song, see :func:`content_of`.
        files: stem to its file.
        made_with: see :func:`my_submission.predictor.run_facts.run_facts`.
        report: report of the separation; paths in it are replaced by names, so that the folder can be moved.
    """
    names = {"input_path": content.get("url", content.get("name")), "outputs": {}, "weights": {}}
    names["outputs"] = {name: file.file for name, file in files.items()}
    names["weights"] = {name: Path(path).name for name, path in report.get("weights", {}).items()}
    return {
        "schema": RECORD_SCHEMA,
        "version": recipe.version,
        "song": song,
        "system": recipe.system,
        "format": recipe.audio_format.as_json(),
        "key": recipe.key(content["sha256"]),
        "recipe": recipe.digest,
        "input": dict(content),
        "stems": {name: asdict(file) for name, file in files.items()},
        "made_with": dict(made_with),
        "report": {**report, **names},
    }


def record_of_copy(
    record: Mapping[str, Any], files: Mapping[str, SetFile], audio_format: AudioFormat, *, common_gain_db: float = 0.0
) -> dict[str, Any]:
    """Return the record of stems that were copied into another format, as if separated into that format.

    Args:
        record: record of the stems that were copied.
        files: stem to the copy.
        audio_format: format of the copies.
        common_gain_db: smallest gain in dB that was applied to all copies against clipping.
    """
    made_with = record["made_with"]
    recipe = StemRecipe(
        system=record["system"],
        weights=made_with["weights"],
        settings=made_with["settings"],
        audio_format=audio_format,
        version=record["version"],
    )
    return separation_record(
        song=record["song"],
        recipe=recipe,
        content=record["input"],
        files=files,
        made_with=made_with,
        report={**record["report"], "common_gain_db": common_gain_db},
    )


def is_separated_already(
    song: Path, directory: Path, recipe: StemRecipe, file_names: StemFileNames | None = None
) -> bool:
    """Whether a folder contains the complete stems of this song by this recipe, under the names of ``file_names``.

    Renames of a killed run are finished or removed first. Stems of which nothing was estimated do not count.

    Raises:
        InputError: the song cannot be read.
        OutputError: the folder cannot be read, or a killed run's renames cannot be finished.
    """
    names = file_names or StemFileNames({})
    settle(directory, tuple(names.files.values()))
    record = read_record(directory, names.record_file)
    if record is None or not is_made_by(record, recipe.digest):
        return False
    found = {stem: Path(entry["file"]).stem for stem, entry in record["stems"].items()}
    if file_names is not None and found != dict(names.files):
        return False
    try:
        is_same_file = record["input"].get("stamp") == stamp_of(song)
    except OSError:
        is_same_file = False
    return is_same_file or bool(record["input"].get("sha256") == content_of(song)["sha256"])


def is_made_by(record: Mapping[str, Any], digest: str) -> bool:
    """Whether a record has this recipe digest and at least part of its stems was estimated."""
    return record["recipe"] == digest and record["report"].get("separated") is not False
