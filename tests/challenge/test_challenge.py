"""Tracks, limits, the configuration file and aicrowd.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from my_submission.challenge import (
    TRACKS,
    SongLimit,
    active_configuration,
    find_track,
    limit_from_environment,
    read_configuration,
)
from my_submission.challenge.aicrowd_json import aicrowd_document, find_schema_faults, read_aicrowd_json
from my_submission.challenge.building import require_sources
from my_submission.challenge.song_reports import SongReport, read_song_reports, record_song
from my_submission.errors import InputError, UnknownNameError
from my_submission.reports import StageReport
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import find_system
from tests.rigs import report_of

ROOT = Path(__file__).resolve().parents[2]

GOOD = """
system = "starter"
track = "mdx21"
authors = ["someone"]
description = "a test"
external_dataset_used = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "submission.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("limit", "duration", "expected"),
    [
        (SongLimit(seconds=240), 600.0, 240.0),
        (SongLimit(duration_factor=1.57), 100.0, 157.0),
        (SongLimit(seconds=240, duration_factor=1.57), 100.0, 157.0),
        (SongLimit(seconds=240, duration_factor=1.57), 600.0, 240.0),
    ],
)
def test_the_shorter_limit_holds_and_the_plan_stays_below_it(
    limit: SongLimit, duration: float, expected: float
) -> None:
    assert limit.seconds_for(duration) == pytest.approx(expected)
    assert 0.9 * expected < limit.planned_seconds(duration) < expected


@pytest.mark.parametrize("arguments", [{}, {"seconds": 0}, {"duration_factor": -1}, {"seconds": float("inf")}])
def test_a_limit_that_is_none_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limit"):
        SongLimit(**arguments)


def test_the_graders_variables_go_before_the_tracks_limit() -> None:
    own = SongLimit(seconds=240)
    assert limit_from_environment({}, own) is own
    assert limit_from_environment({"INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": ""}, own) is own
    assert limit_from_environment({"INFERENCE_PER_MUSIC_TIMEOUT_SECONDS": "1000"}, own) == SongLimit(seconds=1000)
    factor = limit_from_environment({"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR": "1.57"}, own)
    assert factor == SongLimit(duration_factor=1.57)
    with pytest.raises(InputError, match=r"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR='soon'"):
        limit_from_environment({"INFERENCE_PER_MUSIC_TIMEOUT_FACTOR": "soon"}, own)


def test_limits_of_the_tracks_are_the_challenges() -> None:
    assert find_track("mdx21").limit.seconds_for(600) == 240
    assert find_track("mdx23").limit.seconds_for(600) == pytest.approx(942)
    with pytest.raises(UnknownNameError, match="mdx23"):
        find_track("mdx 23")


def test_this_trees_own_file_and_aicrowd_json_agree() -> None:
    configuration = read_configuration(ROOT / "submission.toml")
    assert read_aicrowd_json(ROOT / "aicrowd.json") == aicrowd_document(configuration)


@pytest.mark.parametrize("name", sorted(TRACKS))
def test_what_is_generated_for_a_track_fits_its_schema_and_no_other(name: str, tmp_path: Path) -> None:
    text = GOOD.replace("mdx21", name).replace('["someone"]', '["a", "b"]')
    document = aicrowd_document(read_configuration(written(tmp_path, text)))
    assert document["authors"] == ["a", "b"]
    for other in TRACKS.values():
        assert bool(find_schema_faults(document, other)) == (other.name != name)


@pytest.mark.parametrize(
    ("key", "value"), [("authors", []), ("authors", "me"), ("description", ""), ("challenge_id", "x"), ("gpu", True)]
)
def test_schema_faults_name_the_key(key: str, value: object, tmp_path: Path) -> None:
    document = {**aicrowd_document(read_configuration(written(tmp_path, GOOD))), key: value}
    faults = find_schema_faults(document, find_track("mdx21"))
    assert len(faults) == 1
    assert faults[0].startswith(key)
    del document[key]
    missing = find_schema_faults(document, find_track("mdx21"))
    assert missing == [] if key == "gpu" else key in missing[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system = ", "is not TOML"),
        (GOOD.replace("track", "trak"), "there is no key 'trak'. Use track"),
        (GOOD.replace('description = "a test"', ""), "'description' is missing"),
        (GOOD.replace("false", '"no"'), "external_dataset_used: expected true or false, got 'no'"),
        (GOOD.replace('["someone"]', '"someone"'), "authors: expected a list, got 'someone'"),
        (GOOD.replace('["someone"]', "[]"), "at least one person"),
        (GOOD.replace("mdx21", "mdx24"), "there is no track 'mdx24'"),
        (GOOD + "gpu = true", "has no GPU"),
        (GOOD + "labelnoise = true", "has no leaderboard labelnoise"),
        (GOOD.replace("mdx21", "mdx23") + "labelnoise = true\nbleeding = true", "two leaderboards"),
        (GOOD.replace("mdx21", "mdx23").replace("false", "true") + "bleeding = true", "no external data"),
        (GOOD + "song_limit_seconds = 0", "above zero"),
        (GOOD + "song_limit_seconds = true", "song_limit_seconds: expected a number, got True"),
    ],
)
def test_a_file_that_means_nothing_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_configuration(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("track", "system"), [("mdx21", "starter-own"), ("mdx23", "starter-own"), ("cdx23", "starter-cinema")]
)
def test_without_a_system_the_tracks_starter_is_submitted(track: str, system: str, tmp_path: Path) -> None:
    text = GOOD.replace("mdx21", track).replace('system = "starter"', "")
    configuration = read_configuration(written(tmp_path, text))
    assert configuration.system == system
    assert set(find_system(system).sources) == set(configuration.challenge_track.sources)
    require_sources(configuration, find_system(system).sources)


def test_a_system_of_other_stems_is_told_which_would_do(tmp_path: Path) -> None:
    configuration = read_configuration(written(tmp_path, GOOD.replace("mdx21", "cdx23")))
    with pytest.raises(UnknownNameError, match="such as system = 'starter-cinema'"):
        require_sources(configuration, MUSIC_SOURCES)


def test_a_missing_file_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"submission\.toml"):
        active_configuration(tmp_path, {})


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD)
    assert active_configuration(tmp_path, {}).system == "starter"
    monkeypatch.chdir(tmp_path)
    chosen = active_configuration(tmp_path, {"MDX_SYSTEM": "kuielab-a", "MDX_DEVICE": "cpu", "MDX_MODELS_DIR": "mine"})
    assert (chosen.system, chosen.device, chosen.models_dir) == ("kuielab-a", "cpu", str(tmp_path / "mine"))
    other = tmp_path / "other.toml"
    other.write_text(GOOD.replace("mdx21", "mdx23"), encoding="utf-8")
    assert active_configuration(tmp_path, {"MDX_SUBMISSION_FILE": str(other)}).track == "mdx23"


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_damaged_aicrowd_json_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "aicrowd.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"aicrowd\.json.*submit configure"):
        read_aicrowd_json(path)


def test_song_reports_are_lines_and_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    record_song(report_of(), {})
    assert read_song_reports(path) == []
    late = report_of(is_as_published=False, left_out=("the end",))
    for report in (report_of(), late):
        record_song(report, {"MDX_REPORT_PATH": str(path)})
    assert read_song_reports(path) == [SongReport(True), SongReport(False, ("the end",))]
    record_song(late, {"MDX_REPORT_PATH": str(tmp_path / "no folder" / "x")})
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1])["left_out"] == ["the end"]


def test_a_song_report_counts_the_published_work(tmp_path: Path) -> None:
    """One stage is done, one was stopped, one never begun; a refinement that stopped costs nothing."""
    path = tmp_path / "reports.jsonl"
    bass, refined = (
        StageReport("bass", 1.0, 100, 100, "cpu"),
        StageReport("more", 1.0, 3, 100, "cpu", is_refinement=True),
    )
    stopped, never = StageReport("drums", 1.0, 50, 100, "cpu"), StageReport("demucs", 0.0, 0, 100, "cpu")
    record_song(report_of(bass, stopped, refined, never, is_as_published=False), {"MDX_REPORT_PATH": str(path)})
    record_song(report_of(bass, refined), {"MDX_REPORT_PATH": str(path)})
    assert read_song_reports(path) == [SongReport(False, ("drums", "demucs"), 0.5), SongReport(True)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("is_as_published", "yes"),
        ("left_out", "all"),
        ("left_out", [1]),
        ("parts", [{}]),
        ("parts", None),
    ],
)
def test_a_song_report_of_another_form_is_refused(key: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    for document in (
        {**report_of().as_json(), key: value},
        {k: v for k, v in report_of().as_json().items() if k != key},
    ):
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=rf"reports\.jsonl: contains a line that is not a song report \(.*{key}"):
            read_song_reports(path)
