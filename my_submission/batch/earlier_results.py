"""Results of earlier runs: the record beside the stems of every song, written last, and notes on broken songs.

The record is the ``separation.json`` of every separation, with the URL and the stamp of the song. A song counts as done
when its record has the key of this run and every listed stem exists with the listed size. The key stands for the
content of the song, the weights, the options and the version. Reading a whole catalogue again would take long, so a
song whose stamp has not changed counts as unchanged.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from my_submission.audio_io.writing.stem_sets import (
    JOURNAL_FILE,
    RECORD_FILE,
    RECORD_SCHEMA,
    files_of,
    parse_json,
    parse_record,
    replace_set,
    settle,
    stems_of,
    to_json,
)
from my_submission.batch.outcomes import CatalogueSong
from my_submission.batch.recipe import CatalogueRecipe
from my_submission.batch.remote_paths import FileState, RemotePath, sha256_of_file
from my_submission.documents import has_form
from my_submission.files.folders import make_directory, output_error, sync_directory
from my_submission.files.part_files import PartFile
from my_submission.predictor.separation_record import is_made_by

HIDDEN_FOLDER = ".batch"
"""Folder below the output with notes on broken songs and the scratch folders of running workers."""

SCRATCH_PREFIX = "mdx-batch-"
"""Prefix of the workers' scratch folders."""


class _SongContent(TypedDict):
    """Keys of the song in a record or note of a catalogue; a record of another command has fewer."""

    url: Any
    stamp: Any
    sha256: Any


class _FailureNote(TypedDict):
    schema: Literal[2]  # RECORD_SCHEMA
    recipe: str
    error: str
    input: _SongContent


class _Levels(TypedDict):
    clipped_samples: float
    peak: float
    rms: float


class _Report(TypedDict):
    """Keys of a report that the summary is made of."""

    source_samples: int
    source_rate: Annotated[int, Meta(gt=0)]
    seconds: NotRequired[float | None]
    late_by_seconds: NotRequired[float | None]
    peak_memory_bytes: NotRequired[int | None]
    system: NotRequired[str | None]
    is_as_published: NotRequired[bool | None]
    complete: NotRequired[bool | None]
    separated: NotRequired[bool | None]
    levels: NotRequired[dict[str, _Levels]]


@dataclass(frozen=True)
class EarlierResult:
    """The result of an earlier run for one song.

    Attributes:
        record: the record of its stems, if they are complete and of this recipe.
        failure: note on why this recipe cannot separate it.
        is_current: whether the song is certainly unchanged; otherwise its content must be compared.
    """

    record: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    is_current: bool = False


def earlier_result(
    song: CatalogueSong, output: RemotePath, recipe: CatalogueRecipe, state: FileState | None
) -> EarlierResult:
    """Return the result of earlier runs for a song: stems, a note that it is broken, or nothing."""
    stamp = None if state is None else state.stamp
    record = read_record(output.child(song.name))
    if record is not None and is_made_by(record, recipe.digest):
        return EarlierResult(record=record, is_current=_is_same_file(record["input"], song, stamp))
    failure = _read_note(_failure_place(output, song))
    if failure is not None and failure["recipe"] == recipe.digest:
        return EarlierResult(failure=failure, is_current=_is_same_file(failure["input"], song, stamp))
    return EarlierResult()


def read_record(folder: RemotePath) -> dict[str, Any] | None:
    """Return the record of a song's folder when all its stems exist; None otherwise.

    An interrupted replacement counts as missing; a worker finishes it first.
    """
    content = folder.child(RECORD_FILE).read()
    record = None if content is None else parse_record(content)
    if record is None or not has_form(_SongContent, record["input"]) or not has_form(_Report, record["report"]):
        return None
    sizes = folder.sizes()
    is_whole = all(sizes.get(stem.file) == stem.bytes for stem in stems_of(record))
    return record if is_whole and JOURNAL_FILE not in sizes else None


def content_of(song: CatalogueSong, state: FileState | None, path: Path) -> dict[str, Any]:
    """Return name, URL, size, stamp and hash of a song.

    Args:
        song: the song.
        state: size and stamp of its file.
        path: the file on this machine.
    """
    size, stamp = (None, None) if state is None else (state.n_bytes, state.stamp)
    return {"name": path.name, "url": song.url, "bytes": size, "stamp": stamp, "sha256": sha256_of_file(path)}


def publish(folder: RemotePath, staging: Path, record: Mapping[str, Any]) -> None:
    """Move stems from scratch to their final folder, and their record last.

    A new local folder appears in one rename. In an existing local folder the stems replace the old set as in
    :mod:`my_submission.audio_io.writing.stem_sets`. In an object store the old record is removed first, so that a
    record never lies beside stems that it does not describe.

    Args:
        folder: the song's folder below the output.
        staging: a folder with the stems and their record only, on the same file system (for an object store: on this
            machine); its files are moved.
        record: the record.

    Raises:
        OutputError, StorageError: the folder cannot be written; the song does not count as done.
    """
    if folder.is_local and _takes_name(staging, folder.local):
        return
    earlier = read_record(folder)
    if earlier is not None and earlier["key"] == record["key"]:
        return  # another worker has just finished the same song
    names = [stem.file for stem in stems_of(record)]
    if folder.is_local:
        settle(folder.local)
        with contextlib.ExitStack() as stack:
            parts = []
            for name in names:
                parts.append(PartFile.adopt(staging / name, folder.local / name))
                stack.callback(parts[-1].discard)
            replace_set(folder.local, parts, record)
        return
    previous = _read_any_record(folder)
    folder.child(RECORD_FILE).remove()
    for name in names:
        folder.child(name).take(staging / name)
    for name in sorted({file.file for file in files_of(previous or {})} - set(names)):
        folder.child(name).remove()
    folder.child(RECORD_FILE).take(staging / RECORD_FILE)


def renew_stamp(folder: RemotePath, record: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Update stamp and URL in the record of stems whose song has the same content as before."""
    renewed = {**record, "input": dict(content)}
    folder.child(RECORD_FILE).write(to_json(renewed))
    return renewed


def note_failure(
    output: RemotePath, song: CatalogueSong, recipe: CatalogueRecipe, content: Mapping[str, Any], error: str
) -> None:
    """Note that a song cannot be separated, so that later runs skip it while its file is unchanged."""
    note = {"schema": RECORD_SCHEMA, "song": song.name, "recipe": recipe.digest, "input": dict(content), "error": error}
    _failure_place(output, song).write(to_json(note))


def forget_failure(output: RemotePath, song: CatalogueSong) -> None:
    """Remove the note that a song is broken, if there is one."""
    _failure_place(output, song).remove()


def _failure_place(output: RemotePath, song: CatalogueSong) -> RemotePath:
    return output.child(f"{HIDDEN_FOLDER}/failed/{song.name}.json")


def _is_same_file(content: Mapping[str, Any], song: CatalogueSong, stamp: str | None) -> bool:
    return stamp is not None and content["stamp"] == stamp and content["url"] == song.url


def _takes_name(staging: Path, final: Path) -> bool:
    """Rename a whole folder; return False if a folder that is not empty has its name."""
    make_directory(final.parent)
    try:
        os.rename(staging, final)
    except OSError as error:
        if not final.is_dir():
            raise output_error(error, final) from error
        return False
    sync_directory(final.parent)
    return True


def _read_any_record(folder: RemotePath) -> dict[str, Any] | None:
    """Return the record in a folder of an object store, whether or not the stems match it."""
    content = folder.child(RECORD_FILE).read()
    return None if content is None else parse_record(content)


def _read_note(place: RemotePath) -> dict[str, Any] | None:
    """Return the note on a broken song; None if there is none, or a damaged one, or one of another version."""
    content = place.read()
    note: Any = None if content is None else parse_json(content)
    return note if has_form(_FailureNote, note) else None
