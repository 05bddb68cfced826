"""The command line of training: settings anywhere on the line, one line for a failure, every stage from end to end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import MUSIC_SOURCES
from my_submission.weights import ModelsFolder
from tests.training_songs import synthetic_stem, write_audio_song, write_spooled_songs
from training.cli import main, parser
from training.phase2.blending import BlendStatistics, choose_share, fit_share

pytestmark = pytest.mark.needs("torch", "lightning")

QUICK = ("run.epochs=1", "run.epoch_steps=1", "validation.max_seconds=0.3")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spooled_songs(tmp_path_factory.mktemp("data") / "songs", (0, 1), seconds=1.0)


@pytest.fixture(scope="module")
def runs(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one that took a single step."""
    folder = tmp_path_factory.mktemp("runs")
    words = ["fit", "tiny", "--data", str(songs), 'data.held_out=["song1"]', "--runs", str(folder), "--cache"]
    assert main([*words, str(folder / "cache"), *QUICK]) == 0
    return folder


def test_every_stage_has_a_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    stages = "decode render sing stretch configs fit export bench-step bench-data mixer blend score"
    assert all(stage in said for stage in stages.split())
    assert parser().prog == "python -m training"


def test_configurations_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    listed = capsys.readouterr().out.split()
    assert {f"kuielab-{board}/{s}" for board in "ab" for s in MUSIC_SOURCES} <= set(listed)
    assert {f"starter/{s}" for s in MUSIC_SOURCES} | {"tiny", "mixer"} <= set(listed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "tinny", "--data", "x"], "use tiny|Use tiny"),
        (["fit", "tiny", "--data", "nowhere"], "nowhere: is not a folder"),
        (["fit", "tiny", "--data", "nowhere", "data.bach=1"], "no key 'bach'"),
        (["mixer", "x", "--models-dir", "nowhere"], "no manifest.json here"),
        (["export", "nowhere.ckpt", "--models", "x"], r"nowhere.ckpt: cannot be read"),
    ],
)
def test_a_failure_is_one_line_and_a_code(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    said = capsys.readouterr().err
    assert any(option in said for option in message.split("|"))
    assert "Traceback" not in said


def test_a_stage_without_settings_refuses_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["configs", "data.batch=4"])
    assert ended.value.code == 2
    assert "takes no settings" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_is_exported_to_a_models_folder(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(runs / "tiny" / "checkpoints" / "last.ckpt"), "--models", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("parity") == 4
    folder = ModelsFolder(tmp_path)
    for source in MUSIC_SOURCES:
        exported, run = folder.require(f"starter/{source}"), ModelsFolder(runs).require(f"starter/{source}")
        assert exported == tmp_path / "starter" / f"{source}.onnx"
        assert exported.read_bytes() == run.read_bytes()


def test_mixer_and_score_print_their_tables(
    runs: Path, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(runs, models)
    folders = [str(songs / name) for name in ("song0", "song1")]
    for method in ("closed-form", "rmsprop"):
        words = [f"method={method}", 'held_out=["song1"]', "window_samples=8192"]
        assert main(["mixer", *folders, "--models-dir", str(models), *words]) == 0
        said = capsys.readouterr().out
        assert said.startswith(method)
        assert "global SDR in dB over 1 held-out songs" in said
        assert [line.split()[0] for line in said.splitlines()[1:4]] == ["without", "with", "gain"]
    assert main(["score", folders[1], "--models-dir", str(models)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition("  ")[0] for row in rows] == [
        f"song1: {what}" for what in ("mixture/4", "networks", "with Mixer")
    ]
    assert ModelsFolder(models).require("starter/mixer").name == "mixer.ckpt"


def test_mixers_are_compared_and_none_is_kept(
    runs: Path, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(runs, models)
    words = ["mixer", *(str(songs / name) for name in ("song0", "song1")), "--models-dir", str(models), "--compare"]
    assert main([*words, 'held_out=["song1"]', "window_samples=8192", "descent.epochs=3"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition("  ")[0] for row in rows[1:6]] == [
        "no Mixer",
        "RMSprop, 3 epochs",
        "RMSprop, converged",
        "closed form, no ridge",
        "closed form, ridge 0.1",
    ]
    assert all(f" {source} " in row for row in rows[1:6] for source in MUSIC_SOURCES)
    assert rows[6].startswith("converged RMSprop and the closed form differ by")
    assert not list(models.rglob("mixer.ckpt"))
    assert main(words) == 1
    assert "no song is held out to compare on" in capsys.readouterr().err


def test_a_blend_is_fitted_to_two_folders_of_estimates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first system is right, the second is silent: the whole share goes to the first."""
    for name in ("a", "b"):
        write_audio_song(tmp_path / "true" / name, MUSIC_SOURCES, seed=ord(name), seconds=0.2)
        write_audio_song(tmp_path / "first" / name, MUSIC_SOURCES, seed=ord(name), seconds=0.2)
        for source in MUSIC_SOURCES:
            (tmp_path / "second" / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / "second" / name / f"{source}.wav", np.zeros((8820, 2)), SAMPLE_RATE)
    assert main(["blend", *(str(tmp_path / part) for part in ("true", "first", "second"))]) == 0
    assert capsys.readouterr().out.count("share of the first 1.000") == 4


def test_a_share_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    songs = []
    for seed in range(3):
        stem = synthetic_stem("other", seed, 0.2)
        first, second = (stem + level * rng.normal(size=stem.shape) for level in (0.02, 0.04))
        songs.append(BlendStatistics.of(first.astype(np.float32), second.astype(np.float32), stem))
    best = fit_share(songs)
    scores = {share: np.mean([song.sdr(share) for song in songs]) for share in (best, *np.linspace(0, 1, 101))}
    assert scores[best] >= max(scores.values()) - 1e-3
    assert best == pytest.approx(0.8, abs=0.02)  # independent errors count by the inverse of their power
    choice = choose_share(songs)
    assert choice.held_out_sdr_db > max(choice.first_sdr_db, choice.second_sdr_db)
    with pytest.raises(ValueError, match="two songs"):
        choose_share(songs[:1])


def test_benches_print_what_training_costs(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-step", "tiny", "--steps", "2", "data.micro_batch=2"]) == 0
    said = capsys.readouterr().out
    assert "4 windows per step (2 at once), 32-true, CPU" in said
    assert "peak memory" in said
    assert main(["bench-data", "tiny", "--data", str(songs), "--cache", str(tmp_path), "--batches", "3"]) == 0
    assert "windows/s with 0 workers" in capsys.readouterr().out


def test_songs_are_decoded_and_stretched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = write_audio_song(tmp_path / "train" / "tune", ["bass"])
    assert main(["decode", str(song), "--collection", "c", "--corpus", str(tmp_path)]) == 0
    assert (tmp_path / "c" / "tune" / "bass.npy").is_file()
    assert main(["decode", str(tmp_path / "none"), "--collection", "c", "--corpus", str(tmp_path)]) == 1
    assert "neither a song folder" in capsys.readouterr().err
    if shutil.which("soundstretch") is None:
        pytest.skip("the program soundstretch is not installed")
    words = ["stretch", str(tmp_path / "train"), "--out", str(tmp_path), "--semitones", "1", "--tempo-percent", "0"]
    assert main(words) == 0
    assert (tmp_path / "train_p=1_t=0" / "tune" / "bass.wav").is_file()
