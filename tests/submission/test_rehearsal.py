"""Rehearsals of every track, environments and containers, and what a rehearsal means."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.challenge import SongLimit, find_track
from my_submission.challenge.tracks import GraderMachine
from my_submission.cli import main
from my_submission.submission import RehearsalReport, RehearsalSettings, SongResult, SubmissionTree, rehearse
from my_submission.submission import environment as environments
from my_submission.submission.confinement import ConfinedRun
from my_submission.submission.environment import (
    Environment,
    EnvironmentBuildError,
    container_environment,
    current_environment,
    find_container_engine,
    fresh_environment,
)
from my_submission.submission.songs import copy_songs, make_song
from my_submission.submission.stem_faults import find_stem_faults
from my_submission.submission.verdict import rehearsal_findings
from tests.submission_trees import configure, make_tree

MUSIC_MODEL = '''
import numpy as np


class MySeparationModel:
    """Gives every stem a share of the mixture."""

    names = {names!r}

    def separate_music_file(self, mixed_sound_array, sample_rate):
        stem = np.asarray(mixed_sound_array) / len(self.names)
        return dict.fromkeys(self.names, stem), dict.fromkeys(self.names, sample_rate)
'''


def small_tree(folder: Path, track: str, names: list[str]) -> SubmissionTree:
    """A 2023 tree whose model needs no network: what any team could push."""
    (folder / "my_submission").mkdir(parents=True)
    (folder / "my_submission/__init__.py").write_text("", "utf-8")
    (folder / "my_submission/user_config.py").write_text(MUSIC_MODEL.format(names=names), "utf-8")
    configure(folder, track=track)
    return SubmissionTree(folder)


def run(tree: SubmissionTree, **settings: object) -> RehearsalReport:
    return rehearse(tree, tree.configuration(), current_environment(), RehearsalSettings(**settings))


@pytest.mark.slow
def test_a_2021_tree_runs_under_the_graders_own_evaluator(tmp_path: Path, tiny_models: Path) -> None:
    """The tree's evaluator is replaced by the grader's: breaking ours must not matter."""
    tree = make_tree(tmp_path / "tree", tiny_models)
    (tree / "evaluator/music_demixing.py").write_text("raise RuntimeError('ours was used')\n", "utf-8")
    report = run(SubmissionTree(tree), song_seconds=1.0)
    assert report.is_passed, report.outcome.stderr
    assert report.setup_seconds is not None
    [song] = report.songs
    assert 0 < song.seconds < song.limit_seconds == 240


@pytest.mark.parametrize(("track", "names"), [("mdx23", "bass drums other vocals"), ("cdx23", "dialog effect music")])
def test_a_2023_tree_runs_for_music_and_cinema(track: str, names: str, tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "tree", track, names.split())
    report = run(tree, song_seconds=2.0)
    assert report.is_passed, report.outcome.stderr
    assert report.songs[0].limit_seconds == pytest.approx(3.14)


def test_wrong_source_names_of_a_model_are_told(tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "tree", "cdx23", ["dialog", "sfx", "music"])
    report = run(tree, song_seconds=0.5)
    assert not report.is_passed
    faults = [finding for finding in rehearsal_findings(report) if finding.severity == "fault"]
    assert "['dialog', 'effect', 'music']" in faults[0].text


def test_the_longest_song_of_a_data_set_is_run_or_all_of_them(tmp_path: Path) -> None:
    track = find_track("cdx23")
    for name, seconds in (("short", 0.1), ("long", 0.3)):
        (tmp_path / "songs" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "songs" / name / "mix.wav", np.zeros(round(44_100 * seconds)), 44_100)
    half = np.zeros(4_000)
    for side in ("Lt", "Rt"):
        (tmp_path / "songs/split").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"songs/split/split_mixture_{side}.wav", half, 44_100)
    assert [s.name for s in copy_songs(tmp_path / "songs", track, tmp_path / "a", only_longest=True)] == ["long"]
    every = copy_songs(tmp_path / "songs", track, tmp_path / "b", only_longest=False)
    assert [song.name for song in every] == ["long", "short", "split"]
    assert len(list((tmp_path / "b/split").iterdir())) == 2
    tree = small_tree(tmp_path / "tree", "cdx23", ["dialog", "effect", "music"])
    report = run(tree, dataset=tmp_path / "songs", only_longest=False)
    assert report.is_passed, report.outcome.stderr
    assert len(report.songs) == 3


def test_a_made_up_song_is_sound_of_the_asked_length(tmp_path: Path) -> None:
    [song] = make_song(find_track("mdx21"), tmp_path, 0.5)
    sound, rate = soundfile.read(tmp_path / song.name / "mixture.wav")
    assert (len(sound), rate, song.seconds) == (22_050, 44_100, 0.5)
    assert np.sqrt(np.mean(sound**2)) > 0.01


def test_faulty_stems_are_named(tmp_path: Path) -> None:
    track = find_track("mdx21")
    [song] = make_song(track, tmp_path / "songs", 0.1)
    folder = tmp_path / "results" / song.name
    folder.mkdir(parents=True)
    good = np.zeros((song.samples, 2))
    soundfile.write(folder / "bass.wav", good[:-1], 44_100)
    soundfile.write(folder / "drums.wav", good[:, 0], 44_100)
    soundfile.write(folder / "other.wav", np.full_like(good, np.nan), 44_100, subtype="FLOAT")
    faults = find_stem_faults(tmp_path / "results", song, track)
    assert len(faults) == 4
    for fault, words in zip(faults, ("4409 samples", "1 channels", "not finite", "not written"), strict=True):
        assert words in fault
    (folder / "vocals.wav").write_bytes(b"no sound")
    assert "cannot be read" in find_stem_faults(tmp_path / "results", song, track)[3]


OUTCOME = ConfinedRun(returncode=0, end="exit", seconds=1.0, peak_bytes=1, stderr="", stdout="")
SONG = SongResult(name="s", duration_seconds=10.0, seconds=5.0, limit_seconds=15.7)
REPORT = RehearsalReport(
    conditions=(),
    setup_seconds=1.0,
    songs=(SONG,),
    outcome=OUTCOME,
    peak_bytes=1 << 20,
    machine=GraderMachine(n_cpus=4, memory_bytes=1 << 30),
)


@pytest.mark.parametrize(
    ("report", "severity", "words"),
    [
        (replace(REPORT, peak_bytes=2 << 30), "fault", "more memory than the grader's 1024 MiB"),
        (replace(REPORT, outcome=replace(OUTCOME, end="memory", returncode=-9)), "fault", "more memory"),
        (replace(REPORT, outcome=replace(OUTCOME, end="time", returncode=-9)), "fault", "hangs or is too slow"),
        (replace(REPORT, outcome=replace(OUTCOME, returncode=7, stderr="why\n")), "fault", "exit code 7: why"),
        (replace(REPORT, songs=(replace(SONG, seconds=16.0),)), "fault", "too slow"),
        (replace(REPORT, songs=(replace(SONG, error="stopped", is_timed_out=True),)), "fault", "too slow"),
        (replace(REPORT, songs=(replace(SONG, error="ValueError: no"),)), "fault", "ValueError: no"),
        (replace(REPORT, songs=(replace(SONG, stem_faults=("bass is short",)),)), "fault", "bass is short"),
        (replace(REPORT, songs=(replace(SONG, seconds=None, error="ended"),)), "fault", "ended: it printed no error"),
        (
            replace(REPORT, songs=(replace(SONG, is_as_published=False, left_out=("demucs",), done_share=0.8),)),
            "warning",
            "left out: demucs",
        ),
        (replace(REPORT, songs=(replace(SONG, is_as_published=False, done_share=0.1),)), "fault", "too slow: s: 10%"),
    ],
)
def test_what_a_rehearsal_means(report: RehearsalReport, severity: str, words: str) -> None:
    findings = rehearsal_findings(report)
    assert [f for f in findings if f.severity == severity and words in f.text and f.hint], findings
    assert not [f for f in rehearsal_findings(REPORT) if f.severity != "fact"]


def test_the_command_repeats_and_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = small_tree(tmp_path / "tree", "mdx23", ["bass", "drums", "other", "vocals"])
    options = ["--environment", "current", "--song-seconds", "1", "--repeat", "2", "--limit-seconds", "30"]
    code = main(["submit", "rehearse", str(tree.root), *options, "--json", str(tmp_path / "runs.json")])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out
    assert "2 of 2 runs in time with complete stems" in out
    document = json.loads((tmp_path / "runs.json").read_text("utf-8"))
    assert [run["songs"][0]["limit_seconds"] for run in document["runs"]] == [30.0, 30.0]


@pytest.mark.slow
def test_a_fresh_environment_is_built_once_and_holds_only_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("# nothing\n", "utf-8")
    made = fresh_environment(tmp_path)
    assert Path(made.python).is_file()
    assert not list(Path(made.python).parents[1].rglob("numpy"))
    monkeypatch.setattr(environments, "_build", lambda *_, **__: pytest.fail("built again"))
    assert fresh_environment(tmp_path) == made


def test_what_cannot_be_installed_is_told_with_the_installers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("nothing @ file:///no/such/package.whl\n", "utf-8")
    monkeypatch.setattr(sys, "executable", str(fake_program(tmp_path, "python", "echo no such package >&2; exit 1")))
    with pytest.raises(EnvironmentBuildError, match="no such package"):
        fresh_environment(tmp_path)
    (tmp_path / "requirements.txt").unlink()
    with pytest.raises(EnvironmentBuildError, match="is missing"):
        fresh_environment(tmp_path)


def fake_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_container_gets_the_graders_limits_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is a stand-in that writes down what it was asked for, then runs the command without a container."""
    asked = tmp_path / "asked.txt"
    body = (
        f'echo "$@" >> {asked}\ncase "$1" in build) cat >> {asked};; run) while [ "$1" != mdx-image ]; do shift; done; '
    )
    body += f'shift; export PATH="{Path(sys.executable).parent}:$PATH"; exec "$@";; esac'
    docker = fake_program(tmp_path / "bin", "docker", body)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    assert find_container_engine() == str(docker)
    tree = small_tree(tmp_path / "tree", "mdx23", ["bass", "drums", "other", "vocals"])
    (tree.root / "requirements.txt").write_text("numpy\n", "utf-8")
    (tree.root / "apt.txt").write_text("libsndfile1\n", "utf-8")
    built = container_environment(tree.root, str(docker))
    written = asked.read_text("utf-8")
    assert "apt-get install -y --no-install-recommends libsndfile1" in written
    assert "pip install --no-cache-dir -r requirements.txt" in written
    assert f"build --tag {built.image}" in written
    environment = Environment("python", "stand-in", engine=str(docker), image="mdx-image")
    report = rehearse(
        tree, tree.configuration(), environment, RehearsalSettings(song_seconds=0.5, limit=SongLimit(seconds=60))
    )
    assert report.is_passed, report.outcome.stderr
    command = asked.read_text("utf-8").splitlines()[-1]
    assert "run --rm --network none --cpus 4 --memory 17179869184" in command


def test_without_an_engine_that_answers_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path / "bin", "docker", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_container_engine() is None
