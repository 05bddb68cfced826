"""The stems of one song as a set with a record, which is replaced completely or not at all.

The record ``separation.json`` lists the stems by size and hash. It is written last, and removed first when the set is
replaced, so it never lies beside stems that it does not describe.

The next run finishes a replacement that was killed:

1. All new files are complete, as part files.
2. ``.separation.journal`` is written. It lists the renames to do and the files of the old set to remove. A run that is
   killed before this step has changed nothing.
3. The old ``separation.json`` is removed, the stems get their names, files that only the old set had are removed, and
   the new ``separation.json`` gets its name.
4. The journal is removed.

A run that finds a journal (:func:`settle`) repeats steps 3 and 4, which are idempotent. A lock on the folder excludes
other processes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from my_submission.audio_io.writing.audio_format import FILE_FORMATS
from my_submission.documents import has_form
from my_submission.errors import OutputError
from my_submission.files.folders import output_error, sync_directory
from my_submission.files.hashing import sha256_of
from my_submission.files.locks import locked_folder
from my_submission.files.part_files import PartFile, has_part_name, remove_abandoned_parts, write_whole
from my_submission.stems import SOURCE_SETS
from terminal import documents
from terminal.names import restored, storable

RECORD_FILE = "separation.json"
"""Record of the stems in a folder: system, weights, options, song and files."""

RECORD_SCHEMA = 2
"""Incremented when the form of the record or of its key changes, so that old stems are not taken for new ones. Number 1
was ``manifest.json``, which only catalogues had."""

JOURNAL_FILE = ".separation.journal"
"""Journal of the set whose record is ``separation.json``; see :func:`journal_of`."""

_JOURNAL_SUFFIX = "separation.journal"

MAX_RECORD_BYTES = 1 << 20
"""Limit on the size of a record; records have some kilobytes."""

PICTURE_NAMES = ("mixture", "report")

_LOCK_SECONDS = 10.0
"""Longest wait for the lock of a folder; renames take milliseconds, so a longer wait means a stopped process."""

_ListedFile = Annotated[str, Meta(pattern=rf"\A[^/\\\0]+\.({'|'.join((*FILE_FORMATS, 'png', 'html'))})\Z")]
"""Name of a file of a set; a record that lists any other name is not one of this program."""

_RecordFile = Annotated[str, Meta(pattern=r"\A([^/\\\0]+\.)?separation\.json\Z")]

_Size = Annotated[int, Meta(ge=0)]

_logger = logging.getLogger(__name__)


class _FileEntry(TypedDict):
    file: _ListedFile
    bytes: int
    sha256: str


class _Record(TypedDict):
    """Keys of ``separation.json`` that every reader needs."""

    schema: Literal[2]  # RECORD_SCHEMA
    key: str
    recipe: str
    song: str
    input: dict[str, Any]
    report: dict[str, Any]
    stems: dict[str, _FileEntry]
    pictures: NotRequired[list[_FileEntry]]


class _Journal(TypedDict):
    stems: list[tuple[str, _ListedFile, _Size]]
    """Name of the part file, name of the stem, and size in bytes."""
    outdated: list[tuple[_ListedFile, _Size]]
    record: str | None
    """Name of the part file of the record."""
    record_file: NotRequired[_RecordFile]
    """Name of the record; default: ``separation.json``."""


@dataclass(frozen=True)
class SetFile:
    """One file of a set.

    Attributes:
        file: its name in the folder.
        bytes: its size.
        sha256: SHA-256 of its content, 64 lower-case hexadecimal digits.
    """

    file: str
    bytes: int
    sha256: str

    def is_in(self, directory: Path) -> bool:
        """Return whether a folder has the file with this size; its content is not read."""
        try:
            return (directory / self.file).stat().st_size == self.bytes
        except OSError:
            return False

    def is_unchanged_in(self, directory: Path) -> bool:
        """Return whether a folder has the file with this content."""
        try:
            return self.is_in(directory) and sha256_of(directory / self.file) == self.sha256
        except OSError:
            return False


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON in UTF-8, with names as :func:`terminal.names.stored` gives them."""
    return (json.dumps(storable(document), indent=1, ensure_ascii=False) + "\n").encode()


def parse_record(content: bytes) -> dict[str, Any] | None:
    """Return a record; None if it is damaged, of another version, or no record at all."""
    document = parse_json(content)
    return document if has_form(_Record, document) else None


def parse_json(content: bytes) -> Any:
    """Return an untrusted document with its original names; None if it is not strict JSON."""
    if len(content) > MAX_RECORD_BYTES:
        return None
    try:
        return _restored(documents.parse_json(content))
    except documents.DocumentError:
        return None


def files_of(record: Mapping[str, Any]) -> list[SetFile]:
    """Return the files that a record lists."""
    return [_file_of(entry) for entry in (*record.get("stems", {}).values(), *record.get("pictures", []))]


def journal_of(record_file: str) -> str:
    """Return the name of the journal of a set, from that of its record."""
    return f".{record_file.removesuffix('.json')}.journal"


def read_record(directory: Path, record_file: str = RECORD_FILE) -> dict[str, Any] | None:
    """Return the record of a set; None if there is none, or if the stems do not match it.

    Call :func:`settle` before, which finishes an interrupted replacement.
    """
    record = _read_any_record(directory, record_file)
    if record is None or (directory / journal_of(record_file)).exists():
        return None
    return record if all(file.is_in(directory) for file in stems_of(record)) else None


def is_record(name: str) -> bool:
    """Whether a file is the record of a set by its name."""
    return name == RECORD_FILE or name.endswith(f".{RECORD_FILE}")


def files_listed_in(directory: Path, record_files: Iterable[str]) -> frozenset[str]:
    """Return the names of the files that some records of a folder list."""
    records = [record for name in record_files if (record := _read_any_record(directory, name)) is not None]
    return frozenset(file.file for record in records for file in files_of(record))


def stems_of(record: Mapping[str, Any]) -> list[SetFile]:
    """Return the stems that a record lists, without pictures."""
    return [_file_of(entry) for entry in record["stems"].values()]


def add_pictures(directory: Path, paths: Sequence[Path]) -> None:
    """Add pictures to the record of a folder, so that they are replaced together with the stems.

    Raises:
        OutputError: the folder cannot be written.
    """
    record = read_record(directory)
    if record is not None:
        files = [asdict(_set_file(path.name, path)) for path in paths if path.parent == directory]
        write_whole(directory / RECORD_FILE, to_json({**record, "pictures": files}))


def settle(directory: Path, names: Sequence[str] = ()) -> None:
    """Finish an interrupted replacement and remove part files of a killed run.

    Args:
        directory: the folder of a song; nothing happens if there is none.
        names: file names of stems, without suffix, other than those of the challenges.

    Raises:
        OutputError: the folder cannot be read or written, or another run holds it.
    """
    try:
        entries = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise output_error(error, directory) from error
    known = _part_names(directory, names)
    journals = [entry for entry in entries if entry.startswith(".") and entry.endswith(_JOURNAL_SUFFIX)]
    if not journals and not any(has_part_name(entry, known) for entry in entries):
        return
    with locked_folder(directory, max_wait_seconds=_LOCK_SECONDS):
        for name in journals:
            journal = _read_journal(directory, name)
            if journal is not None:
                _logger.info("%s: finishing a replacement that was interrupted", directory)
                _finish(directory, journal)
        remove_abandoned_parts(directory, known)


def notes_before(directory: Path, files: Sequence[str], record_file: str = RECORD_FILE) -> tuple[str, ...]:
    """Return notes on stems in a folder that its record does not list: those of ``files`` are replaced, others kept."""
    listed = {file.file for file in files_of(_read_any_record(directory, record_file) or {}) if file.is_in(directory)}
    unknown = {name for name in os.listdir(directory) if name in _stem_files() or name in files} - listed
    notes = []
    if replaced := sorted(unknown & set(files)):
        notes.append(f"{', '.join(replaced)} existed without a {record_file} that lists them and are replaced")
    if kept := sorted(unknown - set(files)):
        notes.append(f"{', '.join(kept)} exist without a {record_file} that lists them and are kept")
    return tuple(notes)


def replace_set(
    directory: Path, parts: Sequence[PartFile], record: Mapping[str, Any] | None, record_file: str = RECORD_FILE
) -> None:
    """Give complete part files their names, and remove files that only the old set had.

    Once the journal is written, the next run finishes an interrupted replacement.

    Args:
        directory: the folder of a song.
        parts: the new files, flushed to disk.
        record: record of the new set; None leaves no record behind.
        record_file: name of the record.

    Raises:
        OutputError: the folder cannot be written. The old set is unchanged, unless the message says otherwise.
    """
    with locked_folder(directory, max_wait_seconds=_LOCK_SECONDS):
        finals = {part.final.name for part in parts}
        old = files_of(_read_any_record(directory, record_file) or {})
        outdated = [file for file in old if file.file not in finals and file.is_unchanged_in(directory)]
        record_part = None if record is None else PartFile(directory / record_file)
        try:
            if record_part is not None and record is not None:
                record_part.path.write_bytes(to_json(record))
                record_part.sync()
            journal = _new_journal(parts, record_part, outdated, record_file)
            write_whole(directory / journal_of(record_file), to_json(journal))
        except BaseException as error:
            if record_part is not None:
                record_part.discard()
            if isinstance(error, OSError):
                raise output_error(error, directory) from error
            if isinstance(error, OutputError):
                raise OutputError(error.problem, where=directory, hint=error.hint) from error
            raise
        for part in (*parts, *([record_part] if record_part else [])):
            part.release()
        try:
            sync_directory(directory)
            _finish(directory, journal)
        except Exception:
            raise
        except BaseException:  # interrupted by the user: finishing takes milliseconds
            _finish(directory, journal)
            raise


def _new_journal(
    parts: Sequence[PartFile], record: PartFile | None, outdated: Sequence[SetFile], record_file: str
) -> dict[str, Any]:
    return {
        "schema": RECORD_SCHEMA,
        "stems": [[part.path.name, part.final.name, part.path.stat().st_size] for part in parts],
        "record": None if record is None else record.path.name,
        "record_file": record_file,
        "outdated": [[file.file, file.bytes] for file in outdated],
    }


def _finish(directory: Path, journal: Mapping[str, Any]) -> None:
    """Do the remaining steps of a replacement."""
    record_file, record = journal.get("record_file", RECORD_FILE), journal["record"]
    final = directory / record_file
    try:
        if record is None or (directory / record).exists():
            final.unlink(missing_ok=True)
        for part, name, _ in journal["stems"]:
            if (directory / part).exists():
                os.replace(directory / part, directory / name)
        for name, n_bytes in journal["outdated"]:
            if SetFile(name, n_bytes, "").is_in(directory):
                (directory / name).unlink(missing_ok=True)
        is_whole = all(SetFile(name, n_bytes, "").is_in(directory) for _, name, n_bytes in journal["stems"])
        if record is not None and (directory / record).exists():
            if is_whole:
                os.replace(directory / record, final)
            else:
                _logger.warning("%s: stems of an interrupted replacement are missing", directory)
                (directory / record).unlink()
        sync_directory(directory)
        (directory / journal_of(record_file)).unlink(missing_ok=True)
    except OSError as error:
        failed = output_error(error, directory)
        raise OutputError(
            f"{failed.problem}; some stems are new and some old",
            where=directory,
            hint="run the same command again, which finishes the replacement",
        ) from error
    sync_directory(directory)


def _read_journal(directory: Path, name: str) -> dict[str, Any] | None:
    """Return a journal of a folder; None if there is none, or one that this program did not write."""
    path = directory / name
    try:
        with path.open("rb") as file:
            document = parse_json(file.read(MAX_RECORD_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise output_error(error, directory) from error
    if has_form(_Journal, document):
        journal: dict[str, Any] = document
        parts = [(part, name) for part, name, _ in journal["stems"]]
        record_file = journal.get("record_file", RECORD_FILE)
        parts += [] if journal["record"] is None else [(journal["record"], record_file)]
        if name == journal_of(record_file) and all(has_part_name(part, (Path(name).stem,)) for part, name in parts):
            return journal
    _logger.warning("%s is not a journal of this program and is ignored", path)
    return None


def _read_any_record(directory: Path, record_file: str = RECORD_FILE) -> dict[str, Any] | None:
    """Return the record of a set, whether or not the stems match it."""
    try:
        with (directory / record_file).open("rb") as file:
            return parse_record(file.read(MAX_RECORD_BYTES + 1))
    except OSError:
        return None


def _file_of(entry: _FileEntry) -> SetFile:
    return SetFile(entry["file"], entry["bytes"], entry["sha256"])


def _restored(document: Any) -> Any:
    """Return a copy of a document with the names that :func:`to_json` was given."""
    if isinstance(document, str):
        return restored(document)
    if isinstance(document, dict):
        return {_restored(key): _restored(value) for key, value in document.items()}
    return [_restored(value) for value in document] if isinstance(document, list) else document


def _set_file(name: str, path: Path) -> SetFile:
    try:
        return SetFile(name, path.stat().st_size, sha256_of(path))
    except OSError as error:
        raise output_error(error, path) from error


def _stem_files() -> frozenset[str]:
    return frozenset(f"{name}.{suffix}" for sources in SOURCE_SETS for name in sources for suffix in FILE_FORMATS)


def _part_names(directory: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, without suffix, of files that part files in a folder of stems can belong to."""
    listed = (Path(file.file).stem for file in files_of(_read_any_record(directory) or {}))
    fixed = (Path(RECORD_FILE).stem, Path(JOURNAL_FILE).stem, *PICTURE_NAMES)
    return tuple({*fixed, *names, *listed, *(name for sources in SOURCE_SETS for name in sources)})
