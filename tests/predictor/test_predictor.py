"""The predictor around fake engines: blending, deadlines with an injected clock, files, reports, events."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import WAV_16, WAV_FLOAT, AudioFormat
from my_submission.audio_io.writing.stem_sets import RECORD_SCHEMA
from my_submission.budget import Budget
from my_submission.errors import InputError, OutputError
from my_submission.events import BlockWritten, Finished, Note, Planned, StageAdvanced, StageFinished, StageStarted
from my_submission.files.hashing import sha256_of_document
from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import Mixer
from my_submission.planning import Calibration, Cost, CostModel
from my_submission.predictor import Predictor, load
from my_submission.predictor.separation_record import RecordRequest, StemRecipe
from my_submission.predictor.write_cost import DOUBTFUL_SHARE, ENCODING_SECONDS, FINISH_MARGIN, WriteCost, cost_kind
from my_submission.reports import NOT_SEPARATED
from my_submission.stems import MUSIC_SOURCES
from tests.rigs import CHUNKING, GAINS, SEGMENTS, WAVEFORM_GAINS, FakeClock, two_branches

SAMPLES = 50_000
N_CHUNKS = CHUNKING.count(SAMPLES)
N_SEGMENTS = len(SEGMENTS.offsets(SAMPLES))


def song(samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((2, samples))).astype(np.float32)


def ideal(source: str) -> float:
    return 0.5 * GAINS[source] + 0.5 * WAVEFORM_GAINS[source]


def test_full_plan_blends_by_share() -> None:
    """Every source is the mean of both branches; float32 rounding only (1e-6)."""
    mixture = song()
    stems = Predictor(two_branches()).separate(mixture)
    assert tuple(stems) == MUSIC_SOURCES
    for source, stem in stems.items():
        np.testing.assert_allclose(stem, ideal(source) * mixture, atol=1e-6)


def test_mixer_is_applied_between_networks_and_refinement() -> None:
    mixture = song()
    matrix = np.zeros((8, 10), np.float32)
    matrix[0, 8] = matrix[1, 9] = 1.0  # bass becomes the mixture, everything else silence
    stems = Predictor(two_branches(mixer=Mixer(matrix))).separate(mixture)
    np.testing.assert_allclose(stems["bass"], (0.5 + 0.5 * WAVEFORM_GAINS["bass"]) * mixture, atol=1e-6)
    np.testing.assert_allclose(stems["drums"], 0.5 * WAVEFORM_GAINS["drums"] * mixture, atol=1e-6)


def test_identity_mixer_changes_nothing() -> None:
    mixture = song()
    plain = Predictor(two_branches()).separate(mixture)
    mixed = Predictor(two_branches(mixer=Mixer(np.eye(8, 10)))).separate(mixture)
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(plain[source], mixed[source])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_deadline_is_kept_with_complete_stems(share: float) -> None:
    """Whatever the budget, the work ends before it and four full-length, gapless stems are there."""
    chunk, segment = 1.0, 4.0
    full = 4 * N_CHUNKS * chunk + N_SEGMENTS * segment
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, chunk_seconds=chunk, segment_seconds=segment), clock=clock)
    mixture = song()
    stems = predictor.separate(mixture, budget_seconds=share * full)
    assert clock.now <= share * full
    for source in MUSIC_SOURCES:
        assert stems[source].shape == mixture.shape
        loud = np.abs(mixture) > 0.05
        assert (np.abs(stems[source][loud]) > 0).all(), f"{source} has a gap"


def test_more_time_is_never_worse() -> None:
    """Error against the full plan's output does not rise with the budget."""
    mixture, errors = song(), []
    for seconds in (5.0, 30.0, 60.0, 90.0, 120.0, 200.0, 1000.0):
        clock = FakeClock()
        predictor = Predictor(two_branches(clock=clock, chunk_seconds=1.0, segment_seconds=4.0), clock=clock)
        stems = predictor.separate(mixture, budget_seconds=seconds)
        errors.append(sum(float(np.sum((stems[s] - ideal(s) * mixture) ** 2)) for s in MUSIC_SOURCES))
    floored = [max(error, 1e-9 * errors[0]) for error in errors]  # below lies rounding
    assert floored == sorted(floored, reverse=True)
    assert errors[-1] < 1e-9 * errors[0]


def test_refinement_that_stops_fades_out_without_a_step() -> None:
    """A constant mixture must give stems whose neighbouring samples never jump."""
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, segment_seconds=10.0), clock=clock)
    stems = predictor.separate(np.ones((2, SAMPLES), np.float32), budget_seconds=35.0, refine=False)
    refined = stems["vocals"][0]
    assert refined[0] == pytest.approx(ideal("vocals"), abs=1e-5)
    assert refined[-1] == pytest.approx(GAINS["vocals"], abs=1e-5)
    assert np.abs(np.diff(refined[100:-100])).max() < 1e-3


def test_no_time_at_all_shares_the_mixture_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, chunk_seconds=1.0), clock=clock)
    mixture = song()
    stems = predictor.separate(mixture, budget_seconds=0.0)
    for stem in stems.values():
        np.testing.assert_allclose(stem, mixture / 4, atol=1e-6)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [NOT_SEPARATED]


@pytest.mark.parametrize(
    ("spent", "budget", "shares"),
    [
        (0.0, None, {"bass": 1.0, "drums": 1.0, "other": 1.0, "vocals": 1.0}),
        (2.5, 2.0, {"bass": 0.0, "drums": 0.0, "other": 0.0, "vocals": 0.0}),
        (0.0, 2.5 * N_CHUNKS, {"bass": 1.0, "drums": 1.0, "other": 0.4, "vocals": 0.0}),
    ],
)
def test_a_report_says_how_much_was_estimated_and_how_late_it_is(
    tmp_path: Path, spent: float, budget: float | None, shares: dict[str, float]
) -> None:
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, chunk_seconds=1.0, segment_seconds=50.0), clock=clock)
    soundfile.write(tmp_path / "song.wav", song().T, SAMPLE_RATE)
    report = predictor.separate_file(tmp_path / "song.wav", tmp_path, budget_seconds=budget, spent_seconds=spent)
    plain = report.as_json()
    late = 0.0 if budget is None else max(0.0, spent + clock.now - budget)
    assert plain["separated"] == report.is_separated == (max(shares.values()) > 0)
    assert plain["separated_shares"] == pytest.approx(shares, abs=0.1)
    assert plain["late_by_seconds"] == pytest.approx(late)
    texts = ([] if report.is_separated else [NOT_SEPARATED]) + ([f"late by {late:.3f} s"] if late else [])
    assert list(report.warnings()) == texts


def test_the_start_of_the_process_is_not_writing(tmp_path: Path) -> None:
    """It counts in the time limit, but neither as writing nor in the cost of a song."""
    clock, mixture = FakeClock(), np.tile(song(), 16)
    soundfile.write(tmp_path / "song.wav", mixture.T, SAMPLE_RATE)
    predictor = Predictor(two_branches(clock=clock, chunk_seconds=0.01), clock=clock)
    report = predictor.separate_file(tmp_path / "song.wav", tmp_path, spent_seconds=30.0)
    worked = sum(part.seconds for part in report.parts)
    assert (report.startup_seconds, report.writing_seconds) == (30.0, pytest.approx(0.0))
    assert report.seconds == pytest.approx(30.0 + worked)
    assert predictor.expected_seconds(mixture.shape[-1] / SAMPLE_RATE) == pytest.approx(worked)
    clock.pass_(5.0)  # the files are moved
    ended = report.ended(Budget(100.0, clock, clock() - report.seconds - 5.0))
    assert ended.writing_seconds == pytest.approx(5.0)
    assert ended.seconds == pytest.approx(report.seconds + 5.0)


def test_time_that_ends_inside_the_networks_keeps_the_sum() -> None:
    """What no network reached is shared out so that the stems still add up to the mixture there."""
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, chunk_seconds=1.0, segment_seconds=50.0), clock=clock)
    mixture = song()
    stems = predictor.separate(mixture, budget_seconds=2.5 * N_CHUNKS)
    np.testing.assert_allclose(stems["bass"], GAINS["bass"] * mixture, atol=1e-6)
    difference = np.abs(sum(stems.values()) - mixture)
    assert difference.max() < 0.01  # where one way fades into the other
    assert np.mean(difference > 1e-5) < 0.1


def test_events_tell_the_whole_story() -> None:
    clock = FakeClock()
    predictor = Predictor(two_branches(clock=clock, segment_seconds=10.0), clock=clock)
    events = list(predictor.stream(song(), budget_seconds=45.0, refine=False))
    started = [event.part for event in events if isinstance(event, StageStarted)]
    assert started == [*(f"networks: {source}" for source in MUSIC_SOURCES), "demucs"]
    finished = {event.part: event for event in events if isinstance(event, StageFinished)}
    assert finished["networks: bass"].done == finished["networks: bass"].samples
    assert finished["demucs"].done < finished["demucs"].samples
    assert any(isinstance(event, Note) and "deadline stopped demucs" in event.text for event in events)
    done = [event.done for event in events if isinstance(event, StageAdvanced) and event.part == "networks: bass"]
    assert done == sorted(done)
    assert done[-1] == SAMPLES
    assert isinstance(events[-1], Finished)


def test_callers_array_is_left_alone_and_layouts_are_accepted() -> None:
    predictor = Predictor(two_branches())
    mixture = song(5_000)
    before = mixture.copy()
    stems = predictor.separate(mixture)
    np.testing.assert_array_equal(mixture, before)
    mono = predictor.separate(mixture[0])
    np.testing.assert_array_equal(mono["bass"][0], mono["bass"][1])
    doubled = predictor.separate(mixture.astype(np.float64))
    np.testing.assert_array_equal(doubled["bass"], stems["bass"])
    with pytest.raises(InputError, match="Transpose"):
        predictor.separate(mixture.T)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
def test_other_rates_come_back_at_their_own(rate: int, tmp_path: Path) -> None:
    """Rate and length are the input's; a tone keeps its level to 0.1 %."""
    samples = rate + 7
    tone = np.tile(0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate), (2, 1)).astype(np.float32)
    stems = Predictor(two_branches()).separate(tone, sample_rate=rate)
    middle = slice(samples // 4, 3 * samples // 4)
    for source, stem in stems.items():
        assert stem.shape == tone.shape
        np.testing.assert_allclose(stem[:, middle], ideal(source) * tone[:, middle], atol=5e-4)
    soundfile.write(tmp_path / "tone.wav", tone.T, rate, subtype="FLOAT")
    Predictor(two_branches()).separate_file(tmp_path / "tone.wav", tmp_path / "out", audio_format=WAV_FLOAT)
    info = soundfile.info(tmp_path / "out" / "vocals.wav")
    assert (info.samplerate, info.frames, info.channels) == (rate, samples, 2)


def test_report_says_what_was_done(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", song().T, 44_100, subtype="FLOAT")
    report = Predictor(two_branches()).separate_file(tmp_path / "song.wav", tmp_path / "out", budget_seconds=60)
    plain = json.loads(json.dumps(report.as_json()))
    assert plain["complete"] is True
    assert plain["budget_seconds"] == 60
    published = [part["name"] for part in plain["parts"] if not part["is_refinement"]]
    assert published == [*(f"networks: {s}" for s in MUSIC_SOURCES), "demucs"]
    assert plain["plan"] == "everything as published"
    assert plain["left_out"] == []
    assert plain["is_as_published"] is True
    assert all(part["n_units"] and part["planned_share"] == 1 for part in plain["parts"])
    assert set(plain["levels"]["bass"]) == {"peak", "rms", "clipped_samples"}
    assert plain["cutoffs_hz"] == dict.fromkeys(MUSIC_SOURCES, 22_050.0)
    assert plain["peak_memory_bytes"] > 0
    assert Path(plain["outputs"]["bass"]).is_file()


def test_clipped_samples_are_counted_and_float_keeps_them(tmp_path: Path) -> None:
    loud = np.full((2, 5_000), 60.0, np.float32)
    soundfile.write(tmp_path / "loud.wav", loud.T, 44_100, subtype="FLOAT")
    predictor = Predictor(two_branches())
    report = predictor.separate_file(tmp_path / "loud.wav", tmp_path / "pcm")
    assert report.levels["bass"]["clipped_samples"] == 2 * 5_000
    predictor.separate_file(tmp_path / "loud.wav", tmp_path / "float", audio_format=WAV_FLOAT)
    kept, _ = soundfile.read(tmp_path / "float" / "bass.wav")
    assert kept.max() == pytest.approx(60.0 * ideal("bass"), abs=1e-3)


@pytest.mark.parametrize("clip", ["rescale", "limit"])
def test_a_gain_against_clipping_is_told_in_report_and_record(tmp_path: Path, clip: str) -> None:
    loud = 30 * song()
    soundfile.write(tmp_path / "loud.wav", loud.T, 44_100, subtype="FLOAT")
    events = Predictor(two_branches()).stream_file(
        tmp_path / "loud.wav",
        tmp_path / "out",
        audio_format=AudioFormat("flac", clip=clip),
        record=RecordRequest(),
        budget_seconds=100,
    )
    *earlier, last = events
    assert isinstance(last, Finished)
    gain_db, levels = last.report.common_gain_db, last.report.levels
    assert gain_db == pytest.approx(-20 * np.log10(max(ideal(s) for s in MUSIC_SOURCES) * np.abs(loud).max()), abs=0.1)
    assert all(level["clipped_samples"] == 0 for level in levels.values())
    assert [event.text for event in earlier if isinstance(event, Note) and "quieter" in event.text] == [
        note for note in last.report.notes if f"{-gain_db:.1f} dB quieter" in note
    ]
    written = [event.done for event in earlier if isinstance(event, BlockWritten)]
    assert written == sorted(written)
    assert written[-1] == SAMPLES  # also where everything is encoded after the last block
    record = json.loads((tmp_path / "out" / "separation.json").read_text(encoding="utf-8"))
    assert record["format"] == {"file_format": "flac", "subtype": "PCM_16", "clip": clip}
    assert record["report"]["common_gain_db"] == gain_db
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_stems_of_other_options_are_made_again_and_those_of_older_versions_are_not() -> None:
    facts = {"system": "s", "weights": {}, "settings": {}, "version": "1"}
    formats = [
        *(AudioFormat("wav", bit_depth=depth) for depth in ("16", "24", "32f")),
        *(AudioFormat("wav", **options) for options in ({"dither": True}, {"clip": "rescale"}, {"clip": "limit"})),
        *(AudioFormat("mp3", bitrate=bitrate) for bitrate in (128, 320)),
    ]
    digests = [StemRecipe(**facts, audio_format=audio_format).digest for audio_format in formats]
    assert len(set(digests)) == len(formats)
    plain = {**facts, "schema": RECORD_SCHEMA, "format": ["wav", "PCM_16"]}  # as before there were other options
    assert digests[0] == sha256_of_document(plain)


def test_a_codecs_cost_is_set_aside_before_it_was_measured() -> None:
    plain = WriteCost("k", 0.01, 0.25)
    costs = CostModel(Calibration())
    reserved = {
        clip: plain.with_encoding(AudioFormat("mp3", clip=clip), n_stems=4, n_cpus=2).reserve(costs, 100, 100)
        for clip in ("none", "rescale")
    }
    plain_wav = plain.with_encoding(AudioFormat("wav"), n_stems=4, n_cpus=2)
    assert plain_wav.reserve(costs, 100, 100) == plain.reserve(costs, 100, 100)
    for seconds in reserved.values():  # 4 stems of 100 s, two at the same time
        assert seconds >= plain.reserve(costs, 100, 100) + 2 * 100 * ENCODING_SECONDS["mp3"]
    # rescaled stems are written twice: kept first, encoded after the last block, however much is left to blend
    rescaled = plain.with_encoding(AudioFormat("wav", clip="rescale"), n_stems=4, n_cpus=2)
    assert rescaled.reserve(costs, 100, 0) >= 100 * plain.prior
    more = rescaled.expected_seconds(costs, 100) - plain.expected_seconds(costs, 100)
    assert more == pytest.approx(100 * plain.prior)


def test_a_single_measurement_of_writing_takes_at_most_a_share_of_the_budget() -> None:
    """A run on a busy machine took 1 s to write a second; the second run is believed, and so are two that agree."""
    cost, budget = WriteCost("k", 0.1, 0.25), 40.0
    usual = cost.reserve(CostModel(Calibration()), 20, 20, budget)
    calibration = Calibration()
    calibration.update({"k": Cost(1.0, 1.5), "k closing": Cost(1.0, 1.0)})
    assert cost.reserve(CostModel(calibration), 20, 20) > 2 * budget  # without a limit to it, no time for any work
    once = cost.reserve(CostModel(calibration), 20, 20, budget)
    assert once == pytest.approx(usual + DOUBTFUL_SHARE * budget)
    costs = CostModel(calibration)
    costs.observe("k", 6, 0.6, is_network=False)  # the first block replaces it
    rest = WriteCost("k", 0.1, 0.25, closing_prior=0.0).reserve(costs, 20, 14, budget)
    assert rest <= FINISH_MARGIN * 0.1 * 14 + 0.25 + DOUBTFUL_SHARE * budget
    for _ in range(2):
        calibration.update({"k": Cost(0.1, 0.1), "k closing": Cost(0.02, 0.02)})
    assert cost.reserve(CostModel(calibration), 20, 20, budget) == pytest.approx(usual, rel=0.01)
    slow = Calibration()
    for _ in range(2):
        slow.update({"k": Cost(1.0, 1.0)})
    assert cost.reserve(CostModel(slow), 20, 20, budget) >= FINISH_MARGIN * 20


def test_an_old_busy_run_leaves_time_to_separate(tmp_path: Path) -> None:
    """A calibration of the first format in which writing 20 s would take longer than the whole limit."""
    clock, mixture = FakeClock(), np.tile(song(), 9)[:, : 20 * SAMPLE_RATE]
    soundfile.write(tmp_path / "song.wav", mixture.T, SAMPLE_RATE)
    keys = [Predictor(two_branches())._write_key(cost_kind(WAV_16), SAMPLE_RATE, 20)]
    keys.append(f"{keys[0]} closing")
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"schema": 1, "costs": {key: {"typical": 0.9, "high": 0.9} for key in keys}}))
    system = two_branches(clock=clock, chunk_seconds=0.001, segment_seconds=0.002)
    predictor = Predictor(system, clock=clock, calibration=Calibration(path))
    report = predictor.separate_file(tmp_path / "song.wav", tmp_path / "out", budget_seconds=40.0)
    assert report.is_as_published
    assert report.late_by_seconds == 0


def test_writing_costs_of_one_stem_say_nothing_about_all(tiny_models: Path) -> None:
    """Less time would be set aside for four stems after a run with one, and writing cannot be shortened."""
    formats = [AudioFormat("mp3", bitrate=bitrate) for bitrate in (128, 320)]
    formats += [AudioFormat("mp3", clip="limit"), AudioFormat("wav"), AudioFormat("wav", dither=True)]
    choices = [None, ["vocals"]]
    predictors = [load("starter", stems=stems, models_dir=tiny_models, device="cpu") for stems in choices]
    keys = {one._write_key(cost_kind(audio_format), 44_100, 60) for one in predictors for audio_format in formats}
    assert len(keys) == len(predictors) * len(formats)


def test_writing_costs_of_a_short_song_say_nothing_about_a_long_one() -> None:
    """Flushing four files takes the same time for any length: per second of audio it is a multiple."""
    short, medium, long = (Predictor(two_branches())._write_key("mp3", 44_100, seconds) for seconds in (2, 20, 300))
    assert short != medium == long


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """An engine that breaks in the middle leaves no stem, no scratch file, and the old stems as they were."""
    soundfile.write(tmp_path / "song.wav", song().T, 44_100)
    out = tmp_path / "out"
    out.mkdir()
    (out / "bass.wav").write_bytes(b"old")
    runs = iter(range(5))

    class BrokenClock(FakeClock):
        def pass_(self, seconds: float) -> None:
            if next(runs) == 4:
                raise OutputError("broken on purpose")

    with pytest.raises(OutputError, match="on purpose"):
        Predictor(two_branches(clock=BrokenClock())).separate_file(tmp_path / "song.wav", out)
    assert [path.name for path in out.iterdir()] == ["bass.wav"]
    assert (out / "bass.wav").read_bytes() == b"old"


def test_one_predictor_keeps_nothing_between_songs() -> None:
    predictor = Predictor(two_branches())
    first = predictor.separate(song(seed=1))
    predictor.separate(song(9_000, seed=2))
    again = predictor.separate(song(seed=1))
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(first[source], again[source])


def test_a_separation_tells_its_parts_before_it_begins() -> None:
    first, *events = Predictor(two_branches()).stream(song(20_000))
    assert isinstance(first, Planned)
    assert list(first.parts) == [event.part for event in events if isinstance(event, StageStarted)]
