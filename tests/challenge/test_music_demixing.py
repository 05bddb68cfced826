"""The 2021 entry point: contract, limits, failures, scoring."""

from __future__ import annotations

import signal
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator.errors import DatasetError, EvaluationError, SongsFailedError, TimeLimitError
from evaluator.metrics import global_sdr
from evaluator.music_demixing import SOURCES, MusicDemixingPredictor
from evaluator.time_limit import time_limit

RATE = 44_100
VARIABLES = (
    "TEST_DATASET_PATH",
    "RESULTS_DATASET_PATH",
    "INFERENCE_SETUP_TIMEOUT_SECONDS",
    "INFERENCE_PER_MUSIC_TIMEOUT_SECONDS",
    "INFERENCE_PER_MUSIC_TIMEOUT_FACTOR",
    "PARTIAL_RUN_MUSIC_NAMES",
    "AICROWD_IS_GRADING",
    "PREDICTIONS_OUTPUT_PATH",
)


class QuarterMixture(MusicDemixingPredictor):
    """Writes a quarter of the mixture as every stem; fails, stalls or forgets where the song's name says so."""

    def prediction_setup(self) -> None:
        self.was_set_up = True

    def prediction(
        self,
        mixture_file_path: str,
        bass_file_path: str,
        drums_file_path: str,
        other_file_path: str,
        vocals_file_path: str,
    ) -> None:
        assert self.was_set_up
        if "broken" in mixture_file_path:
            raise RuntimeError("the network fell over")
        if "endless" in mixture_file_path:
            threading.Event().wait(30)
        audio, rate = soundfile.read(mixture_file_path, dtype="float32")
        stems = [bass_file_path, drums_file_path, other_file_path, vocals_file_path]
        for path in stems[:-1] if "forgetful" in mixture_file_path else stems:
            soundfile.write(path, audio / 4, rate)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def write_song(folder: Path, *, with_stems: bool = True, seconds: float = 0.2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(sum(folder.name.encode()))
    stems = {name: 0.1 * rng.standard_normal((int(seconds * RATE), 2)) for name in SOURCES}
    folder.mkdir(parents=True)
    soundfile.write(folder / "mixture.wav", sum(stems.values()), RATE)
    if with_stems:
        for name, audio in stems.items():
            soundfile.write(folder / f"{name}.wav", audio, RATE)
    return stems


def test_defaults_are_the_challenges(tmp_path: Path) -> None:
    predictor = MusicDemixingPredictor()
    assert predictor.test_data_path == tmp_path / "data" / "test"
    assert predictor.results_data_path == tmp_path / "data" / "results"
    assert predictor.inference_setup_timeout == 900
    assert predictor.inference_per_music_timeout == 240
    assert predictor.inference_per_music_timeout_factor is None
    assert predictor.partial_run is None


def test_environment_and_model_name_are_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_DATASET_PATH", str(tmp_path / "songs"))
    monkeypatch.setenv("RESULTS_DATASET_PATH", str(tmp_path / "out"))
    monkeypatch.setenv("INFERENCE_SETUP_TIMEOUT_SECONDS", "12")
    monkeypatch.setenv("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS", "3.5")
    predictor = MusicDemixingPredictor("blend a")
    assert predictor.test_data_path == tmp_path / "songs"
    assert predictor.results_data_path == tmp_path / "out" / "blend a"
    assert predictor.inference_setup_timeout == 12
    assert predictor.inference_per_music_timeout == 3.5


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS", text)
    with pytest.raises(EvaluationError, match="INFERENCE_PER_MUSIC_TIMEOUT_SECONDS"):
        MusicDemixingPredictor()


def test_run_writes_four_stems_a_song_and_scores_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b song", "á song"):
        write_song(tmp_path / "data" / "test" / name)
    write_song(tmp_path / "data" / "test" / "no stems", with_stems=False)
    predictor = QuarterMixture()
    predictor.run()
    for name in ("b song", "á song", "no stems"):
        assert sorted(p.name for p in (tmp_path / "data" / "results" / name).iterdir()) == [
            f"{source}.wav" for source in SOURCES
        ]
    scores = predictor.scoring()
    assert set(scores) == {"b song", "á song"}
    reference, _ = soundfile.read(tmp_path / "data" / "test" / "b song" / "drums.wav", dtype="float32")
    estimate, _ = soundfile.read(tmp_path / "data" / "results" / "b song" / "drums.wav", dtype="float32")
    assert abs(scores["b song"]["drums"] - global_sdr(reference, estimate)) < 1e-9
    assert abs(scores["b song"]["song"] - np.mean([scores["b song"][source] for source in SOURCES])) < 1e-9
    printed = capsys.readouterr().out
    assert "mean of 2 songs (global SDR)" in printed
    assert "no stems: no reference stems" in printed


def test_a_failing_song_costs_itself_only(tmp_path: Path) -> None:
    for name in ("a", "broken", "forgetful", "z"):
        write_song(tmp_path / "data" / "test" / name)
    with pytest.raises(SongsFailedError, match="2 of 4 songs failed") as caught:
        QuarterMixture().run()
    assert set(caught.value.failures) == {"broken", "forgetful"}
    assert "the network fell over" in caught.value.failures["broken"]
    assert "no vocals written" in caught.value.failures["forgetful"]
    assert caught.value.n_done == 2
    for name in ("a", "z"):
        assert (tmp_path / "data" / "results" / name / "vocals.wav").is_file()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no SIGALRM on this platform")
def test_a_song_over_its_time_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS", "0.5")
    for name in ("endless", "quick"):
        write_song(tmp_path / "data" / "test" / name, seconds=0.01)
    with pytest.raises(SongsFailedError, match=r"endless: TimeLimitError.*0\.5 s") as caught:
        QuarterMixture().run()
    assert caught.value.n_done == 1


def test_limit_as_a_multiple_of_the_duration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCE_PER_MUSIC_TIMEOUT_FACTOR", "1.57")
    write_song(tmp_path / "data" / "test" / "song", seconds=2.0)
    assert abs(QuarterMixture()._song_limit("song") - 3.14) < 1e-9


def test_without_an_alarm_the_limit_is_judged_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.delattr(signal, "setitimer")
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with time_limit(5, what="work"):
        now[0] = 5.0
    with pytest.raises(TimeLimitError, match="work took longer than the 5 s"), time_limit(5, what="work"):
        now[0] = 11.0


def test_off_the_main_thread_there_is_no_alarm(tmp_path: Path) -> None:
    write_song(tmp_path / "data" / "test" / "song")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            QuarterMixture().run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no SIGALRM on this platform")
def test_limits_nest_and_leave_handler_and_timer_as_they_were() -> None:
    handler, (timer, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    with time_limit(60, what="outer"):
        with time_limit(30, what="inner"):
            pass
        assert 30 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    assert signal.getsignal(signal.SIGALRM) is handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer > 0)


def test_partial_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_song(tmp_path / "data" / "test" / name)
    monkeypatch.setenv("PARTIAL_RUN_MUSIC_NAMES", "c, a")
    predictor = QuarterMixture()
    predictor.run()
    assert sorted(p.name for p in (tmp_path / "data" / "results").iterdir()) == ["a", "c"]
    monkeypatch.setenv("PARTIAL_RUN_MUSIC_NAMES", "a,nothing")
    with pytest.raises(DatasetError, match="nothing"):
        QuarterMixture().run()


def test_no_folder_and_no_songs(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="TEST_DATASET_PATH"):
        MusicDemixingPredictor().get_all_music_names()
    (tmp_path / "data" / "test").mkdir(parents=True)
    (tmp_path / "data" / "test" / "readme.txt").write_text("not a song")
    with pytest.raises(DatasetError, match=r"mixture\.wav"):
        MusicDemixingPredictor().get_all_music_names()


def test_scoring_refuses_a_stem_of_another_length(tmp_path: Path) -> None:
    write_song(tmp_path / "data" / "test" / "song")
    predictor = QuarterMixture()
    predictor.run()
    soundfile.write(predictor.get_music_file_location("song", "bass"), np.zeros((9, 2)), RATE)
    with pytest.raises(DatasetError, match=r"bass\.wav.*9, 2, 44100"):
        predictor.scoring()


class FakeEvents:
    AICROWD_EVENT_INFO = "info"
    AICROWD_EVENT_ERROR = "error"
    seen: list[tuple[str, str]]

    def register_event(self, event_type: str, message: str, payload: dict[str, object]) -> None:
        type(self).seen.append((event_type, message))


def test_grader_is_told_only_while_grading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeEvents.seen = []
    client = types.ModuleType("aicrowd_api.events")
    client.AIcrowdEvents = FakeEvents  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aicrowd_api", types.ModuleType("aicrowd_api"))
    monkeypatch.setitem(sys.modules, "aicrowd_api.events", client)
    write_song(tmp_path / "data" / "test" / "song")
    QuarterMixture().run()
    assert FakeEvents.seen == []
    monkeypatch.setenv("AICROWD_IS_GRADING", "True")
    monkeypatch.setenv("PREDICTIONS_OUTPUT_PATH", str(tmp_path / "graded"))
    QuarterMixture().run()
    assert FakeEvents.seen == [
        ("info", "execution_started"),
        ("info", "execution_progress"),
        ("info", "execution_success"),
    ]
    assert (tmp_path / "graded" / "song" / "bass.wav").is_file()
    write_song(tmp_path / "data" / "test" / "broken")
    with pytest.raises(SongsFailedError):
        QuarterMixture().run()
    assert FakeEvents.seen[-1] == ("error", "execution_error")


def test_grading_without_the_client_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AICROWD_IS_GRADING", "True")
    write_song(tmp_path / "data" / "test" / "song")
    QuarterMixture().run()


def test_base_class_does_nothing_by_itself(tmp_path: Path) -> None:
    write_song(tmp_path / "data" / "test" / "song")
    with pytest.raises(NotImplementedError):
        MusicDemixingPredictor().run()
