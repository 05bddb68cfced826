"""Templates of file names: inside the output folder, one name per stem, one record per set."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from my_submission.audio_io.writing.file_names import CHALLENGE_LAYOUT, FileNameTemplate
from my_submission.errors import UnknownNameError

STEMS = ("vocals", "drums")


def path(template: str, song: str, stem: str = "vocals") -> str:
    made = FileNameTemplate(template)
    names = made.names(STEMS, song=song, system="starter")
    return str(PurePosixPath(made.folder(song=song, system="starter")) / names.files[stem])


@pytest.mark.parametrize(
    ("template", "song", "expected"),
    [
        ("{song}/{song} - {stem}.{ext}", "My Song", "My Song/My Song - vocals"),
        (CHALLENGE_LAYOUT, "My Song", "My Song/vocals"),
        ("{song}/{song} - {stem}", "disc1/01", "disc1/01/01 - vocals"),
        ("{song}_{stem}.{ext}", "My Song", "My Song_vocals"),
        ("{song}_{stem}.{ext}", "disc1/01", "disc1 - 01_vocals"),
        ("{system}/{song}/{stem}.{ext}", "a", "starter/a/vocals"),
        ("by {system}/{stem} of {song}", "a", "by starter/vocals of a"),
        ("{song}/{{x}} {stem}", "a", "a/{x} vocals"),
    ],
)
def test_paths(template: str, song: str, expected: str) -> None:
    assert path(template, song) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{song}/{song}.{ext}", "lacks {stem}"),
        ("{song}/{stm}.{ext}", "no field {stm}.*Use {stem}"),
        ("../{stem}.{ext}", "must be in the output folder"),
        ("/tmp/{stem}.{ext}", "must be in the output folder"),
        ("a//{stem}.{ext}", "must be in the output folder"),
        ("{stem}/{song}.{ext}", "lacks {stem}"),
        ("{stem}/{stem}.{ext}", "all stems of a song must be in one folder"),
        ("{song/{stem}", "braces do not match"),
        ("{song:>10}/{stem}", "can only be a name"),
        ("{ext}/{stem}.{ext}", "may only be the suffix"),
        ("{}/{stem}", "no field {}"),
    ],
)
def test_templates_that_cannot_be_used(template: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        FileNameTemplate(template)


def test_sets_in_one_folder_have_records_of_their_own() -> None:
    flat = FileNameTemplate("{song}_{stem}.{ext}")
    assert flat.names(STEMS, song="a", system="s").record_file == "a.separation.json"
    assert FileNameTemplate().names(STEMS, song="a", system="s").record_file == "separation.json"


@given(st.text(max_size=30), st.sampled_from(["{song}/{stem}", "{song}_{stem}", "x/{song}/{stem} {song}"]))
def test_no_name_of_a_song_leads_out_of_the_output_folder(song: str, template: str) -> None:
    parts = PurePosixPath(path(template, song)).parts
    assert ".." not in parts
    assert not PurePosixPath(path(template, song)).is_absolute()
    assert all("\0" not in part for part in parts)


def test_long_names_leave_room_for_stem_and_suffix_and_stay_apart() -> None:
    names = [path("{song}/{song} - {stem}", "ö" * 120 + ending).rpartition("/")[2] for ending in "ab"]
    assert len(set(names)) == 2
    assert max(len(name.encode()) for name in names) <= 200
