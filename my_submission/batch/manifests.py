"""What is done already: a manifest beside the stems of every song, written last, and notes of songs that are broken.

A song counts as done when its manifest names the key that this run would give it and every stem it lists is there
with the size it states. The key stands for the content of the song, the weights, the options and the version. Reading
a whole catalogue to learn its content again would take long, so a manifest also keeps the stamp of the file it was
made from; while that is the same, so is the content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from my_submission.audio_io.part_files import make_directory, output_error, sync_directory
from my_submission.batch.outcomes import CatalogueSong
from my_submission.batch.places import FileState, Place, sha256_of_file
from my_submission.batch.recipe import KEY_SCHEMA, Recipe
from my_submission.documents import MAX_JSON_BYTES, DocumentError, parse_json
from terminal.names import storable, stored

MANIFEST_FILE = "manifest.json"

_LEVELS = frozenset({"clipped_samples", "peak", "rms"})
"""Numbers that the report has for every stem."""

HIDDEN_FOLDER = ".batch"
"""Below the output: notes of broken songs, and on a file system the scratch of running workers."""


@dataclass(frozen=True)
class Known:
    """What earlier runs say of a song.

    Attributes:
        manifest: of its stems, when they are whole and of this recipe.
        failure: why it cannot be separated, when that was found out with this recipe.
        is_current: whether the song is certainly still the same; otherwise its content must be looked at.
    """

    manifest: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    is_current: bool = False


def known_of(song: CatalogueSong, output: Place, recipe: Recipe, state: FileState | None) -> Known:
    """What earlier runs left of a song: stems, or a note that it is broken."""
    stamp = None if state is None else state.stamp
    manifest = read_manifest(output.child(song.name))
    if manifest is not None and manifest["recipe"] == recipe.digest:
        return Known(manifest=manifest, is_current=_is_same_file(manifest["input"], song, stamp))
    failure = _read_json(_failure_place(output, song))
    if failure is not None and failure["recipe"] == recipe.digest:
        return Known(failure=failure, is_current=_is_same_file(failure["input"], song, stamp))
    return Known()


def read_manifest(folder: Place) -> dict[str, Any] | None:
    """The manifest of a song's folder, when there is one and its stems are all there; None otherwise."""
    manifest = _read_json(folder.child(MANIFEST_FILE))
    if manifest is None:
        return None
    sizes = folder.sizes()
    is_whole = all(sizes.get(stem["file"]) == stem["bytes"] for stem in manifest["stems"].values())
    return manifest if is_whole else None


def new_manifest(
    song: CatalogueSong,
    recipe: Recipe,
    *,
    content: Mapping[str, Any],
    stems: Mapping[str, Path],
    made_with: Mapping[str, Any],
    report: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of stems that lie in scratch, as plain values.

    Args:
        song: whose they are.
        recipe: how they were made.
        content: of the song: see :func:`content_of`.
        stems: source to file.
        made_with: system, weights, versions and machine.
        report: of the predictor.
    """
    return {
        "schema": KEY_SCHEMA,
        "song": song.name,
        "key": recipe.key(content["sha256"]),
        "recipe": recipe.digest,
        "input": dict(content),
        "stems": {
            source: {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for source, path in stems.items()
        },
        "made_with": dict(made_with),
        "report": {**report, "input_path": song.url, "outputs": {name: path.name for name, path in stems.items()}},
    }


def content_of(song: CatalogueSong, state: FileState | None, sha256: str) -> dict[str, Any]:
    """What a song was when it was read."""
    size, stamp = (None, None) if state is None else (state.n_bytes, state.stamp)
    return {"url": song.url, "bytes": size, "stamp": stamp, "sha256": sha256}


def publish(folder: Place, staging: Path, manifest: Mapping[str, Any]) -> None:
    """Give stems that lie in scratch their final place, and the manifest last.

    Where the folder is new and on a file system, all of them appear in one rename. Otherwise the old manifest goes
    first, so that at no time a manifest stands beside stems that it does not describe.

    Args:
        folder: the song's own, below the output.
        staging: a folder on the same file system (for an object store: on this machine) with nothing but the stems;
            it is used up.
        manifest: see :func:`new_manifest`.

    Raises:
        OutputError, StorageError: the place cannot be written; the song does not count as done.
    """
    manifest_file = staging / MANIFEST_FILE
    with manifest_file.open("wb") as file:
        file.write(_to_json(manifest))
        file.flush()
        os.fsync(file.fileno())
    if folder.is_local and _takes_name(staging, folder.local):
        return
    earlier = read_manifest(folder)
    if earlier is not None and earlier["key"] == manifest["key"]:
        return  # another worker has just finished the same work
    previous = _read_json(folder.child(MANIFEST_FILE))
    folder.child(MANIFEST_FILE).remove()
    stems = [stem["file"] for stem in manifest["stems"].values()]
    for name in stems:
        folder.child(name).take(staging / name)
    outdated = [stem["file"] for stem in previous["stems"].values()] if previous is not None else []
    for name in sorted(set(outdated) - set(stems)):
        folder.child(name).remove()
    folder.child(MANIFEST_FILE).take(manifest_file)
    if folder.is_local:
        sync_directory(folder.local)


def renew_stamp(folder: Place, manifest: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Note that stems were made of a file that has another stamp or place now and the same content still."""
    renewed = {**manifest, "input": dict(content)}
    folder.child(MANIFEST_FILE).write(_to_json(renewed))
    return renewed


def note_failure(output: Place, song: CatalogueSong, recipe: Recipe, content: Mapping[str, Any], error: str) -> None:
    """Note that a song cannot be separated, so that no later run tries it again while it is the same file."""
    note = {"schema": KEY_SCHEMA, "song": song.name, "recipe": recipe.digest, "input": dict(content), "error": error}
    _failure_place(output, song).write(_to_json(note))


def forget_failure(output: Place, song: CatalogueSong) -> None:
    """Remove the note that a song is broken, if there is one."""
    _failure_place(output, song).remove()


def _failure_place(output: Place, song: CatalogueSong) -> Place:
    return output.child(f"{HIDDEN_FOLDER}/failed/{song.name}.json")


def _is_same_file(content: Mapping[str, Any], song: CatalogueSong, stamp: str | None) -> bool:
    return stamp is not None and content["stamp"] == stamp and content["url"] == stored(song.url)


def _takes_name(staging: Path, final: Path) -> bool:
    """Rename a whole folder; False where another is in its place that is not empty."""
    make_directory(final.parent)
    try:
        os.rename(staging, final)
    except OSError as error:
        if not final.is_dir():
            raise output_error(error, final) from error
        return False
    sync_directory(final.parent)
    return True


def _read_json(place: Place) -> dict[str, Any] | None:
    """A document of this schema, or None: one that is damaged or of another version is as good as none."""
    content = place.read()
    if content is None or len(content) > MAX_JSON_BYTES:
        return None
    try:
        document = parse_json(content)
    except DocumentError:
        return None
    is_ours = isinstance(document, dict) and document.get("schema") == KEY_SCHEMA and _has_known_form(document)
    return document if is_ours else None


def _has_known_form(document: Mapping[str, Any]) -> bool:
    """Whether a document has what a manifest or the note of a failure is asked for, each of its type."""
    content, stems = document.get("input"), document.get("stems", {})
    if not isinstance(document.get("recipe"), str) or not isinstance(content, dict) or not isinstance(stems, dict):
        return False
    is_known = {"url", "stamp", "sha256"} <= content.keys()
    if "stems" not in document:
        return is_known and isinstance(document.get("error"), str)
    is_described = isinstance(document.get("key"), str) and _is_report(document.get("report"))
    return is_known and is_described and all(_is_stem(stem) for stem in stems.values())


def _is_report(report: object) -> bool:
    """Whether the summary can be made of this."""
    if not isinstance(report, dict):
        return False
    length, levels = [report.get("source_samples"), report.get("source_rate")], report.get("levels", {})
    kinds = {"seconds": int | float, "peak_memory_bytes": int, "system": str, "is_as_published": bool, "complete": bool}
    kinds |= {"separated": bool, "late_by_seconds": int | float}
    return (
        all(type(count) is int for count in length)
        and report["source_rate"] > 0
        and all(isinstance(report[key], kind) for key, kind in kinds.items() if report.get(key) is not None)
        and isinstance(levels, dict)
        and all(isinstance(level, dict) and level.keys() >= _LEVELS for level in levels.values())
        and all(isinstance(level[key], int | float) for level in levels.values() for key in _LEVELS)
    )


def _is_stem(stem: object) -> bool:
    """Whether this names a file of the folder itself, so that nothing elsewhere is looked at or removed."""
    name = stem.get("file") if isinstance(stem, dict) else None
    is_plain = isinstance(name, str) and bool(name) and name not in {".", ".."} and not set(name) & set("/\\\0")
    return is_plain and isinstance(stem, dict) and isinstance(stem.get("bytes"), int)


def _to_json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(storable(document), indent=1, ensure_ascii=False) + "\n").encode()
