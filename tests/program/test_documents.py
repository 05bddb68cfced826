"""Every document that the program reads is bounded and strict: hostile ones end in a message, never in a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluator.errors import EvaluationError, ScoresError
from evaluator.replay_session import replay
from evaluator.runner import _RESULT_VERSION, _read_result
from evaluator.scores import parse_scores, read_scores, scores_document, to_json
from evaluator.scoring import SongScore
from my_submission.audio_io.writing.stem_sets import RECORD_SCHEMA
from my_submission.batch.earlier_results import _read_note
from my_submission.batch.remote_paths import Storage
from my_submission.challenge.aicrowd_json import find_schema_faults, read_aicrowd_json
from my_submission.challenge.configuration import read_configuration
from my_submission.challenge.song_reports import read_song_reports
from my_submission.challenge.tracks import find_track
from my_submission.errors import InputError, MdxError, WeightsError
from my_submission.networks.lightning_checkpoints import read_settings
from my_submission.planning.calibration import Calibration, Cost
from my_submission.weights import ModelsFolder
from terminal.documents import DocumentError, parse_json, parse_toml, read_json, read_json_lines
from tests.hostile_documents import DEEP, HOSTILE_JSON, with_swapped_types
from tests.weights_fixtures import entry, write_manifest
from training.data.stems import _known_level
from training.examples.clean_list import clean_songs
from training.settings.files import read_table
from training.settings.strict import SettingsError

SOURCES = ("bass", "drums", "other", "vocals")


def scores(system: str = "ours", n_songs: int = 3) -> dict[str, Any]:
    rows = {f"song {i}": SongScore({**dict.fromkeys(SOURCES, 5.0 + i), "song": 5.0 + i}) for i in range(n_songs)}
    framewise = {f"song {i}": SongScore({s: {"SDR": 5.0 + i, "SAR": 1.0} for s in SOURCES}) for i in range(n_songs)}
    songs = {"mdx": rows, "bsseval": framewise}
    return scores_document(songs, dataset="two", system=system, sources=SOURCES, failed={})


def refusal(read: Callable[[], object]) -> MdxError | None:
    """The error with which something is refused; None where it is not. Any other error fails the test."""
    try:
        read()
    except MdxError as error:
        return error
    return None


def replayed(path: Path) -> None:
    rng = np.random.default_rng(0)
    assert replay([path, path], rng=rng, n_resamples=2).text(tolerance_db=0.02)


def read_table_of_json(path: Path) -> object:
    document = read_json(path)
    if not isinstance(document, dict):
        raise DocumentError("is no object")
    return document


JSON_READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "manifest.json": (lambda path: ModelsFolder(path.parent), WeightsError),
    "scores.json": (read_scores, ScoresError),
    "aicrowd.json": (read_aicrowd_json, InputError),
    "run.json": (read_table_of_json, DocumentError),
}


@pytest.mark.parametrize("name", JSON_READERS)
@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_hostile_json_is_refused_with_a_message(tmp_path: Path, name: str, content: bytes) -> None:
    read, error = JSON_READERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        read(tmp_path / name)
    assert len(str(caught.value)) < 500
    if error is not DocumentError:
        assert str(tmp_path / name) in str(caught.value)
        assert caught.value.hint  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", JSON_READERS)
def test_gigabytes_are_refused_by_their_size(tmp_path: Path, name: str) -> None:
    read, error = JSON_READERS[name]
    with (tmp_path / name).open("wb") as file:
        file.truncate(4 << 30)  # a hole: it takes no room on the disk
    with pytest.raises(error, match=r"has more than .* MiB"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = " + "[" * 200_000, "nested more than 64"),
        ("x" + ".x" * 100_000 + " = 1", "a key of more than 64 parts"),
        ("a = {x" + ".x" * 100_000 + " = 1}", "a key of more than 64 parts"),
        ("a = inf", "not a finite number"),
        ("a = 1e400", "not a finite number"),
        ("a = " + "1" * 400, "more than 64 bits"),
        ("a = 0x" + "f" * 10_000, "more than 64 bits"),
        ("a = " + "1" * 5_000, "more than 64 bits"),
        ("a = 1\na = 2", "overwrite"),
        ("a = 2020-99-99", "Expected newline|Invalid date"),
        (b"\xef\xbb\xbfa = 1", "byte order mark"),
        (b"a = '\xff'", "not UTF-8"),
    ],
)
def test_hostile_toml_is_refused(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        parse_toml(text)
    path = tmp_path / "submission.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for read in (read_configuration, read_table):
        with pytest.raises((InputError, SettingsError), match=complaint) as caught:
            read(path)  # type: ignore[operator]
        assert str(path) in str(caught.value)


def test_good_documents_are_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, true, "ä"], "b": {}}') == {"a": [1, 2.5, None, True, "ä"], "b": {}}
    assert parse_json("[" * 64 + "]" * 64) is not None
    assert parse_toml("a.b = 1.5\n[c]\nd = ['x']") == {"a": {"b": 1.5}, "c": {"d": ["x"]}}
    assert parse_json(b'{"a": -1e-5}') == {"a": -1e-5}
    largest = 2**63 - 1
    assert parse_json(str(largest)) == largest


def test_complete_json_lines_are_read_and_other_values_refused(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n{"a": 3', encoding="utf-8")  # killed while it wrote the third
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]
    path.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(DocumentError, match="not a JSON object"):
        read_json_lines(path)


# ---- wrong types at every level --------------------------------------------------------------------------------------


def test_a_manifest_of_wrong_types(tmp_path: Path) -> None:
    good = {"schema": 1, "artefacts": [entry()]}
    n_refused = 0
    for document in with_swapped_types(good):
        write_manifest(tmp_path)
        (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
        if error := refusal(lambda: ModelsFolder(tmp_path)):
            n_refused += 1
            assert str(tmp_path / "manifest.json") in str(error)
    assert n_refused > 100
    assert good == {"schema": 1, "artefacts": [entry()]}


@pytest.mark.slow
def test_scores_of_wrong_types_are_refused_or_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    good = scores(n_songs=1)
    good = {key: value for key, value in good.items() if key not in ("definitions", "silent", "failed")}
    n_refused = 0
    for document in with_swapped_types(good):
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            replayed(path)
        except EvaluationError:
            n_refused += 1
    assert n_refused > 200
    path.write_text(to_json(scores()), encoding="utf-8")
    replayed(path)
    with pytest.raises(ScoresError, match="upload"):
        parse_scores(b"[" * 9, where="upload")


def test_many_sources_are_refused(tmp_path: Path) -> None:
    """Songs are compared source by source, so both must not be many."""
    row = {str(index): 1.0 for index in range(1000)}
    block = {"songs": {"a": row}, "mean": row}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({**scores(), "sources": list(row), "metrics": {"mdx": block}}), encoding="utf-8")
    with pytest.raises(ScoresError, match="more than 64 sources"):
        read_scores(path)


def test_an_aicrowd_json_of_wrong_types(tmp_path: Path) -> None:
    path = tmp_path / "aicrowd.json"
    good = {"challenge_id": "x", "authors": ["a"], "description": "d", "external_dataset_used": False, "gpu": False}
    for document in with_swapped_types(good):
        path.write_text(json.dumps(document), encoding="utf-8")
        error = refusal(lambda: find_schema_faults(read_aicrowd_json(path), find_track("mdx21")))
        assert error is None or str(path) in str(error)


def test_a_submission_file_of_wrong_types(tmp_path: Path) -> None:
    path = tmp_path / "submission.toml"
    good = {"track": '"mdx21"', "authors": '["me"]', "description": '"d"', "external_dataset_used": "false"}
    more = {"song_limit_seconds": "3", "gpu": "false", "system": '"starter"', "precision": '"auto"'}
    good |= more
    for key in good:
        for value in ("true", "7", "-1.5", '"x"', "[]", "[[1]]", "{}", "{a = 1}", "2020-01-01", "[true]"):
            path.write_text("\n".join(f"{k} = {value if k == key else v}" for k, v in good.items()), encoding="utf-8")
            error = refusal(lambda: read_configuration(path))
            assert error is None or str(path) in str(error)


BATCH_NOTE: dict[str, Any] = {
    "schema": RECORD_SCHEMA,
    "song": "s",
    "recipe": "r",
    "input": {"url": "u", "stamp": "s", "sha256": "d"},
    "error": "is cut",
}


def test_a_note_of_a_broken_song_of_wrong_types_is_as_good_as_none(tmp_path: Path) -> None:
    place = Storage().place(tmp_path / "note.json")
    place.write(json.dumps(BATCH_NOTE).encode())
    assert _read_note(place) == BATCH_NOTE
    for document in with_swapped_types(BATCH_NOTE):
        place.write(json.dumps(document).encode())
        found = _read_note(place)
        if found is not None:  # what is asked of a note elsewhere
            assert found["input"].keys() >= {"url", "stamp", "sha256"}
            assert isinstance(found["error"], str)
    for content in HOSTILE_JSON.values():
        place.write(content)
        assert _read_note(place) is None


def test_reports_of_a_submission_of_wrong_types(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    part = {"name": "a", "done_samples": 1, "samples": 2, "complete": False, "is_refinement": False}
    good = {"schema": 1, "complete": False, "is_as_published": False, "left_out": ["b"], "parts": [part]}
    for document in with_swapped_types(good):
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
        error = refusal(lambda: read_song_reports(path))
        assert error is None or str(path) in str(error)
    path.write_bytes(DEEP + b"\n")
    with pytest.raises(InputError, match="nested more than"):
        read_song_reports(path)


def test_a_calibration_that_cannot_be_used_is_measured_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "calibration.json"
    cost = {"typical": 1.0, "high": 2.0}
    for good in ({"schema": 1, "costs": {"a": cost}}, {"schema": 2, "runs": {"a": [cost]}}):
        path.write_text(json.dumps(good), encoding="utf-8")
        assert Calibration(path).get("a") == Cost(1.0, 2.0)
        for document in with_swapped_types(good):
            path.write_text(json.dumps(document), encoding="utf-8")
            found = Calibration(path).get("a")
            assert found is None or 0 <= found.typical <= found.high
    with caplog.at_level(logging.WARNING):
        path.write_bytes(DEEP)
        assert Calibration(path).get("a") is None
    assert "measured again" in caplog.text


def test_a_kept_score_that_cannot_be_used_is_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "song.json"
    good = {"version": _RESULT_VERSION, "row": {"bass": 1.0, "song": 1.0}}
    good |= {"silent_references": [], "silent_estimates": [], "notes": []}
    path.write_text(json.dumps(good), encoding="utf-8")
    assert _read_result(path, "mdx") == SongScore({"bass": 1.0, "song": 1.0})
    for document in with_swapped_types(good):
        path.write_text(json.dumps(document), encoding="utf-8")
        found = _read_result(path, "mdx")
        assert found is None or isinstance(found.row, dict)
    for content in HOSTILE_JSON.values():
        path.write_bytes(content)
        assert _read_result(path, "mdx") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 600, "cannot be read as settings"),
        (
            "a: &a0 [x]\n" + "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)),
            "contains more than 4000000 values",
        ),
        ("a: 2020-13-45", "cannot be read as settings"),
        ("a: !!int ''", "cannot be read as settings"),
        ("a: !!timestamp x", "cannot be read as settings"),
        ("a: .inf", "not a finite number"),
        ("a: " + "1" * 400, "64 bits"),
        ("\ufeffmodel: 1", "byte order mark"),
        ("model: {init_args: {model: {class_path: [a]}}}", "class"),
        ("#" * (1 << 18), "more than 0.125 MiB"),
    ],
)
def test_hostile_yaml_settings_are_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=complaint) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)


def test_hostile_settings_of_a_training_run(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text('base = "two.toml"', encoding="utf-8")
    two.write_text('base = "./one.toml"', encoding="utf-8")
    with pytest.raises(SettingsError, match="inherits from itself"):
        read_table(one)
    for base in ("7", "[1]", '"a\\u0000b"'):
        one.write_text(f"base = {base}", encoding="utf-8")
        with pytest.raises(SettingsError, match="not a path"):
            read_table(one)
    with pytest.raises(MdxError, match="cannot be read"):
        read_table(tmp_path)


def test_hostile_lists_and_levels_of_training(tmp_path: Path) -> None:
    table = tmp_path / "clean.csv"
    for content in (b"ID,Clean\n\xff,Y", b"ID,Clean\n" + b"x" * 200_000 + b",Y", b"ID,Clean\nA,Y\n" * 400_000):
        table.write_bytes(content)
        with pytest.raises(InputError) as caught:
            clean_songs(table)
        assert str(table) in str(caught.value)
    level = tmp_path / "level.json"
    for content in (*HOSTILE_JSON.values(), b'{"active_rms": "x"}', b'{"active_rms": -1}'):
        level.write_bytes(content)
        assert _known_level(level) is None
    level.write_text('{"active_rms": 0.25}', encoding="utf-8")
    assert _known_level(level) == 0.25
