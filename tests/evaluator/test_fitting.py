"""Estimates of other shapes fitted where that is asked for, and accompaniment computed from the other sources."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator import EstimateOptions
from evaluator.audio import AudioShape, FileStem, Stem, SumStem
from evaluator.bsseval import RATIOS, bsseval_v4
from evaluator.cli import main
from evaluator.datasets import find_songs
from evaluator.errors import DatasetError
from evaluator.fitting import fit_estimate, options_in_words
from evaluator.metrics import global_sdr
from evaluator.pairs import StemPair
from evaluator.replay_session import replay
from evaluator.scores import read_scores
from evaluator.scoring import score_song
from evaluator.targets import averaged_sources, scenarios
from tests.array_pair import ArrayPair

RATE = 2000
SOURCES = ("bass", "drums", "other", "vocals")
SAMPLES = 5000


def noise(seed: int, samples: int = SAMPLES, channels: int = 2) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> FileStem:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="DOUBLE")
    return FileStem(path)


def read(stem: Stem, block: int = 777) -> np.ndarray:
    blocks = list(stem.blocks(block))
    assert {piece.shape[1] for piece in blocks[:-1]} <= {block}
    return np.concatenate(blocks, axis=1).T


def score(*arguments: str | Path) -> int:
    return main(["score", *map(str, arguments), "--jobs", "1"])


def fitted(stem: Stem, expected: AudioShape, **options: object) -> tuple[np.ndarray, list[str]]:
    found, notes = fit_estimate(stem, expected, EstimateOptions(**options), who="estimate x")  # type: ignore[arg-type]
    assert found.shape() == expected
    return read(found), notes


@pytest.mark.parametrize(("samples", "note"), [(3210, "padded with 1790 zeros"), (6001, "cut by 1001 samples")])
def test_lengths_are_padded_or_cut_at_the_end(samples: int, note: str, tmp_path: Path) -> None:
    audio = noise(1, samples)
    found, notes = fitted(write(tmp_path / "x.wav", audio), AudioShape(SAMPLES, 2, RATE), length="pad")
    assert np.array_equal(found, np.pad(audio, ((0, max(0, SAMPLES - samples)), (0, 0)))[:SAMPLES])
    assert len(notes) == 1
    assert note in notes[0]


def test_one_channel_is_repeated_and_two_are_averaged(tmp_path: Path) -> None:
    mono, stereo = noise(1, channels=1), noise(2)
    found, notes = fitted(write(tmp_path / "m.wav", mono), AudioShape(SAMPLES, 2, RATE), channels="match")
    assert np.array_equal(found, np.repeat(mono, 2, axis=1))
    assert notes == ["estimate x converted from 1 to 2 channels"]
    found, _ = fitted(write(tmp_path / "s.wav", stereo), AudioShape(SAMPLES, 1, RATE), channels="match")
    assert np.allclose(found, stereo.mean(axis=1, keepdims=True), rtol=0, atol=1e-16)


@pytest.mark.parametrize("rate", [1000, 3000, 4410, 48_000])
def test_other_rates_are_resampled_to_the_reference(rate: int, tmp_path: Path) -> None:
    """A tone far below both Nyquist frequencies; an estimate is never an exact multiple of samples long."""

    def tone(samples: int, at: int) -> np.ndarray:
        fade = np.sin(np.pi * np.arange(samples) / samples)
        return np.repeat((fade * np.sin(2 * np.pi * 100 * np.arange(samples) / at))[:, None], 2, axis=1)

    expected = AudioShape(5001, 2, RATE)
    stem = write(tmp_path / "x.wav", tone(-(-5001 * rate // RATE), rate), rate)
    found, notes = fitted(stem, expected, resample=True)
    error = np.sum((found - tone(5001, RATE)) ** 2) / np.sum(found**2)
    assert 10 * np.log10(error) < -60
    assert notes == [f"estimate x resampled from {rate} to 2000 Hz"]


def test_a_resampled_estimate_of_another_duration_needs_pad_as_well(tmp_path: Path) -> None:
    stem = write(tmp_path / "x.wav", noise(1, 8000), 4000)
    with pytest.raises(DatasetError, match=r"8000 samples at 4000 Hz, its reference 5000.*with --length pad"):
        fitted(stem, AudioShape(SAMPLES, 2, RATE), resample=True)
    _, notes = fitted(stem, AudioShape(SAMPLES, 2, RATE), resample=True, length="pad")
    assert [note.split("estimate x ")[1] for note in notes] == [
        "resampled from 4000 to 2000 Hz",
        "padded with 1000 zeros at its end",
    ]


def test_parts_of_a_sum_are_fitted_one_by_one(tmp_path: Path) -> None:
    parts = [noise(1, 4000), noise(2, 5000)]
    stem = SumStem(tuple(write(tmp_path / f"{i}.wav", part) for i, part in enumerate(parts)))
    found, _ = fitted(stem, AudioShape(SAMPLES, 2, RATE), length="pad")
    assert np.allclose(found, np.pad(parts[0], ((0, 1000), (0, 0))) + parts[1], atol=1e-15)


def test_padded_lengths_give_musevals_numbers(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("museval cannot be imported without ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        museval = pytest.importorskip("museval", reason="museval, the oracle, is not installed")
        true = np.stack([noise(i) for i in range(2)])
        for samples in (4300, 5600):
            estimated = np.stack([0.5 * noise(i, samples) + 0.1 * noise(9 + i, samples) for i in range(2)])
            estimated[:, :SAMPLES] += 0.5 * true[:, :samples]
            stems = [
                {
                    name: write(tmp_path / side / f"{name}.wav", audio)
                    for name, audio in zip(SOURCES, audios, strict=False)
                }
                for side, audios in (("true", true), ("estimated", estimated))
            ]
            pair = StemPair.open(stems[0], stems[1], SOURCES[:2], EstimateOptions(length="pad"))
            theirs = np.stack(museval.evaluate(true, estimated, win=RATE, hop=RATE))
            ours = score_song(pair, "bsseval").frames
            for j, source in enumerate(SOURCES[:2]):
                for i, ratio in enumerate(RATIOS):
                    assert np.allclose(np.array(ours[source][ratio], float), theirs[i, j], atol=1e-3, equal_nan=True)


def test_museval_judges_vocals_and_accompaniment_apart_and_so_do_we(tmp_path: Path) -> None:
    true = {name: noise(i) for i, name in enumerate(SOURCES)}
    estimated = {name: audio + 0.2 * noise(20 + i) for i, (name, audio) in enumerate(true.items())}
    sums = [sum(side[name] for name in SOURCES[:3]) for side in (true, estimated)]
    stems = [
        {
            name: write(tmp_path / str(i) / f"{name}.wav", audio)
            for name, audio in {**side, "accompaniment": whole}.items()
        }
        for i, (side, whole) in enumerate(zip((true, estimated), sums, strict=True))
    ]
    row = score_song(StemPair.open(*stems, (*SOURCES, "accompaniment")), "bsseval").row

    def medians(*pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        sides = [np.stack([pair[k].T for pair in pairs]) for k in range(2)]
        return bsseval_v4(ArrayPair(*sides), window_samples=RATE).medians()

    alone = medians((true["vocals"], estimated["vocals"]), (sums[0], sums[1]))
    together = medians(*((true[name], estimated[name]) for name in SOURCES))
    for i, ratio in enumerate(RATIOS):
        assert row["vocals"][ratio] == pytest.approx(alone[i, 0])
        assert row["accompaniment"][ratio] == pytest.approx(alone[i, 1])
        assert row["drums"][ratio] == pytest.approx(together[i, 1])


def test_scenarios_and_means_leave_no_source_in_twice() -> None:
    assert [(s.sources, s.reported) for s in scenarios(SOURCES)] == [(SOURCES, SOURCES)]
    assert [(s.sources, s.reported) for s in scenarios(("accompaniment", "vocals"))] == [
        (("vocals", "accompaniment"), ("vocals", "accompaniment"))
    ]
    assert [s.reported for s in scenarios(("bass", "instrumental"))] == [("bass",), ("instrumental",)]
    assert averaged_sources((*SOURCES, "accompaniment")) == SOURCES
    assert averaged_sources(("vocals", "accompaniment", "instrumental")) == ("vocals", "accompaniment")
    assert averaged_sources(SOURCES) == SOURCES


def make_songs(root: Path, names: Mapping[str, tuple[str, ...]], *, spoil: float = 0.0) -> None:
    for index, (song, sources) in enumerate(names.items()):
        for source in sources:
            parts = SOURCES[:3] if source in {"accompaniment", "instrumental"} else (source,)
            seeds = [10 * index + SOURCES.index(part) for part in parts]
            write(root / song / f"{source}.wav", sum(noise(seed) for seed in seeds) + spoil * noise(99))


def test_accompaniment_is_summed_where_there_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, estimates, out = tmp_path / "set", tmp_path / "ours", tmp_path / "scores.json"
    two = ("vocals", "instrumental")
    make_songs(references, {"file": SOURCES, "stems": SOURCES, "hole": SOURCES})
    make_songs(estimates, {"file": two, "stems": SOURCES, "hole": ("bass", "vocals")}, spoil=0.1)
    assert score(references, estimates, "--sources", "vocals,accompaniment", "--json", out) == 1
    document = read_scores(out)
    row = document["metrics"]["mdx"]["songs"]
    true = sum(noise(seed) for seed in range(3))
    assert row["file"]["accompaniment"] == pytest.approx(global_sdr(true, true + 0.1 * noise(99)))
    true = sum(noise(10 + seed) for seed in range(3))
    assert row["stems"]["accompaniment"] == pytest.approx(global_sdr(true, true + 0.3 * noise(99)))
    assert row["file"]["song"] == pytest.approx((row["file"]["vocals"] + row["file"]["accompaniment"]) / 2)
    assert document["notes"]["file"] == [
        "reference accompaniment is bass + drums + other",
        "estimate accompaniment is instrumental",
    ]
    assert document["notes"]["stems"][1] == "estimate accompaniment is bass + drums + other"
    assert "hole: no estimate for accompaniment; there are bass, vocals" in document["failed"]["hole"]
    assert "score with --sources vocals" in document["failed"]["hole"]
    assert "[1/2] file: reference accompaniment is bass + drums + other" in capsys.readouterr().err


def test_two_stems_against_four_are_told_which_sources_to_ask_for(tmp_path: Path) -> None:
    make_songs(tmp_path / "set", {"a": SOURCES})
    make_songs(tmp_path / "ours", {"a": ("vocals", "accompaniment")})
    assert score(tmp_path / "set", tmp_path / "ours", "--json", tmp_path / "s.json") == 1
    failed = json.loads((tmp_path / "s.json").read_text())["failed"]["a"]
    assert "no estimate for bass, drums, other; there are accompaniment, vocals" in failed
    assert "score with --sources vocals,accompaniment" in failed


def test_a_mixture_made_of_stems_counts_the_accompaniment_once(tmp_path: Path) -> None:
    make_songs(tmp_path, {"a": (*SOURCES, "accompaniment")})
    (song,) = find_songs(tmp_path)
    assert np.allclose(read(song.mixture_or_sum()), sum(noise(seed) for seed in range(4)), atol=1e-12)


def test_options_are_recorded_and_shown_by_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, estimates = tmp_path / "set", tmp_path / "ours"
    make_songs(references, {"a": SOURCES, "b": SOURCES, "c": SOURCES})
    make_songs(estimates, {"a": SOURCES, "b": SOURCES, "c": SOURCES}, spoil=0.1)
    write(estimates / "b" / "bass.wav", noise(10, 4000, 1), RATE)
    plain, fitting = tmp_path / "plain.json", tmp_path / "fitted.json"
    assert score(references, estimates, "--json", plain) == 1
    options = ("--length", "pad", "--channels", "match")
    assert score(references, estimates, *options, "--system", "fitted", "--json", fitting) == 0
    assert "scored with --length pad --channels match; stems of 1 songs were converted" in capsys.readouterr().out
    documents = [read_scores(path) for path in (plain, fitting)]
    assert documents[0]["options"] == {"length": "exact", "resample": False, "channels": "exact"}
    assert documents[1]["options"] == {"length": "pad", "resample": False, "channels": "match"}
    assert documents[1]["notes"] == {
        "b": ["estimate bass converted from 1 to 2 channels", "estimate bass padded with 1000 zeros at its end"]
    }
    expected = np.pad(np.repeat(noise(10, 4000, 1), 2, axis=1), ((0, 1000), (0, 0)))
    assert documents[1]["metrics"]["mdx"]["songs"]["b"]["bass"] == pytest.approx(global_sdr(noise(10), expected))
    assert documents[1]["metrics"]["mdx"]["songs"]["a"] == documents[0]["metrics"]["mdx"]["songs"]["a"]
    text = replay([plain, fitting], rng=np.random.default_rng(0), n_resamples=10).text(tolerance_db=0.02)
    text = " ".join(text.split())
    assert "(3 songs, --length pad --channels match)" in text
    assert "scored with --length pad --channels match against estimates as they are" in text


def test_options_of_a_damaged_scores_file_are_no_traceback() -> None:
    assert options_in_words(None) == options_in_words([1]) == options_in_words({"length": 3}) == ""
    assert options_in_words({"length": "pad", "resample": True}) == "--length pad --resample"
