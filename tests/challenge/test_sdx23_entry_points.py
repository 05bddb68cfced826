"""The 2023 entry points: model, wrapper and local evaluation, for music and cinema, all durations, both input forms."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import evaluate_locally
from evaluator.metrics import global_sdr
from my_submission.aicrowd_wrapper import AIcrowdWrapper
from my_submission.challenge import separation_model
from my_submission.challenge.separation_model import SeparationModel
from my_submission.errors import InputError
from my_submission.events import EventStream, Finished
from my_submission.mechanisms import SpectralRecipe
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES, Stems
from my_submission.systems import SYSTEMS, BranchRecipe, SystemRecipe
from my_submission.user_config import MySeparationModel
from tests.model_makers import random_network, write_manifest, write_spectral
from tests.optional_libraries import require
from tests.rigs import report_of

RATE = 44_100

MUSIC = SystemRecipe(
    "tiny-music",
    "for tests",
    MUSIC_SOURCES,
    (
        BranchRecipe(
            "networks", SpectralRecipe({s: f"tiny/{s}" for s in MUSIC_SOURCES}), dict.fromkeys(MUSIC_SOURCES, 1.0)
        ),
    ),
)
CINEMA = SystemRecipe(
    "tiny-cinema",
    "for tests",
    CINEMA_SOURCES,
    (
        BranchRecipe(
            "networks", SpectralRecipe({s: f"tiny/{s}" for s in CINEMA_SOURCES}), dict.fromkeys(CINEMA_SOURCES, 1.0)
        ),
    ),
)
"""Networks of all seven sources: the cinema systems to come will differ in nothing that an entry point sees."""


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny network a source, with chunks long enough for a five-minute song in a test."""
    require("torch")
    folder = tmp_path_factory.mktemp("models")
    shape = {"n_fft": 4096, "hop": 2048, "bins": 16, "frames": 128}
    entries = [
        write_spectral(folder, f"tiny/{source}", random_network(16, depth=3, growth=2, seed=seed), **shape)
        for seed, source in enumerate((*MUSIC_SOURCES, *CINEMA_SOURCES))
    ]
    write_manifest(folder, entries)
    return folder


@pytest.fixture
def configure(tmp_path: Path, small_models: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Choose a track: writes a configuration and points the entry points to it."""
    monkeypatch.setitem(SYSTEMS, MUSIC.name, MUSIC)
    monkeypatch.setitem(SYSTEMS, CINEMA.name, CINEMA)
    monkeypatch.chdir(tmp_path)
    for name in ("AICROWD_DATASET_DIR", "AICROWD_PUBLIC_SHARED_DIR", "MDX_SYSTEM", "MDX_DEVICE", "MDX_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)

    def choose(track: str, system: str | None = None, more: str = "") -> None:
        values = {"system": system or (CINEMA.name if track == "cdx23" else MUSIC.name), "track": track}
        values |= {"models_dir": str(small_models), "description": "a test", "device": "cpu"}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        lines += ['authors = ["someone"]', "external_dataset_used = false", more]
        (tmp_path / "submission.toml").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("MDX_SUBMISSION_FILE", str(tmp_path / "submission.toml"))

    return choose


def noise(seconds: float, channels: int = 2, seed: int = 0) -> np.ndarray:
    """float64 (samples, channels), as soundfile reads it."""
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))


def write(path: Path, sound: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, subtype="FLOAT")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.5, 30.0])
@pytest.mark.parametrize(("track", "sources"), [("mdx23", MUSIC_SOURCES), ("cdx23", CINEMA_SOURCES)])
def test_the_model_keeps_the_kits_contract(configure, track: str, sources, seconds: float, channels: int) -> None:
    configure(track)
    model = MySeparationModel()
    assert model.instruments == list(sources)
    mixture = noise(seconds, channels)
    if channels == 1:
        mixture = mixture[:, 0]  # as soundfile reads a mono file
    before = mixture.copy()
    stems, rates = model.separate_music_file(mixture, RATE)
    np.testing.assert_array_equal(mixture, before)
    assert set(stems) == set(sources)
    assert rates == dict.fromkeys(sources, RATE)
    for stem in stems.values():
        assert stem.shape == (len(mixture), 2)
        assert np.isfinite(stem).all()


@pytest.mark.slow
@pytest.mark.parametrize(("track", "channels"), [("mdx23", 2), ("cdx23", 1)])
def test_five_minutes_are_whole(
    configure, track: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(track)
    monkeypatch.setenv("MDX_REPORT_PATH", str(tmp_path / "reports.jsonl"))
    mixture = np.tile(noise(30.0, channels), (10, 1)).astype(np.float32)
    model = MySeparationModel()
    # What is left of 471 s would go into refinements, which are the predictor's own matter and tests.
    monkeypatch.setattr(model.predictor, "stream", functools.partial(model.predictor.stream, refine=False))
    stems, _ = model.separate_music_file(mixture, RATE)
    assert {stem.shape for stem in stems.values()} == {(len(mixture), 2)}
    [report] = [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text("utf-8").splitlines()]
    assert report["budget_seconds"] == pytest.approx(0.95 * 1.57 * 300)


@pytest.mark.parametrize("shape", [(0, 2), (100, 3), (10, 2, 2)])
def test_what_is_no_song_is_told_the_kits_way(configure, shape: tuple[int, ...]) -> None:
    configure("mdx23")
    with pytest.raises(NameError, match="is not a song"):
        MySeparationModel().separate_music_file(np.zeros(shape), RATE)


def test_a_model_that_cannot_be_built_is_told_the_kits_way(configure) -> None:
    configure("cdx23", system=MUSIC.name)
    with pytest.raises(NameError, match="asks for dialog, effect, music"):
        MySeparationModel()
    configure("mdx23", system="kuielab-a")
    with pytest.raises(NameError, match="kuielab-a/bass"):
        MySeparationModel()


def test_the_limit_handed_down_is_the_tracks(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    configure("mdx23", more="song_limit_factor = 3.0")
    model = MySeparationModel()
    whole = model.predictor.stream

    def spy(*arguments, budget_seconds: float, **more):
        seen.append(budget_seconds)
        return whole(*arguments, budget_seconds=budget_seconds, **more)

    monkeypatch.setattr(model.predictor, "stream", spy)
    model.separate_music_file(noise(2.0), RATE)
    assert seen == [pytest.approx(0.95 * 6.0)]


def wrapper(tmp_path: Path) -> AIcrowdWrapper:
    (tmp_path / "out").mkdir(exist_ok=True)
    return AIcrowdWrapper(str(tmp_path / "songs"), str(tmp_path / "out"))


def test_the_wrapper_writes_music_under_the_kits_names(configure, tmp_path: Path) -> None:
    configure("mdx23")
    mixture = noise(1.0)
    write(tmp_path / "songs" / "one song" / "mixture.wav", mixture, 48_000)
    assert wrapper(tmp_path).separate_music_file("one song") is True
    for source in MUSIC_SOURCES:
        info = soundfile.info(tmp_path / "out" / "one song" / f"{source}.wav")
        found = (info.frames, info.channels, info.samplerate, info.subtype)
        assert found == (len(mixture), 2, 48_000, "PCM_16")


class Quarters:
    """A predictor that gives every stem a quarter of the mixture, and keeps no song to itself."""

    stems = CINEMA_SOURCES

    def stream(self, mixture: np.ndarray, **_: object) -> EventStream[Stems]:
        yield Finished(dict.fromkeys(self.stems, 0.25 * mixture), report_of())


def test_every_cinema_form_arrives_whole(configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stereo file, the same sound as two mono files, and a mono file, which is doubled."""
    configure("cdx23")
    monkeypatch.setattr(separation_model, "build_predictor", lambda _: Quarters())
    sound = noise(1.0).astype(np.float32)
    write(tmp_path / "songs" / "whole" / "mix.wav", sound)
    for side, channel in (("Lt", 0), ("Rt", 1)):
        write(tmp_path / "songs" / "split" / f"split_mixture_{side}.wav", sound[:, channel])
    write(tmp_path / "songs" / "mono" / "mix.wav", sound[:, 0])
    wrapped = wrapper(tmp_path)
    for song, expected in (("whole", sound), ("split", sound), ("mono", sound[:, [0, 0]])):
        wrapped.separate_music_file(song)
        paths = {source: tmp_path / "out" / song / f"{song}_{source}.wav" for source in CINEMA_SOURCES}
        assert sorted(tmp_path.glob(f"out/{song}/*")) == sorted(paths.values())
        for path in paths.values():
            np.testing.assert_allclose(soundfile.read(path)[0], 0.25 * expected, atol=2**-15)


def test_halves_that_do_not_match_are_told(configure, tmp_path: Path) -> None:
    configure("cdx23")
    write(tmp_path / "songs" / "s" / "s_mixture_Lt.wav", noise(1.0, 1))
    write(tmp_path / "songs" / "s" / "s_mixture_Rt.wav", noise(1.1, 1))
    with pytest.raises(NameError, match="do not match"):
        wrapper(tmp_path).separate_music_file("s")


def test_the_graders_variables_choose_the_folders(configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("mdx23")
    write(tmp_path / "hidden" / "s" / "mixture.wav", noise(0.5))
    (tmp_path / "shared" / "predictions").mkdir(parents=True)
    monkeypatch.setenv("AICROWD_DATASET_DIR", str(tmp_path / "hidden"))
    monkeypatch.setenv("AICROWD_PUBLIC_SHARED_DIR", str(tmp_path / "shared"))
    AIcrowdWrapper().separate_music_file("s")
    assert (tmp_path / "shared" / "predictions" / "s" / "vocals.wav").is_file()
    monkeypatch.setenv("AICROWD_PUBLIC_SHARED_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        AIcrowdWrapper()


def test_wrong_stems_are_refused(configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("mdx23")
    write(tmp_path / "songs" / "s" / "mixture.wav", noise(0.5))
    wrapped = wrapper(tmp_path)
    monkeypatch.setattr(wrapped.model, "separate_music_file", lambda *_: ({"bass": np.zeros((1, 2))}, {"bass": RATE}))
    with pytest.raises(NameError, match=r"returned stems \['bass'\]"):
        wrapped.separate_music_file("s")
    assert not list((tmp_path / "out").iterdir())


def test_raise_aicrowd_error_is_a_name_error(configure, tmp_path: Path) -> None:
    configure("mdx23")
    (tmp_path / "songs").mkdir()
    wrapped = wrapper(tmp_path)
    for teller in (wrapped, wrapped.model):
        with pytest.raises(NameError, match="no such luck"):
            teller.raise_aicrowd_error("no such luck")


def test_importing_the_door_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separation_model, "build_predictor", lambda _: pytest.fail("built at import"))
    assert MySeparationModel is SeparationModel


@pytest.mark.parametrize("track", ["mdx23", "cdx23"])
def test_local_evaluation_separates_and_scores(
    configure, track: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(track)
    sources = CINEMA_SOURCES if track == "cdx23" else MUSIC_SOURCES
    names = dict(zip(sources, ("speech", "sfx", "music"), strict=True)) if track == "cdx23" else {s: s for s in sources}
    song = tmp_path / "songs" / "a"
    true_stems = {source: noise(1.0, seed=seed) for seed, source in enumerate(sources)}
    for source, stem in true_stems.items():
        write(song / f"{names[source]}.wav", stem)
    write(song / ("mix.wav" if track == "cdx23" else "mixture.wav"), sum(true_stems.values()))
    (tmp_path / "songs" / "stray.txt").write_text("not a song", encoding="utf-8")
    code = evaluate_locally.main(["--data", str(tmp_path / "songs"), "--output", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    estimate_name = f"a_{sources[0]}.wav" if track == "cdx23" else f"{sources[0]}.wav"
    estimate = soundfile.read(tmp_path / "out" / "a" / estimate_name, dtype="float32")[0]
    expected = global_sdr(true_stems[sources[0]].astype(np.float32), estimate)
    assert f"sdr_{sources[0]} {expected:.3f}" in out
    assert "mean_sdr" in out


def test_local_evaluation_goes_on_after_a_broken_song(
    configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("mdx23")
    write(tmp_path / "songs" / "b" / "mixture.wav", noise(0.5))
    write(tmp_path / "songs" / "a" / "mixture.wav", noise(0.5, 3))
    code = evaluate_locally.main(["--data", str(tmp_path / "songs"), "--output", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert code == 1
    assert "1 of 2 songs failed" in err
    assert "3 channels" in err
    assert "nothing is scored" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b"]


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate_locally.main(["--output", str(tmp_path / ("x" * 300))]) == 1
    assert "the name is too long for this file system" in capfd.readouterr().err
