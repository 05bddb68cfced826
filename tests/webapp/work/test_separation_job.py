"""Separations of the page: results that grow, previews, stops, failures and limits."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.errors import MdxError, OutputError, WeightsError
from my_submission.events import StretchDone
from my_submission.predictor import Predictor
from my_submission.reports import NOT_SEPARATED
from my_submission.stems import Waveform
from my_submission.webapp.songs.song_library import SongLibrary
from my_submission.webapp.work import tracks
from my_submission.webapp.work.job_queue import JobQueue
from my_submission.webapp.work.separation_job import SeparationJob, SeparationRequest
from my_submission.webapp.work.song_result import SongResult
from tests.audio_fixtures import noise
from tests.rigs import GAINS, FakeClock, scaling, two_branches
from tests.webapp.rig import (
    PATIENCE,
    RATE,
    REQUEST,
    SHARES,
    SOURCES,
    Gate,
    add,
    load,
    predictor_of,
    queue_of,
    separated,
    submit,
    until,
    wav_of,
    wave,
)

SECONDS = 25
STRETCH = 5 * RATE


def shown(library: SongLibrary) -> SongResult:
    (song,) = library._songs.values()
    assert song.files.result is not None
    return song.files.result


def read(result: SongResult, name: str, start: int = 0, stop: int | None = None) -> Waveform:
    return result.tracks[name].read(start, result.playable_samples(name) if stop is None else stop)


def peaks(result: SongResult, name: str) -> np.ndarray:
    return np.frombuffer(result.tracks[name].peaks.read(0), "<i2").reshape(-1, 2)


def expected_peaks(samples: Waveform, *, is_whole: bool = True) -> np.ndarray:
    length = samples.shape[1] if is_whole else samples.shape[1] - samples.shape[1] % 256
    bins = [samples[:, start : start + 256] for start in range(0, length, 256)]
    pairs = np.array([[each.min(), each.max()] for each in bins])
    return np.clip(np.rint(pairs * 16_384), -32_768, 32_767)


def test_a_song_becomes_tracks_with_peaks_and_files(library: SongLibrary, queue: JobQueue) -> None:
    mixture = noise(2, RATE, level=0.6)  # some samples are beyond full scale
    song = add(library, wav_of(mixture))
    job = separated(queue, song, SeparationRequest("fake", ("vocals", "bass")))
    assert (job.state, job.message, job.share) == ("done", "", 1.0)
    result = shown(library)
    assert (result.is_complete, result.is_over, result.is_separated, result.is_preview) == (True, True, True, False)
    assert list(result.tracks) == ["mixture", "vocals", "bass"]
    assert result.ready_samples == result.samples == RATE
    np.testing.assert_array_equal(read(result, "mixture"), mixture)
    vocals = read(result, "vocals")
    np.testing.assert_allclose(vocals, SHARES["vocals"] * mixture, atol=1e-6)
    for name, samples in (("mixture", mixture), ("vocals", vocals)):
        assert np.abs(peaks(result, name) - expected_peaks(samples)).max() <= 1
    assert result.tracks["mixture"].peaks.clipped_samples == np.count_nonzero(np.abs(mixture) > 1)
    names = sorted(path.name for path in result.stems_folder.iterdir())
    assert names == ["bass.wav", "separation.json", "vocals.wav"]
    assert result.record is not None
    assert result.record["song"] == "song"
    stored, _ = soundfile.read(result.stem_files["vocals"], dtype="float32")
    np.testing.assert_array_equal(stored.T, vocals)


@pytest.mark.parametrize("rate", [8_000, 32_000, 48_000, 96_000])
@pytest.mark.parametrize("stems", [SOURCES, ("vocals", "instrumental")])
def test_songs_of_any_rate_are_whole(
    library: SongLibrary, queue: JobQueue, rate: int, stems: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stretches emitted during the work have the samples of the files that the predictor wrote."""
    handed_out: dict[str, list[Waveform]] = {name: [] for name in stems}
    append = SongResult.append

    def note(result: SongResult, stretch: StretchDone) -> None:
        for name, block in stretch.stems.items():
            handed_out[name].append(block)
        append(result, stretch)

    monkeypatch.setattr(SongResult, "append", note)
    job = separated(queue, add(library, wave(7.0, rate=rate)), SeparationRequest("fake", stems))
    result = shown(library)
    assert (job.state, result.sample_rate, result.ready_samples) == ("done", rate, 7 * rate)
    for name in stems:
        np.testing.assert_array_equal(read(result, name), np.concatenate(handed_out[name], axis=1))
        assert len(peaks(result, name)) == -(-7 * rate // 256)


def half_separated(library: SongLibrary, mixture: np.ndarray) -> tuple[Gate, JobQueue, SeparationJob]:
    """A job that is held after some stretches of its song, with its queue and the gate that lets it go on."""
    gate = Gate(n_runs=int(0.6 * SECONDS * RATE / 4_096))
    queue = queue_of(gate.load)
    song = add(library, wav_of(mixture))
    job = submit(queue, song)
    assert gate.reached.wait(PATIENCE)
    until(lambda: song.files.result is not None and song.files.result.ready_samples)
    return gate, queue, job


def test_stretches_are_readable_while_the_work_goes_on(library: SongLibrary) -> None:
    """The samples that are ready early are the samples of the whole separation."""
    mixture = noise(2, SECONDS * RATE)
    gate, queue, job = half_separated(library, mixture)
    result = shown(library)
    ready = result.ready_samples
    assert job.state == "running"
    assert ready % STRETCH == 0
    assert 0 < ready < SECONDS * RATE
    assert (result.is_over, result.stem_files) == (False, {})
    assert result.playable_samples("mixture") == SECONDS * RATE
    early = {name: read(result, name) for name in SOURCES}
    for name, samples in early.items():
        np.testing.assert_allclose(samples, SHARES[name] * mixture[:, :ready], atol=1e-6)
        found = peaks(result, name)
        assert len(found) >= ready // 256
        expected = expected_peaks(samples, is_whole=False)
        assert np.abs(found[: len(expected)] - expected).max() <= 1
    gate.opened.set()
    assert queue.wait(job, PATIENCE)
    assert job.state == "done"
    for name, samples in early.items():
        np.testing.assert_array_equal(read(result, name, 0, ready), samples)
    queue.close()


def test_stop_answers_at_once_and_keeps_the_separated_part(library: SongLibrary) -> None:
    mixture = noise(2, SECONDS * RATE)
    gate, queue, job = half_separated(library, mixture)
    job.stop()
    assert job.state == "stopping"
    gate.opened.set()
    assert queue.wait(job, PATIENCE)
    result = shown(library)
    assert (job.state, job.message) == ("stopped", "")
    assert (result.is_over, result.is_complete) == (True, False)
    ready = result.ready_samples
    assert STRETCH <= ready < SECONDS * RATE
    for name, path in result.stem_files.items():
        stored, rate = soundfile.read(path, dtype="float32")
        assert (stored.shape, rate) == ((ready, 2), RATE)
        np.testing.assert_allclose(stored.T, SHARES[name] * mixture[:, :ready], atol=1e-6)
        np.testing.assert_array_equal(read(result, name), stored.T)
        assert len(peaks(result, name)) == -(-ready // 256), "the last, shorter bin is there"
    queue.close()


def test_a_song_stopped_before_the_first_stretch_has_its_mixture(library: SongLibrary) -> None:
    gate = Gate()
    queue = queue_of(gate.load)
    job = submit(queue, add(library))
    assert gate.reached.wait(PATIENCE)
    job.stop()
    gate.opened.set()
    assert queue.wait(job, PATIENCE)
    result = shown(library)
    assert (job.state, list(result.tracks), result.ready_samples) == ("stopped", ["mixture"], 0)
    assert read(result, "mixture").shape == (2, RATE)
    queue.close()


def test_a_failed_separation_keeps_the_separated_part(library: SongLibrary) -> None:
    runs = []

    def fail(n: int) -> None:
        runs.append(n)
        if len(runs) > 0.6 * SECONDS * RATE / 4_096:
            raise MdxError("the network broke", hint="mend it")

    def broken(name: str, stems: tuple[str, ...]) -> Predictor:
        return predictor_of(two_branches(engines={"vocals": scaling(GAINS["vocals"], fail)}), name, stems)

    queue = queue_of(broken)
    job = separated(queue, add(library, wave(SECONDS)))
    result = shown(library)
    assert (job.state, job.message) == ("failed", "the network broke. Mend it.")
    assert STRETCH <= result.ready_samples < SECONDS * RATE
    assert set(result.stem_files) == set(SOURCES)
    queue.close()


def test_a_preview_comes_first_and_is_replaced(library: SongLibrary) -> None:
    reached, opened = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        reached.set()
        assert opened.wait(PATIENCE)

    def load_either(name: str, stems: tuple[str, ...]) -> Predictor:
        if name == "fake":
            return load(name, stems)
        return predictor_of(two_branches(engines={"bass": scaling(0.9, wait)}), name, stems)

    queue = queue_of(load_either)
    song = add(library)
    job = submit(queue, song, SeparationRequest("heavy", SOURCES))
    assert reached.wait(PATIENCE)
    preview = shown(library)
    assert (preview.version, preview.system, preview.is_preview, preview.is_complete) == ("1", "fake", True, True)
    assert set(preview.stem_files) == set(SOURCES)
    assert (job.state, job.left_seconds) != ("done", 0)
    opened.set()
    assert queue.wait(job, PATIENCE)
    result = shown(library)
    assert (result.version, result.system, result.is_preview, result.is_complete) == ("2", "heavy", False, True)
    assert not preview.folder.exists()
    expected = (0.9 + 0.08) / 2 * read(result, "mixture")
    np.testing.assert_allclose(read(result, "bass"), expected, atol=1e-6)
    queue.close()


def test_a_preview_is_heard_before_a_large_system_is_loaded(library: SongLibrary) -> None:
    loaded, ready = [], []

    def load_either(name: str, stems: tuple[str, ...]) -> Predictor:
        loaded.append(name)
        ready.append(song.files.result.is_complete if song.files.result else False)
        return load(name, stems)

    song = add(library)
    for system, order in (("heavy", ["fake", "heavy"]), ("small", ["small"])):
        loaded.clear()
        ready.clear()
        song.files.result = None
        queue = queue_of(load_either)
        assert separated(queue, song, SeparationRequest(system, SOURCES)).state == "done"
        assert loaded == order
        assert ready == [False, True][: len(order)]
        queue.close()


@pytest.mark.parametrize("is_stopped", [True, False])
def test_the_preview_stays_where_the_chosen_system_does_not_end(library: SongLibrary, is_stopped: bool) -> None:
    def end(_: int) -> None:
        if not is_stopped:
            raise MdxError("the network broke", hint="mend it")
        job.stop()

    def load_either(name: str, stems: tuple[str, ...]) -> Predictor:
        engines = {} if name == "fake" else {"bass": scaling(0.9, end)}
        return predictor_of(two_branches(engines=engines), name, stems)

    queue = queue_of(load_either)
    song = add(library)
    job = submit(queue, song, SeparationRequest("heavy", SOURCES))
    assert queue.wait(job, PATIENCE)
    assert job.state == ("stopped" if is_stopped else "failed")
    result = shown(library)
    assert (result.version, result.is_preview, result.is_complete) == ("1", True, True)
    assert [path.name for path in song.files.folder.glob("result-*")] == ["result-1"]
    queue.close()


def test_a_missing_preview_is_told_and_the_song_is_separated(library: SongLibrary) -> None:
    def load_heavy(name: str, stems: tuple[str, ...]) -> Predictor:
        if name == "fake":
            raise WeightsError("its weights are missing", hint="fetch them")
        return load(name, stems)

    queue = queue_of(load_heavy)
    job = separated(queue, add(library), SeparationRequest("heavy", SOURCES))
    assert job.state == "done"
    assert any("there is no preview: its weights are missing" in note for note in job.notes)
    assert (shown(library).system, shown(library).is_complete) == ("heavy", True)
    queue.close()


def test_another_separation_replaces_the_result_when_it_is_complete(library: SongLibrary, queue: JobQueue) -> None:
    song = add(library)
    separated(queue, song)
    first = shown(library)
    reads = song.files.mixture
    separated(queue, song, SeparationRequest("fake", ("vocals",)))
    second = shown(library)
    assert (first.version, second.version, list(second.tracks)) == ("1", "2", ["mixture", "vocals"])
    assert song.files.mixture is reads, "the song is not decoded again"
    assert not first.folder.exists()


def test_too_little_time_is_told_instead_of_quarters_of_the_mixture(library: SongLibrary) -> None:
    clock = FakeClock()

    def slow(name: str, stems: tuple[str, ...]) -> Predictor:
        system = two_branches(clock=clock, chunk_seconds=100.0, segment_seconds=100.0)
        predictor = predictor_of(system, name, stems)
        predictor._clock = clock
        return predictor

    queue = queue_of(slow)
    job = separated(queue, add(library), SeparationRequest("fake", SOURCES, 0.001))
    result = shown(library)
    assert job.state == "done"
    assert job.message == f"{NOT_SEPARATED}. Raise or remove the time limit, or choose a faster system."
    assert (result.is_separated, list(result.tracks), result.stem_files) == (False, ["mixture"], {})
    queue.close()


def test_too_little_time_does_not_replace_an_earlier_result(library: SongLibrary) -> None:
    clock = FakeClock()

    def slow(name: str, stems: tuple[str, ...]) -> Predictor:
        seconds = 0.0 if name == "fake" else 100.0
        system = two_branches(clock=clock, chunk_seconds=seconds, segment_seconds=seconds)
        predictor = predictor_of(system, name, stems)
        predictor._clock = clock
        return predictor

    queue = queue_of(slow)
    song = add(library)
    separated(queue, song)
    job = separated(queue, song, SeparationRequest("slow", SOURCES, 0.001))
    assert job.message.startswith(NOT_SEPARATED)
    assert (shown(library).version, set(shown(library).stems)) == ("1", set(SOURCES))
    assert [path.name for path in song.files.folder.glob("result-*")] == ["result-1"]
    queue.close()


def test_a_full_disk_is_told_without_places_on_the_server(
    library: SongLibrary, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OutputError("no scratch file of 9 bytes can be kept here", where=library.folder, hint="free 9 bytes")

    monkeypatch.setattr(tracks, "DiskStore", fail)
    job = separated(queue, add(library))
    assert job.state == "failed"
    assert job.message == (
        "The server cannot store the stems: no scratch file of 9 bytes can be kept here. Try again later."
    )


def test_with_a_time_limit_stems_appear_when_they_are_complete(library: SongLibrary, queue: JobQueue) -> None:
    job = separated(queue, add(library), SeparationRequest("fake", SOURCES, 600.0))
    result = shown(library)
    assert (job.state, result.is_live, result.is_complete, result.ready_samples) == ("done", False, True, RATE)


def test_two_songs_come_from_one_loaded_system(library: SongLibrary) -> None:
    loaded = []

    def load_and_count(name: str, stems: tuple[str, ...]) -> Predictor:
        loaded.append((name, stems))
        return load(name, stems)

    queue = queue_of(load_and_count)
    queue.prepare("fake", SOURCES)
    for seconds in (1.0, 0.5):
        song = add(library, wave(seconds, seed=7))
        assert separated(queue, song).state == "done"
        assert song.files.result is not None
        assert soundfile.info(song.files.result.stem_files["drums"]).duration == seconds
    separated(queue, add(library), SeparationRequest("heavy", SOURCES))
    separated(queue, add(library))
    assert loaded == [("fake", SOURCES), ("heavy", SOURCES)]
    queue.close()


def test_the_queue_counts_stops_and_refuses(library: SongLibrary) -> None:
    gate = Gate()
    queue = queue_of(gate.load, max_waiting=2)
    running = submit(queue, add(library))
    assert gate.reached.wait(PATIENCE)
    second, third = (submit(queue, add(library)) for _ in range(2))
    assert [queue.n_ahead(job) for job in (running, second, third)] == [0, 1, 2]
    with pytest.raises(MdxError, match="2 songs are waiting"):
        submit(queue, add(library))
    second.stop()
    assert (second.state, queue.n_ahead(third)) == ("stopped", 1)
    running.stop()
    gate.opened.set()
    for job, state in ((running, "stopped"), (third, "done")):
        assert queue.wait(job, PATIENCE)
        assert job.state == state
    queue.close()


def test_failures_are_told_without_places_on_the_server(library: SongLibrary) -> None:
    def fail(name: str, stems: tuple[str, ...]) -> Predictor:
        raise RuntimeError("a bug")

    queue = queue_of(fail)
    song = add(library)
    assert separated(queue, song).message.startswith("Internal error")
    queue.close()
    queue = queue_of(load, max_seconds=0.5)
    job = separated(queue, add(library))
    assert (job.state, job.message.partition(": ")[0]) == ("failed", "song")
    assert str(library.folder) not in job.message
    queue.close()


def test_a_song_that_is_damaged_inside_fails_with_its_name(
    library: SongLibrary, queue: JobQueue, tmp_path: Path
) -> None:
    samples = noise(2, RATE)
    samples[:, 20_000] = np.nan
    job = separated(queue, add(library, wav_of(samples), "nan.wav"))
    assert job.state == "failed"
    assert job.message.startswith("nan: ")


def test_a_closed_queue_stops_its_jobs(library: SongLibrary) -> None:
    gate = Gate()
    queue = queue_of(gate.load)
    running, waiting = submit(queue, add(library)), submit(queue, add(library))
    assert gate.reached.wait(PATIENCE)
    queue.close()
    gate.opened.set()
    assert queue.wait(running, PATIENCE)
    assert (running.state, waiting.state) == ("stopped", "stopped")
    assert REQUEST.budget_seconds is None
