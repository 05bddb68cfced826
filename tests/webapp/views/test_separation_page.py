"""The page around the studio, without a browser: what starts, what is refused, and what a visitor sees listed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from my_submission.pictures import SongView
from my_submission.reports import SeparationReport
from my_submission.webapp import app as app_module
from my_submission.webapp.app import App, open_app
from my_submission.webapp.server import SCRIPT
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.views import separation_page
from my_submission.webapp.views.figures import cost_of, sum_of
from tests.audio_fixtures import noise, write_audio
from tests.rigs import report_of
from tests.webapp.rig import PATIENCE, RATE, VISIT, Gate, add, token

DROP = "take-sample"
"""Key of the button that takes a sample; the same follows as after an upload."""


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def place(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    sample = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    settings = PageSettings(sample_inputs=(sample,), scratch_dir=tmp_path / "scratch", max_waiting=1)
    made = open_app(settings, gate.load, default_system="fake")
    monkeypatch.setattr(separation_page, "current_visit", lambda: VISIT)
    yield made
    gate.opened.set()
    made.close()
    app_module._apps.clear()


@pytest.fixture
def page(place: App) -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE).run()


def labels(page: AppTest) -> list[str]:
    assert not page.exception
    return [button.label for button in page.button]


def test_a_dropped_song_starts_at_once_under_its_own_address(page: AppTest, place: App) -> None:
    assert [title.value for title in page.title] == ["Separate a song into stems"]
    assert any("stay on the server for one hour after you last used them" in text.value for text in page.markdown)
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert page.query_params["song"] == song.token
    assert labels(page) == ["Another song"]
    assert song.job is not None
    assert song.job.request.system == "starter-plus"
    assert song.job.request.stems == ("bass", "drums", "other", "vocals")
    assert song.job.state in {"waiting", "running"}


def test_the_switch_leaves_the_start_to_the_visitor(page: AppTest, place: App) -> None:
    page.toggle(key="start").set_value(False)
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is None
    assert labels(page) == ["Another song", "Separate"]
    page.button(key="separate").click().run()
    assert song.job is not None


def test_a_song_that_cannot_be_separated_is_refused_with_its_cure(page: AppTest, place: App, tmp_path: Path) -> None:
    write_audio(tmp_path / "sample.wav", noise(6, RATE))
    page.button(key=DROP).click().run()
    (error,) = page.error
    assert "6 channels where 1 or 2 are expected" in error.value
    assert str(tmp_path.name) not in error.value
    assert place.songs.of_visit(VISIT) == []
    assert "song" not in page.query_params
    assert not page.run().error, "it is told once"


def test_missing_weights_are_told_with_the_command(page: AppTest, place: App) -> None:
    page.selectbox(key="system").set_value(next(system for system, is_ready in place.systems() if not is_ready)).run()
    assert "fetch" in page.warning[0].value
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is None
    assert "weights" in page.error[0].value
    assert "fetch" in page.error[0].value


def test_a_full_queue_keeps_the_song(page: AppTest, place: App, gate: Gate) -> None:
    page.button(key=DROP).click().run()
    assert gate.reached.wait(PATIENCE)
    for _ in range(2):
        page.query_params.clear()
        page.run().button(key=DROP).click().run()
    assert "the queue is full" in page.error[0].value
    songs = place.songs.of_visit(VISIT)
    assert [song.job is None for song in songs] == [True, False, False]
    assert labels(page)[:2] == ["Another song", "Separate"]
    texts = [text.value for text in page.markdown]
    assert "waiting: 1 song ahead" in texts
    assert any(text.endswith("% separated") for text in texts)


def test_songs_of_the_visit_are_listed_opened_and_deleted(page: AppTest, place: App) -> None:
    add(place.songs, name="of another.wav", visit=token())
    first, second = add(place.songs, name="first.wav"), add(place.songs, name="second [1].wav")
    page.run()
    assert labels(page) == ["Use this sample", r"second \[1\]", "Delete", "first", "Delete"]
    page.button(key=f"open-{first.token}").click().run()
    assert page.query_params["song"] == first.token
    assert labels(page) == ["Another song", "Separate", r"second \[1\]", "Delete"]
    page.button(key=f"delete-{second.token}").click().run()
    assert place.songs.of_visit(VISIT) == [first]
    assert not second.files.folder.exists()
    page.button(key="another").click().run()
    assert "song" not in page.query_params
    assert labels(page) == ["Use this sample", "first", "Delete"]


def test_the_address_of_a_deleted_song_says_so(page: AppTest) -> None:
    page.query_params["song"] = token()
    page.run()
    assert page.info[0].value == "This song is not on the server: it was deleted, or not used for one hour."
    assert "Use this sample" in labels(page)


def test_the_address_of_a_song_opens_it_for_others_without_their_list(page: AppTest, place: App) -> None:
    song, other = (add(place.songs, name=name, visit=token()) for name in ("shared.wav", "private.wav"))
    page.query_params["song"] = song.token
    page.run()
    assert labels(page) == ["Another song", "Separate"]
    assert other.token not in str(page.main)


def test_a_reload_comes_back_to_the_song_running_or_done(page: AppTest, place: App, gate: Gate) -> None:
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is not None
    assert gate.reached.wait(PATIENCE)

    def reloaded() -> list[str]:
        again = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE)
        again.query_params["song"] = song.token
        return labels(again.run())

    assert reloaded() == ["Another song"]
    assert song.job.state == "running"
    gate.opened.set()
    assert place.queue.wait(song.job, PATIENCE)
    assert reloaded() == ["Another song", "Separate again"]


def test_an_open_page_keeps_no_song_alive(page: AppTest, place: App, gate: Gate) -> None:
    gate.opened.set()
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is not None
    assert place.queue.wait(song.job, PATIENCE)
    add(place.songs, name="other.wav")
    page.run()
    kept = [weakref.ref(each) for each in (song, song.files, song.files.result)]
    place.songs.remove(song)
    del song
    gc.collect()
    assert [each() for each in kept] == [None, None, None]


def test_a_done_song_can_be_separated_again(page: AppTest, place: App, gate: Gate) -> None:
    gate.opened.set()
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is not None
    assert place.queue.wait(song.job, PATIENCE)
    page.run()
    assert labels(page) == ["Another song", "Separate again"]
    assert [folded.label for folded in page.expander] == ["Technical details"]
    page.pills(key="stems-starter-plus").set_value(["vocals"])
    page.button(key="separate").click().run()
    assert place.queue.wait(song.job, PATIENCE)
    assert song.files.result is not None
    assert (song.files.result.version, list(song.files.result.stems)) == ("2", ["vocals"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3600, "one hour"),
        (7200, "2 hours"),
        (60, "one minute"),
        (5400, "90 minutes"),
        (45, "45.0 s"),
        (100, "1:40 min"),
    ],
)
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert separation_page._duration(seconds) == words


@pytest.mark.parametrize(
    ("facts", "residual", "words"),
    [
        ({}, -20.64, "The stems add up to the song with an error of −20.6 dB; lower is better."),
        ({}, float("-inf"), "The stems add up exactly to the song."),
        ({}, None, "The song is silent."),
        ({"stems_add_up": False}, None, "Only some stems were made, so they do not add up to the song."),
    ],
)
def test_the_sum_of_the_stems_in_words(facts: dict[str, bool], residual: float | None, words: str) -> None:
    assert sum_of(SongView((), residual), report_of(**facts)) == words


def test_the_cost_of_a_separation_in_words() -> None:
    report: SeparationReport = report_of()
    assert cost_of(report) == "Separated by s in 1.0 s, 0.0 × real time, at 44.1 kHz."


def test_figures_are_measured_only_when_they_are_opened(
    page: AppTest, place: App, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.opened.set()
    page.button(key=DROP).click().run()
    (song,) = place.songs.of_visit(VISIT)
    assert song.job is not None
    assert place.queue.wait(song.job, PATIENCE)
    result = song.files.result
    assert result is not None
    monkeypatch.setattr(result.measurements, "song", lambda: pytest.fail("measured"))
    assert not page.run().exception
