"""Work from start to end: the same stems to the bit, finished stretch after finished stretch from the start on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import my_submission as mdx
from my_submission.audio_io import WAV_FLOAT, load_mixture
from my_submission.blending import StemBlender
from my_submission.engines import Device
from my_submission.engines.fake_engine import FakeEngine
from my_submission.events import Event, Finished, StageAdvanced, StageFinished, StageStarted, StretchDone
from my_submission.geometry import FadeChunking, OverlapChunking, Segmentation, SpectralChunking, WholeSong
from my_submission.mechanisms import (
    ConditionedMechanism,
    MaskingMechanism,
    Mixer,
    RunOptions,
    SpectralMechanism,
    SpectralNetwork,
    SpectralRecipe,
    WienerRecipe,
)
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES, Stems
from my_submission.systems import Branch, BranchRecipe, LoadedSystem, SystemRecipe, find_system, load_system
from my_submission.systems.whole_system import WholeSystemMechanism
from my_submission.weights import ModelsFolder
from tests.audio_fixtures import write_audio
from tests.rigs import CHUNKING, WAVEFORM_GAINS, two_branches, waveform

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 100_000
BLOCK = 1 << 14
LONG = SpectralChunking(CHUNKING.stft, 400)
"""Chunks of half a second: longer than a block."""


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StemBlender, "block_samples", BLOCK)


def song(samples: int = SAMPLES) -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal((2, samples))).astype(np.float32)


def hearing_all(gain: float, runs: list[str] | None = None, name: str = "") -> FakeEngine:
    """An engine whose every sample depends on its whole input, so that input that is not final yet is noticed."""

    def run(batch: np.ndarray) -> np.ndarray:
        if runs is not None:
            runs.append(name)
        return (gain * batch + 0.3 * np.square(batch).mean(axis=-1, keepdims=True)).astype(np.float32)

    return FakeEngine(run)


def networks(gains: dict[str, float], runs: list[str], chunking: SpectralChunking = CHUNKING) -> SpectralMechanism:
    each = (SpectralNetwork(name, hearing_all(gain, runs, name), chunking) for name, gain in gains.items())
    return SpectralMechanism(tuple(each))


def conditioned(sources: tuple[str, ...], overlap: float) -> ConditionedMechanism:
    """One network of several sources with overlapping chunks, whose estimates change until the next chunk is done."""

    def run(batch: np.ndarray) -> np.ndarray:
        rows = [hearing_all(0.1 + 0.1 * number).run(batch) for number in range(len(sources))]
        return np.stack(rows, axis=1)

    return ConditionedMechanism(sources, FakeEngine(run), replace(LONG, overlap_ratio=overlap))


def cascade(runs: list[str], *, overlap: float = 0.25) -> LoadedSystem:
    """The default's shape: vocals of long chunks, two branches on what is left, a Wiener filter over these."""
    rest = ("bass", "drums", "other")
    halves = dict.fromkeys(rest, 0.5)
    branches = (
        Branch("vocals", networks({"vocals": 0.4}, runs, LONG), {"vocals": 1.0}),
        Branch("networks", networks({"bass": 0.5, "drums": 0.3, "other": 0.2}, runs), halves, ("vocals",)),
        Branch("conditioned", conditioned(rest, overlap), halves, ("vocals",)),
    )
    recipes = tuple(
        BranchRecipe(each.name, SpectralRecipe(dict.fromkeys(each.shares, "fake")), each.shares, each.minus)
        for each in branches
    )
    stft = replace(CHUNKING.stft, n_fft=512, hop=256, kept_bins=257)
    wiener = WienerRecipe({"bass": 0.4, "drums": 0.8, "other": 1.0}, stft, FadeChunking(20_000, 9_000), ("vocals",))
    return LoadedSystem(SystemRecipe("cascade", "for tests", MUSIC_SOURCES, recipes, wiener=wiener), branches, {})


def nested(runs: list[str], *, subtracts: tuple[str, ...] = ()) -> LoadedSystem:
    """A blend of the cascade with one network per source, which may run on what the cascade leaves; and a filter."""
    inner, halves = cascade(runs), dict.fromkeys(MUSIC_SOURCES, 0.5)
    branches = (
        Branch("cascade", WholeSystemMechanism(inner), halves),
        Branch("networks", networks(dict.fromkeys(MUSIC_SOURCES, 0.2), runs), halves, subtracts),
    )
    recipes = tuple(
        BranchRecipe(each.name, SpectralRecipe(dict.fromkeys(each.shares, "fake")), each.shares, each.minus)
        for each in branches
    )
    assert inner.recipe.wiener is not None
    wiener = replace(inner.recipe.wiener, shares=dict.fromkeys(MUSIC_SOURCES, 0.5), minus=())
    return LoadedSystem(SystemRecipe("nested", "for tests", MUSIC_SOURCES, recipes, wiener=wiener), branches, {})


def streamed(system: LoadedSystem, mixture: np.ndarray, rate: int = 44_100) -> tuple[Stems, list[StretchDone]]:
    """The stems of a song, and its stretches, which must lie end to end."""
    events = list(Predictor(system).stream(mixture, sample_rate=rate, emit_stretches=True))
    stretches = [event for event in events if isinstance(event, StretchDone)]
    assert [one.start for one in stretches] == [0, *[one.stop for one in stretches[:-1]]]
    assert {(one.samples, one.sample_rate) for one in stretches} == {(mixture.shape[-1], rate)}
    assert stretches[-1].stop == mixture.shape[-1]
    return events[-1].result, stretches


def together(stretches: list[StretchDone]) -> Stems:
    return {name: np.concatenate([one.stems[name] for one in stretches], axis=1) for name in stretches[0].stems}


def assert_same(one: Stems, other: Stems) -> None:
    assert set(one) == set(other)
    for name, stem in one.items():
        np.testing.assert_array_equal(stem, other[name])


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("samples", [SAMPLES, 25_001, 3_000])
def test_a_cascade_gives_the_same_stems_to_the_bit(overlap: float, samples: int) -> None:
    mixture = song(samples)
    expected = Predictor(cascade([], overlap=overlap)).separate(mixture)
    stems, stretches = streamed(cascade([], overlap=overlap), mixture)
    assert_same(stems, expected)
    assert_same(together(stretches), expected)


@pytest.mark.parametrize("subtracts", [(), ("vocals", "drums")])
def test_a_system_in_a_system_gives_the_same_stems_to_the_bit(subtracts: tuple[str, ...]) -> None:
    """Its own filter, that of the whole, and a branch that runs on the mixture minus a filtered source."""
    expected = Predictor(nested([], subtracts=subtracts)).separate(song())
    runs: list[str] = []
    stems, stretches = streamed(nested(runs, subtracts=subtracts), song())
    assert_same(stems, expected)
    assert_same(together(stretches), expected)
    assert stretches[0].stop == BLOCK
    assert runs.index("bass") < len(runs) - 1 - runs[::-1].index("vocals")  # not one after the other


def test_a_branch_after_a_system_subtracts_its_filtered_estimates() -> None:
    """As two runs: the cascade alone, then the networks on the mixture minus two of its stems."""
    inner, shares = Predictor(cascade([])).separate(song()), dict.fromkeys(MUSIC_SOURCES, 1.0)
    system = nested([], subtracts=("vocals", "drums"))
    plain = replace(system, recipe=replace(system.recipe, wiener=None))
    after = replace(cascade([]), branches=(Branch("networks", system.branches[1].mechanism, shares),))
    after = replace(after, recipe=replace(after.recipe, wiener=None))
    expected = Predictor(after).separate(song() - inner["vocals"] - inner["drums"])
    for name, stem in Predictor(plain).separate(song()).items():
        np.testing.assert_allclose(stem, (inner[name] + expected[name]) / 2, atol=1e-5)


@pytest.mark.parametrize(
    "segments", [OverlapChunking(24_000, 0.5), OverlapChunking(24_000, 0.25), FadeChunking(9_000, 900)]
)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_networks_with_a_mixer_and_segments_give_the_same_stems_to_the_bit(
    segments: Segmentation, batch_size: int
) -> None:
    def system() -> LoadedSystem:
        mixer = Mixer(np.random.default_rng(1).standard_normal((8, 10)).astype(np.float32))
        engines = {source: hearing_all(gain) for source, gain in WAVEFORM_GAINS.items()}

        def run(batch: np.ndarray) -> np.ndarray:
            return np.stack([engine.run(batch) for engine in engines.values()], axis=1)

        return two_branches(
            mixer=mixer, engines=engines, segment_engine=FakeEngine(run), segments=segments, batch_size=batch_size
        )

    expected = Predictor(system()).separate(song())
    stems, stretches = streamed(system(), song())
    assert_same(stems, expected)
    assert_same(together(stretches), expected)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_stretches_have_the_rate_of_the_song(rate: int, channels: int) -> None:
    mixture = song()[:channels]
    expected = Predictor(cascade([])).separate(mixture, sample_rate=rate)
    stems, stretches = streamed(cascade([]), mixture, rate)
    assert_same(stems, expected)
    assert_same(together(stretches), expected)


def test_the_first_stretch_comes_before_later_parts_are_worked_on() -> None:
    """Stages advance together: at the first stretch none has gone much further than its own chunks make it."""
    runs: list[str] = []
    events = Predictor(cascade(runs)).stream(song(), emit_stretches=True)
    first = next(event for event in events if isinstance(event, StretchDone))
    assert first.stop == BLOCK
    before = {name: runs.count(name) for name in set(runs)}
    rest = list(events)
    whole = {name: runs.count(name) for name in set(runs)}
    assert set(before) == {"vocals", "bass", "drums", "other"}
    for name, chunking in (("vocals", LONG), ("bass", CHUNKING), ("drums", CHUNKING), ("other", CHUNKING)):
        # A window of the filter of 20 000 samples, its fade, context and a fade each for two stages, and one chunk.
        needed = 20_000 + 9_000 + 512 + 2 * FADE_SAMPLES + LONG.chunk_samples + chunking.chunk_samples
        assert before[name] * chunking.stride_samples <= needed, name
        assert whole[name] == chunking.count(SAMPLES), name
    assert sum(isinstance(event, StretchDone) for event in rest) == -(-SAMPLES // BLOCK) - 1


def test_every_stage_starts_once_and_ends_once_when_it_is_whole() -> None:
    events: list[Event | Finished[Stems]] = list(Predictor(cascade([])).stream(song(), emit_stretches=True))
    started = [event.part for event in events if isinstance(event, StageStarted)]
    finished = [event.part for event in events if isinstance(event, StageFinished)]
    assert len(started) == len(set(started)) == 6  # vocals, three networks, conditioned, filter
    assert sorted(finished) == sorted(started)
    for part in started:
        kinds = [type(event) for event in events if getattr(event, "part", None) == part]
        assert kinds == [StageStarted, *[StageAdvanced] * (len(kinds) - 2), StageFinished]
    report = events[-1].report
    assert report.is_as_published
    assert all(part.done_samples >= part.samples for part in report.parts)


def test_a_budget_or_a_refinement_keeps_its_own_order_and_stretches_are_still_emitted() -> None:
    for options in ({"budget_seconds": 1_000.0}, {"refine": True}):
        runs: list[str] = []
        events = list(Predictor(cascade(runs)).stream(song(), emit_stretches=True, **options))
        stretches = [event for event in events if isinstance(event, StretchDone)]
        assert runs[: LONG.count(SAMPLES)] == ["vocals"] * LONG.count(SAMPLES)
        assert_same(together(stretches), events[-1].result)


def test_a_song_that_is_decoded_already_gives_the_same_files(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "song.wav", song(30_000), 48_000, subtype="FLOAT")
    predictor = Predictor(cascade([]))
    predictor.separate_file(path, tmp_path / "expected", audio_format=WAV_FLOAT)
    with load_mixture(path, scratch_dir=tmp_path, keeps_original=True) as mixture:
        for _ in predictor.stream_file(path, tmp_path / "found", audio_format=WAV_FLOAT, mixture=mixture):
            pass
        assert mixture.store.read(0, 1).shape == (2, 1), "its owner closes it"
    for name in MUSIC_SOURCES:
        assert (tmp_path / f"found/{name}.wav").read_bytes() == (tmp_path / f"expected/{name}.wav").read_bytes()
    with (
        load_mixture(path, scratch_dir=tmp_path, working_rate=lambda rate: rate) as other,
        pytest.raises(ValueError, match="a mixture at 48000 Hz"),
    ):
        list(predictor.stream_file(path, tmp_path / "found", mixture=other))


def test_no_stretches_are_emitted_unless_requested() -> None:
    assert not any(isinstance(event, StretchDone) for event in Predictor(cascade([])).stream(song()))


def test_what_needs_the_whole_song_or_is_large_keeps_its_own_order(tmp_path: Path) -> None:
    small = cascade([])
    assert small.is_streamable
    heavy = tmp_path / "heavy.onnx"
    with heavy.open("wb") as file:
        file.truncate(65 << 20)  # sparse
    assert not replace(small, weights={"heavy": heavy}).is_streamable
    one_network = replace(small, branches=small.branches[:1], weights={"heavy": heavy})
    assert one_network.is_streamable  # nothing beside it
    whole = Branch("whole", waveform(hearing_all(1.0), WholeSong(OverlapChunking(8_000))), {})
    assert not replace(small, branches=(whole,)).is_streamable
    masking = MaskingMechanism(("vocals",), hearing_all(1.0), CHUNKING.stft, chunking=None)  # type: ignore[arg-type]
    assert not replace(small, branches=(Branch("masks", masking, {}),)).is_streamable


def test_emitted_stretches_are_the_samples_that_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 48 kHz: stretches are the samples of the 32-bit float files, to the bit."""
    source = tmp_path / "song.wav"
    soundfile.write(source, song(30_000).T, 48_000, subtype="FLOAT")
    separator = mdx.Separator("starter-plus", stems=["vocals", "instrumental"], threads=1)
    monkeypatch.setattr(separator, "predictor", Predictor(cascade([])))
    events = list(separator.stream(source, tmp_path / "out", audio_format=WAV_FLOAT))
    stretches = [event for event in events if isinstance(event, StretchDone)]
    assert len(stretches) >= 2
    written = {name: soundfile.read(path, dtype="float32")[0].T for name, path in events[-1].result.paths.items()}
    assert_same(together(stretches), written)
    assert separator.separate(source, None).stems.keys() == written.keys()


@pytest.mark.slow
def test_the_default_system_gives_the_same_stems_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real networks on 20 s: two chunks of the vocals, four of the others, two windows of the filter."""
    monkeypatch.undo()
    system = load_system(
        find_system("starter-plus"), ModelsFolder(ROOT / "models"), RunOptions(device=Device("cpu"), threads=1)
    )
    seconds = np.arange(20 * 44_100) / 44_100
    tones = 0.2 * np.sin(2 * np.pi * 110 * seconds * (1 + 0.01 * seconds)) + 0.1 * np.sin(2 * np.pi * 660 * seconds)
    mixture = (tones * (np.exp(-4 * (seconds % 0.5)) + 0.2) + 0.3 * song(seconds.size)).astype(np.float32)
    expected = Predictor(system).separate(mixture)
    stems, stretches = streamed(system, mixture)
    assert_same(stems, expected)
    assert len(stretches) == 4
