"""Progress of a run: estimates, bars in narrow terminals, lines elsewhere, quiet runs, the first line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from my_submission.audio_io import DEFAULT_READ_OPTIONS, SongInput
from my_submission.cli.expectation import HEADERS_SECONDS, durations_of, expectation
from my_submission.cli.options import TimeOptions
from my_submission.cli.progress import RunProgress
from my_submission.cli.run_meter import RunMeter
from my_submission.events import BlockWritten, Event, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.planning import Calibration
from my_submission.predictor import Predictor, load
from terminal.quantities import about, clock, counted, duration, either
from tests.audio_fixtures import noise, write_audio
from tests.rigs import FakeClock

RATE = 44_100
SONG = 100 * RATE


@pytest.fixture
def now() -> FakeClock:
    return FakeClock()


def events(now: FakeClock, *, slowness: float = 1.0, n_steps: int = 10) -> Iterator[Event]:
    """A song of two stages and the writing, planned for 10, 20 and 5 s, which take ``slowness`` times as long."""
    yield Planned({"first": 10.0, "second": 20.0}, writing_seconds=5.0)
    for name, seconds in (("first", 10.0), ("second", 20.0)):
        yield StageStarted(name, SONG)
        for step in range(1, n_steps + 1):
            now.pass_(slowness * seconds / n_steps)
            yield StageAdvanced(name, SONG * step // n_steps, SONG)
        yield StageFinished(name, slowness * seconds, SONG, SONG)
    for step in range(1, n_steps + 1):
        now.pass_(slowness * 5.0 / n_steps)
        yield BlockWritten(SONG * step // n_steps, SONG)


def test_time_left_of_a_song_is_that_of_all_its_work(now: FakeClock) -> None:
    """Reading took 2 s; the plan is 35 s, of which everything takes twice as long: 70 s after the plan."""
    meter = RunMeter([100.0], now)
    meter.begin_song()
    now.pass_(2.0)
    began = now()
    for event in events(now, slowness=2.0):
        state = meter.take(event)
        if state.song_left is not None:
            assert state.song_left == pytest.approx(70.0 - (now() - began))
            assert state.left == state.song_left
            assert state.speed == pytest.approx(100.0 / 72.0)
            assert state.share == pytest.approx((now() - began) / 70.0)
    assert meter.song_share == pytest.approx(1.0)


def test_time_left_of_a_run_counts_the_songs_to_come_by_their_length(now: FakeClock) -> None:
    """35 s for 100 s of music: the second and third song, of 200 and (unknown, so the mean) 150 s, take 122.5 s."""
    meter = RunMeter([100.0, 200.0, None], now)
    meter.begin_song()
    states = [meter.take(event) for event in events(now)]
    assert states[-1].left == pytest.approx(0.35 * 350.0)
    assert states[-1].share == pytest.approx(100 / 450)
    meter.end_song(is_separated=True)
    meter.end_song(is_separated=False)  # the second one is skipped
    meter.begin_song()
    state = meter.take(Planned({"first": 35.0}))
    assert (state.number, state.song_left, state.left) == (3, None, None)
    assert state.share == pytest.approx(300 / 450)


def test_a_budget_bounds_the_time_left_and_a_bar_never_goes_back(now: FakeClock) -> None:
    meter = RunMeter([100.0], now)
    meter.begin_song(budget_seconds=20.0)
    meter.take(Planned({"first": 30.0}))
    now.pass_(5.0)
    assert meter.take(StageAdvanced("first", SONG // 2, SONG)).song_left == pytest.approx(5.0)
    before = meter.song_share
    meter.take(StageStarted("not planned", SONG))  # the work turns out to be more
    assert meter.song_share == before
    now.pass_(14.0)
    assert meter.take(StageAdvanced("first", SONG * 6 // 10, SONG)).song_left == pytest.approx(1.0)


def drawn(width: int, now: FakeClock, durations: list[float | None]) -> list[list[str]]:
    """Every state of the bars of a run's first song, as lines of text."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    progress = RunProgress(durations, console=console, now=now)
    progress._begin("A song with a name that is rather long.flac", None)
    pictures = []
    for event in events(now):
        progress.show(event)
        paper = Console(file=io.StringIO(), width=width)
        paper.print(progress._bars.get_renderable())
        pictures.append(paper.file.getvalue().splitlines())  # type: ignore[attr-defined]
    return pictures


@pytest.mark.parametrize("width", [60, 80, 200])
def test_one_bar_per_song_and_one_for_the_run_fit_the_terminal(width: int, now: FakeClock) -> None:
    pictures = drawn(width, now, [100.0, 200.0, None])
    assert all(len(lines) == 2 for lines in pictures)
    assert all(len(line) <= width for lines in pictures for line in lines)
    song, run = pictures[17]  # 4 of 10 steps of the second stage: 18 of 35 s
    assert song.startswith("A song")
    assert re.search(r" second\b.* 51 % +2\.9 x +0:17 left$", song)
    assert re.fullmatch(r"song 1 of 3 .* 11 % +2:20 left", run)


def test_a_single_song_has_no_bar_for_the_run(now: FakeClock) -> None:
    assert {len(lines) for lines in drawn(60, now, [100.0])} == {1}


def run_in_a_pipe(now: FakeClock, *, slowness: float, is_quiet: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, soft_wrap=True, highlight=False, quiet=is_quiet)
    with RunProgress([100.0], console=console, now=now, is_quiet=is_quiet) as progress:
        progress.begin("Separating")
        progress._begin("song", None)
        for event in events(now, slowness=slowness, n_steps=1000):
            progress.show(event)
    return stream.getvalue()


def test_without_a_terminal_there_are_few_plain_lines(now: FakeClock) -> None:
    text = run_in_a_pipe(now, slowness=10.0)  # 350 s
    lines = text.splitlines()
    assert not set(text) & {"\x1b", "\r"}
    assert 8 <= len(lines) - 1 <= 10  # one for each tenth
    assert lines[1] == "song: 10%, first, 5 min 15 s left"
    assert len(run_in_a_pipe(now, slowness=1.0).splitlines()) - 1 == 3  # 35 s: not more than one in 10 s
    long = run_in_a_pipe(now, slowness=100.0).splitlines()  # 3500 s: a tenth takes 350 s
    assert 50 <= len(long) - 1 <= 60  # one a minute


def test_quiet_shows_nothing(now: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_a_pipe(now, slowness=10.0, is_quiet=True) == ""
    assert capsys.readouterr() == ("", "")


def test_no_color_and_dumb_terminals(now: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), force_terminal=True)
    assert RunProgress([1.0], console=console, now=now)._bars.disable
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60)
    with RunProgress([100.0], console=console, now=now) as progress:
        progress._begin("song", None)
        for event in events(now):
            progress.show(event)
        progress.notes(["a note"])
    assert not re.search(r"\x1b\[(3[0-7]|38|9[0-7])", stream.getvalue())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min"), (192, "3 min 12 s"), (3_900, "1 h 05 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"),
        (4.6, "about 5 s"),
        (24.6, "about 25 s"),
        (67.0, "about 1 min 05 s"),
        (251.0, "about 4 min 15 s"),
        (4_000.0, "about 1 h 05 min"),
        (50_000.0, "about 13 h 55 min"),
    ],
)
def test_estimates_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_durations_as_clock_times() -> None:
    assert [clock(seconds) for seconds in (-1, 12.4, 192, 3_912)] == ["0:00", "0:12", "3:12", "1:05:12"]


@pytest.fixture
def predictor(tiny_models: Path) -> Predictor:
    return load("starter", models_dir=tiny_models, device="cpu", threads=1)


def test_the_first_line_says_what_will_happen(predictor: Predictor) -> None:
    one, two = SongInput("one", Path("one.wav")), SongInput("two", Path("two.wav"))
    begin = "with starter on the CPU, 1 thread"
    usual = expectation([one, two], [100.0, 92.0], predictor, TimeOptions())
    assert re.fullmatch(rf"Separating 2 songs \(3 min 12 s\) {begin}: about \d+ s", usual)
    assert expectation([one], [None], predictor, TimeOptions()) == f"Separating one {begin}"
    limited = expectation([one], [100.0], predictor, TimeOptions(budget=240.0))
    assert limited == f"Separating one (1 min 40 s) {begin}: at most 4 min per song"
    pictures = expectation([one], [100.0], predictor, TimeOptions(budget_factor=2), draws_pictures=True)
    assert pictures.endswith("at most 2 x the length of each song, then its pictures")


def test_the_expected_time_is_what_a_song_took_before(predictor: Predictor, tmp_path: Path) -> None:

    predictor.calibration = Calibration()
    assert predictor.expected_seconds(100.0) == predictor.system.usual_seconds(100.0, 1)
    song = write_audio(tmp_path / "song.wav", noise(2, 16 * RATE))
    report = predictor.separate_file(song, tmp_path / "out")
    assert predictor.expected_seconds(32.0) == pytest.approx(2 * report.seconds, rel=0.05)
    short = write_audio(tmp_path / "short.wav", noise(2, RATE))
    predictor.separate_file(short, tmp_path / "short")  # says nothing about long songs
    assert predictor.expected_seconds(32.0) == pytest.approx(2 * report.seconds, rel=0.05)


def test_reading_lengths_leaves_the_time_to_the_first_song(tmp_path: Path, now: FakeClock) -> None:
    """A disk on which a header takes a third of the time for all headers: three are read."""
    song = write_audio(tmp_path / "song.wav", noise(2, RATE))

    def slow() -> float:
        now.pass_(HEADERS_SECONDS / 3)
        return now()

    assert durations_of([song] * 1000, DEFAULT_READ_OPTIONS, now=slow) == [1.0] * 2 + [None] * 998
    assert durations_of([song, None, tmp_path / "missing.wav"], DEFAULT_READ_OPTIONS) == [1.0, None, None]


def test_numbers_and_alternatives_are_words() -> None:
    assert [counted(number, "song") for number in (0, 1, 2, 1_000_000)] == [
        "0 songs",
        "1 song",
        "2 songs",
        "1000000 songs",
    ]
    assert [counted(number, "CPU") for number in (0.5, 1.0, 2.0)] == ["0.5 CPUs", "1 CPU", "2 CPUs"]
    assert [either(names) for names in (["a"], ["a", "b"], iter("abc"))] == ["a", "a or b", "a, b or c"]
