"""Sets of stems: replaced as a whole wherever a run is killed, and nobody else's files touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from my_submission.audio_io import AudioFormat, StemFolderWriter
from my_submission.audio_io.writing import stem_sets
from my_submission.audio_io.writing.stem_sets import (
    JOURNAL_FILE,
    RECORD_FILE,
    RECORD_SCHEMA,
    SetFile,
    add_pictures,
    files_of,
    parse_record,
    read_record,
    settle,
    to_json,
)
from my_submission.errors import OutputError
from my_submission.files import locks, part_files
from tests.audio_fixtures import noise

MUSIC, CINEMA = ("bass", "drums"), ("dialog", "effect")
SAMPLES = 500


def record(files: Mapping[str, SetFile], mark: str) -> dict[str, Any]:
    stems = {name: vars(file) for name, file in files.items()}
    return {"schema": RECORD_SCHEMA, "song": mark, "key": "", "recipe": "", "input": {}, "report": {}, "stems": stems}


def write(directory: Path, names: tuple[str, ...] = MUSIC, *, mark: str = "new", **options: Any) -> StemFolderWriter:
    """Write a set whose samples depend on ``mark``."""
    describe = None if mark == "no record" else (lambda files: record(files, mark))
    options = {"sample_rate": 44_100, "samples": SAMPLES, "describe": describe, **options}
    with StemFolderWriter(directory, names, **options) as writer:
        writer.write({name: noise(2, SAMPLES, seed=hash((name, mark)) % 1000) for name in names})
    return writer


def listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def describes_what_is_there(directory: Path) -> bool:
    """Whether the record, by the hashes of all files, is that of exactly what lies in the folder."""
    found = read_record(directory)
    if found is None:
        return False
    hashes = {file.file: file.sha256 for file in files_of(found)}
    there = {name: hashlib.sha256(data).hexdigest() for name, data in content(directory).items() if name != RECORD_FILE}
    return hashes == there


def dies(work: Callable[[], object], *, at: int, before: bool) -> bool:
    """Run the work in a copy of this process that kills itself at its n-th rename or removal; whether it did."""
    child = os.fork()
    if not child:
        calls = 0

        def fatal(real: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: Any, **more: Any) -> None:
                nonlocal calls
                calls += 1
                if calls == at and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    real(*arguments, **more)
                finally:
                    if calls == at:
                        os.kill(os.getpid(), signal.SIGKILL)

            return call

        os.replace, os.unlink = fatal(os.replace), fatal(os.unlink)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(os.name != "posix", reason="forks and signals of POSIX")
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {}),
        ({"names": CINEMA, "audio_format": AudioFormat("flac")}, {}),
        ({"mark": "no record"}, {}),
        ({}, {"mark": "no record"}),
    ],
    ids=["same names", "other names", "old set without record", "new set without record"],
)
def test_a_kill_at_any_rename_leaves_one_set_or_the_other(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any], before: bool
) -> None:
    write(tmp_path / "reference", **new)
    write(tmp_path / "old", **{"mark": "old", **old})
    earlier = content(tmp_path / "old")
    n_kills = 0
    while True:
        directory = tmp_path / str(n_kills)
        shutil.copytree(tmp_path / "old", directory)
        if not dies(lambda directory=directory: write(directory, **new), at=n_kills + 1, before=before):
            break
        n_kills += 1
        assert read_record(directory) is None or describes_what_is_there_in_part(directory)
        settle(directory)
        settled = content(directory)
        is_new = any(settled.get(name) == data for name, data in content(tmp_path / "reference").items())
        if is_new:
            assert settled == content(tmp_path / "reference")
        else:
            assert settled == earlier
    assert n_kills >= 5
    assert content(directory) == content(tmp_path / "reference")


def describes_what_is_there_in_part(directory: Path) -> bool:
    """Whether every file that the record lists is there as it says; part files may lie beside them."""
    found = read_record(directory)
    return found is not None and all(file.is_unchanged_in(directory) for file in files_of(found))


@pytest.mark.skipif(os.name != "posix", reason="forks and signals of POSIX")
def test_parts_of_another_system_go_with_the_next_run(tmp_path: Path) -> None:
    write(tmp_path, CINEMA, mark="old")
    assert dies(lambda: write(tmp_path, CINEMA), at=1, before=True)
    assert [name for name in listing(tmp_path) if name.endswith(".part")]
    write(tmp_path)
    assert listing(tmp_path) == sorted([*(f"{name}.wav" for name in MUSIC), RECORD_FILE])


def test_the_old_set_goes_as_a_whole_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, mark="old", audio_format=AudioFormat("flac"))
    for name in ("notes.txt", "mixture.wav", "dialog.wav", "cover.png"):
        (tmp_path / name).write_bytes(b"somebody's")
    (tmp_path / "bass.flac").write_bytes(b"edited")
    writer = write(tmp_path)
    kept = ["bass.flac", "cover.png", "dialog.wav", "mixture.wav", "notes.txt"]
    assert listing(tmp_path) == sorted([*kept, *(f"{name}.wav" for name in MUSIC), RECORD_FILE])
    assert (tmp_path / "bass.flac").read_bytes() == b"edited"
    assert writer.notes == (f"bass.flac, dialog.wav exist without a {RECORD_FILE} that lists them and are kept",)


def test_stems_that_nothing_describes_are_replaced_with_a_note(tmp_path: Path) -> None:
    write(tmp_path, mark="no record")
    writer = write(tmp_path)
    (note,) = writer.notes
    assert note.startswith("bass.wav, drums.wav existed without")
    assert write(tmp_path).notes == ()


def test_pictures_belong_to_the_set(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("bass.png", "report.html"):
        (tmp_path / name).write_bytes(b"a picture")
    add_pictures(tmp_path, [tmp_path / "bass.png", tmp_path / "report.html", Path("elsewhere.png")])
    assert describes_what_is_there(tmp_path)
    (tmp_path / "bass.png").unlink()
    assert read_record(tmp_path) is not None  # the stems are whole
    write(tmp_path, mark="newer")
    assert listing(tmp_path) == sorted([*(f"{name}.wav" for name in MUSIC), RECORD_FILE])


def test_a_record_does_not_stand_beside_other_stems(tmp_path: Path) -> None:
    write(tmp_path)
    assert describes_what_is_there(tmp_path)
    (tmp_path / "bass.wav").write_bytes(b"cut")
    assert read_record(tmp_path) is None
    write(tmp_path, mark="no record")
    assert RECORD_FILE not in listing(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 1},
        {"stems": {"bass": {"file": "../song.wav", "bytes": 1, "sha256": ""}}},
        {"stems": {"bass": {"file": "song.txt", "bytes": 1, "sha256": ""}}},
        {"stems": {"bass": {"file": "bass.wav", "bytes": "1", "sha256": ""}}},
        {"stems": {"bass": 5}},
        {"stems": []},
        {"pictures": {}},
        {"pictures": ["bass.png"]},
        {"report": None},
        {"input": "song.wav"},
        {"key": 7},
    ],
)
def test_what_is_no_record_is_none(change: dict[str, Any]) -> None:
    whole = record({"bass": SetFile("bass.wav", 1, "0")}, "a")
    assert parse_record(to_json(whole)) == whole
    assert parse_record(to_json({**whole, **change})) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b'"', b"[1, 2]", b"\xff", b" " * (1 << 20) + b"{}"])
def test_hostile_records_and_journals_are_left_alone(tmp_path: Path, text: bytes) -> None:
    assert parse_record(text) is None
    (tmp_path / JOURNAL_FILE).write_bytes(text)
    settle(tmp_path)
    assert listing(tmp_path) == [JOURNAL_FILE]
    write(tmp_path)
    assert describes_what_is_there(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"stems": [[".bass.1.part", "../bass.wav", 4]]},
        {"stems": [["../.bass.1.part", "bass.wav", 4]]},
        {"stems": [["song.wav", "bass.wav", 4]]},
        {"outdated": [["../song.wav", 4]]},
        {"outdated": [["song.txt", 4]]},
        {"record": "song.wav"},
        {"stems": 5},
    ],
)
def test_a_journal_names_nothing_but_parts_and_stems(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for path in (tmp_path / "song.wav", tmp_path / ".bass.1.part", folder / "song.wav", folder / "song.txt"):
        path.write_bytes(b"song")
    journal = {"schema": RECORD_SCHEMA, "stems": [], "record": None, "outdated": [], **change}
    (folder / JOURNAL_FILE).write_bytes(to_json(journal))
    settle(folder)
    assert listing(folder) == [JOURNAL_FILE, "song.txt", "song.wav"]
    assert listing(tmp_path) == [".bass.1.part", "out", "song.wav"]


def test_an_interruption_between_renames_finishes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, mark="old")
    real, calls = os.replace, []

    def interrupted(*paths: Any) -> None:
        calls.append(paths)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*paths)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert describes_what_is_there(tmp_path)
    assert json.loads((tmp_path / RECORD_FILE).read_bytes())["song"] == "new"


def test_a_failure_between_renames_says_what_to_do_and_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, mark="old")
    real, calls = os.replace, []

    def failing(*paths: Any) -> None:
        calls.append(paths)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        real(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(OutputError, match=r"some stems are new and some old. Run the same command again"):
            write(tmp_path)
    assert read_record(tmp_path) is None
    settle(tmp_path)
    assert describes_what_is_there(tmp_path)


@pytest.mark.parametrize("target", [RECORD_FILE, JOURNAL_FILE])
def test_a_full_disk_at_the_end_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    write(tmp_path, mark="old")
    before = content(tmp_path)
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == f".{Path(target).stem}.{os.getpid()}.part":
            real(self, data[:5])
            raise OSError(28, os.strerror(28), str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write(tmp_path)
    assert content(tmp_path) == before


def test_a_folder_in_the_place_of_the_record_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).mkdir()
    with (
        pytest.raises(OutputError, match=r"separation.json: a folder is where a file should go"),
        StemFolderWriter(tmp_path, MUSIC, sample_rate=44_100, samples=SAMPLES, describe=lambda _: {}),
    ):
        pytest.fail("not refused")
    assert listing(tmp_path) == [RECORD_FILE]


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_that_another_run_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stem_sets, "_LOCK_SECONDS", 0.0)
    write(tmp_path, mark="old")
    before = content(tmp_path)
    held = os.open(tmp_path, os.O_RDONLY)
    assert locks.try_lock(held)
    with pytest.raises(OutputError, match="another run is writing to this folder"):
        write(tmp_path)
    os.close(held)
    assert content(tmp_path) == before
    write(tmp_path)


def test_whole_files_and_devices(tmp_path: Path) -> None:
    part_files.write_whole(tmp_path / "a.json", b"one")
    part_files.write_whole(tmp_path / "a.json", b"two")
    assert content(tmp_path) == {"a.json": b"two"}
    part_files.write_whole(Path(os.devnull), b"gone")
    assert not Path(os.devnull).is_file()
    assert np.all([part_files.has_part_name(f".{name}.12.part", (name,)) for name in ("bass", ".separation", "a.b")])
    for name in (".bass.part", "bass.1.part", ".bass.x.part", ".bass.1.parts", ".other.1.part"):
        assert not part_files.has_part_name(name, ("bass", ""))
