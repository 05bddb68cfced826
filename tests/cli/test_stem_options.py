"""Options that choose stems and name their files, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.cli import main
from tests.audio_fixtures import noise, write_audio

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tiny_models: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `separate` and return its exit code and standard error."""

    def call(*arguments: object) -> tuple[int, str]:
        capfd.readouterr()
        code = main(["separate", "-n", "starter", "--models-dir", str(tiny_models), *map(str, arguments)])
        return code, capfd.readouterr().err

    return call


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "My Song.wav", noise(2, 20_000))


def test_file_names_begin_with_the_song(run: Run, song: Path, tmp_path: Path) -> None:
    assert run(song, "-o", tmp_path / "out")[0] == 0
    names = [f"My Song/My Song - {stem}.wav" for stem in ("bass", "drums", "other", "vocals")]
    assert files(tmp_path / "out") == [*names, "My Song/separation.json"]


def test_songs_in_the_challenges_layout_keep_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test" / "a").mkdir(parents=True)
    write_audio(tmp_path / "test" / "a" / "mixture.wav", noise(2, 2_000))
    assert run(tmp_path / "test", "-o", tmp_path / "out")[0] == 0
    assert files(tmp_path / "out")[:2] == ["a/bass.wav", "a/drums.wav"]


def test_two_stems_add_up_to_the_song(run: Run, song: Path, tmp_path: Path) -> None:
    code, _ = run(song, "-o", tmp_path, "--two-stems", "vocals", "--filename", "{stem}", "--bit-depth", "24")
    assert code == 0
    assert files(tmp_path) == ["My Song.separation.json", "My Song.wav", "instrumental.wav", "vocals.wav"]
    mixture, vocals, rest = (
        soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("My Song", "vocals", "instrumental")
    )
    np.testing.assert_allclose(vocals + rest, mixture, atol=2.0**-23)


def test_the_report_says_which_stems_were_made(run: Run, song: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, err = run(song, "-o", tmp_path / "out", "--stems", "drumless,vocal", "--report", report)
    assert code == 0, err
    (entry,) = json.loads(report.read_text(encoding="utf-8"))["songs"]
    assert (list(entry["outputs"]), entry["stems_add_up"]) == (["drumless", "vocals"], False)
    assert any(note.startswith("only drumless and vocals requested") for note in entry["notes"])


def test_existing_stems_are_skipped_only_for_the_same_choice(run: Run, song: Path, tmp_path: Path) -> None:
    def is_skipped(*options: str) -> bool:
        report = tmp_path / "report.json"
        assert run(song, "-o", tmp_path / "out", "--skip-existing", "--report", report, *options)[0] == 0
        return not json.loads(report.read_text(encoding="utf-8"))["songs"]

    assert not is_skipped("--stems", "vocals")
    assert is_skipped("--stems", "vocals")
    assert not is_skipped("--stems", "vocals", "--filename", "{song}/{stem}")
    assert not is_skipped("--filename", "{song}/{stem}")
    assert files(tmp_path / "out")[0] == "My Song/bass.wav"
    assert is_skipped("--filename", "{song}/{stem}")


def test_an_earlier_choice_is_replaced_as_a_whole(run: Run, song: Path, tmp_path: Path) -> None:
    assert run(song, "-o", tmp_path / "out", "--two-stems", "drums")[0] == 0
    assert run(song, "-o", tmp_path / "out", "--stems", "bass")[0] == 0
    assert files(tmp_path / "out") == ["My Song/My Song - bass.wav", "My Song/separation.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stems", "piano"], "starter has no stem 'piano'"),
        (["--stems", ","], "--stems names no stem"),
        (["--two-stems", "piano"], "starter has no stem 'piano'"),
        (["--stems", "vocals", "--two-stems", "vocals"], "exclude each other"),
        (["--filename", "{song}"], "lacks {stem}"),
        (["--filename", "../{stem}"], "must be in the output folder"),
        (["--filename", "{title} {stem}"], "no field {title}"),
    ],
)
def test_what_cannot_be_chosen_is_wrong_usage(
    run: Run, song: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    code, err = run(song, "-o", tmp_path / "out", *options)
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "out").exists()


def test_songs_that_would_share_files_are_refused(run: Run, song: Path, tmp_path: Path) -> None:
    second = write_audio(tmp_path / "second.wav", noise(2, 2_000))
    code, err = run(song, second, "-o", tmp_path / "out", "--filename", "{stem}")
    assert (code, "add {song} to --filename" in err.lower()) == (2, True), err
    assert run(song, second, "-o", tmp_path / "out", "--filename", "{song} {stem}", "--stems", "bass")[0] == 0
    assert len(files(tmp_path / "out")) == 4


def test_a_song_is_not_replaced_by_a_stem_of_its_name(run: Run, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "My Song vocals.wav", noise(2, 2_000))
    before = song.read_bytes()
    code, err = run(song, "-o", tmp_path, "--filename", "My Song {stem}")
    assert (code, "would be replaced" in err) == (1, True), err
    assert song.read_bytes() == before
