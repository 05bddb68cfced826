"""Paths that cannot be used, and words of options as people type them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from evaluator.cli import main as evaluator_main
from my_submission import MdxError, Separator
from my_submission.cli import main
from my_submission.errors import InputError
from terminal.paths import explained_paths
from tests.audio_fixtures import noise, write_audio

TOO_LONG = "y" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["separate", TOO_LONG],
        ["evaluate", TOO_LONG],
        ["blend", TOO_LONG, "-n", "starter,starter-plus"],
        ["fetch", "kuielab-a", "--from", TOO_LONG],
        ["submit", "check", TOO_LONG, "--no-run"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_name_that_is_too_long_is_an_error_in_one_line(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, err = main(arguments), capfd.readouterr().err
    assert code == 1
    assert f"{TOO_LONG}: the name is too long for this file system. Choose a shorter one." in err
    assert "Traceback" not in err


def test_the_evaluator_explains_such_a_name_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluator_main(["score", TOO_LONG, TOO_LONG]) == 1
    assert "the name is too long for this file system" in capfd.readouterr().err


def test_stems_are_not_written_to_a_name_that_is_too_long(
    tiny_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    song = write_audio(tmp_path / "song.wav", noise(2, 5_000))
    code = main(["separate", "-n", "starter", "--models-dir", str(tiny_models), str(song), "-o", TOO_LONG])
    assert (code, "the name is too long" in capfd.readouterr().err) == (1, True)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_refused_permission_names_the_file_and_the_cure(number: int) -> None:
    message = r"^locked/song\.wav: there is no permission.*Change its permissions"
    with pytest.raises(InputError, match=message), explained_paths(InputError):
        raise OSError(number, "refused", "locked/song.wav")


def test_other_errors_of_the_system_pass() -> None:
    for error in (OSError(errno.EIO, "broken", "file"), OSError(errno.EACCES, "refused")):
        with pytest.raises(OSError, match=r"broken|refused"), explained_paths(InputError):
            raise error


def test_a_song_in_a_folder_that_may_not_be_searched_is_an_input_error(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = write_audio(tmp_path / "song.wav", noise(2, 5_000))
    separator = Separator("starter", models_dir=tiny_models)
    stat = Path.stat

    def refused(path: Path, **options: bool) -> object:
        if path == song:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(InputError, match="there is no permission to read this file"):
        separator.separate(song, None)


@pytest.mark.parametrize(
    "arguments",
    [["separate", ""], ["separate", "song.wav", "-o", ""], ["evaluate", "data", "--html", ""], ["blend", ""]],
    ids=["input", "output", "file", "data set"],
)
def test_an_empty_path_is_refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "the path is empty; is a variable of the shell not set?" in capfd.readouterr().err


def test_a_file_that_may_not_be_read_is_left_to_its_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line has no second message about it, with another exit code and without a cure."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["separate", str(tmp_path)]) == 1


def test_capitals_make_no_difference(tiny_models: Path, tmp_path: Path) -> None:
    song, out = write_audio(tmp_path / "song.wav", noise(2, 5_000)), tmp_path / "out"
    options = ["-n", "starter", "--models-dir", str(tiny_models), "-f", "FLAC", "--stems", "vocals"]
    assert main(["separate", str(song), "-o", str(out), *options]) == 0
    assert (out / "song" / "song - vocals.flac").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-f", "mp3", "--bitrate", "5000"], "error: MP3 has no bit rate of 5000 kbit/s"),
        (["--skip"], "there is no option --skip; did you mean --skip-existing?"),
        (["--name", "demo"], "--name is the name of the song on standard input, but no input is -"),
        (["--filename", "{song}/{stem}.mp3"], "it ends in .mp3, but the file format adds the suffix; leave .mp3 out"),
    ],
    ids=["abbreviation", "beginning of an option", "name of a file", "suffix"],
)
def test_wrong_options_are_explained(options: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["separate", "song.wav", *options]) == 2
    assert said in capfd.readouterr().err


def test_one_string_is_not_a_list_of_stems() -> None:
    with pytest.raises(MdxError, match=r"stems='vocals' is not a list of names\. Give stems=\['vocals'\]"):
        Separator("starter", stems="vocals")
