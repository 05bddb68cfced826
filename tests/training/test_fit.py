"""A training run from end to end on tiny songs: it learns, survives a kill, is shared by processes, and is loaded."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import my_submission as mdx
from evaluator.metrics import global_sdr
from my_submission.errors import MdxError
from my_submission.stems import MUSIC_SOURCES
from my_submission.weights import ModelsFolder
from tests.training_songs import synthetic_stem, write_spooled_songs
from training.examples.loading import RunData, read_data
from training.experiment import Experiment
from training.export.manifest import record_mixer
from training.loop.checkpoints import LAST, load_module, read_checkpoint
from training.loop.fitting import FitReport, fit
from training.modules import tfc_tdf
from training.modules.base import module_settings
from training.modules.registry import load_experiment
from training.modules.whole_songs import separate
from training.optimisation.losses import LossName, LossOptions, LossValues
from training.phase2.mixer import MixerSettings, save_mixer
from training.phase2.mixer import fit as fit_mixer
from training.phase2.separated import network_predictor, separate_songs
from training.settings.strict import SettingsError

pytestmark = pytest.mark.slow

LEARNING = ("run.epochs=1", "run.epoch_steps=75", "schedule.cooldown_steps=30")
ROOT = Path(__file__).resolve().parents[2]
MIN_GAIN_DB = 5.0


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("songs")
    write_spooled_songs(root / "train", range(3))
    write_spooled_songs(root / "valid", (8, 9), seconds=2.0)
    return root


def tiny(*overrides: str) -> Experiment:
    return load_experiment("tiny", overrides)


def data_of(experiment: Experiment, songs: Path) -> RunData:
    return read_data(experiment, [songs / "train"], [songs / "valid"])


def run(experiment: Experiment, songs: Path, runs: Path) -> FitReport:
    return fit(experiment, data_of(experiment, songs), name="tiny", runs=runs, cache=runs / "cache")


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(checkpoint)["state_dict"]
    return state


def logged(folder: Path, column: str) -> dict[int, float]:
    """Step to value, over all starts of a run."""
    found = {}
    for path in sorted(folder.glob("logs/csv/version_*/metrics.csv")):
        with path.open(newline="") as file:
            found |= {int(row["step"]): float(row[column]) for row in csv.DictReader(file) if row.get(column)}
    return found


@pytest.fixture(scope="module")
def trained(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    report = run(tiny(*LEARNING), songs, runs)
    assert report.steps == 75
    return runs


def test_seventy_five_steps_gain_more_than_5_db(trained: Path, songs: Path) -> None:
    """75 steps raise the SDR of songs it never saw by more than 5 dB over the untrained network's."""
    experiment = tiny(*LEARNING)
    untrained = module_settings(experiment).module(experiment, total_steps=1).eval()
    last = load_module(trained / "tiny" / "checkpoints" / LAST)
    stems = np.stack([synthetic_stem(source, 8, 2.0) for source in MUSIC_SOURCES])
    mixture = torch.from_numpy(stems.sum(axis=0))
    before, after = (
        np.mean([global_sdr(stem, estimate) for stem, estimate in zip(stems, estimates, strict=True)])
        for estimates in (separate(m.estimate, experiment.chunking, mixture).numpy() for m in (untrained, last))
    )
    assert after > before + MIN_GAIN_DB
    (sdr,) = logged(trained / "tiny", "val/sdr").values()
    assert sdr > MIN_GAIN_DB


def test_the_runs_folder_is_a_models_folder(trained: Path, songs: Path, tmp_path: Path) -> None:
    """Networks as trained, a Mixer fitted to them, and the predictor loads the lot."""
    predictor = network_predictor(trained, "starter", device="cpu")
    validation = data_of(tiny(*LEARNING), songs).validation
    separated = list(separate_songs(predictor, validation, window_samples=44_100))
    fitted = fit_mixer(separated, MixerSettings())
    save_mixer(fitted.matrix, trained / "starter" / "mixer.ckpt")
    record_mixer(trained, "starter", trained / "starter" / "mixer.ckpt", licence="MIT")
    stems = mdx.load("starter", models_dir=trained, device="cpu").separate(validation[0].stacked().sum(axis=0))
    assert tuple(stems) == MUSIC_SOURCES
    assert all(fitted.with_db[source] >= fitted.without_db[source] - 0.05 for source in MUSIC_SOURCES)
    artefact = ModelsFolder(trained).artefact("starter/vocals")
    assert (artefact.target, artefact.architecture, artefact.licence) == ("vocals", "tfc-tdf", "unpublished")
    assert artefact.geometry is not None
    assert (artefact.geometry.n_fft, artefact.geometry.hop) == (512, 256)


def test_a_checkpoint_explains_itself(trained: Path) -> None:
    module = load_module(trained / "tiny" / "checkpoints" / LAST)
    assert module.experiment == tiny(*LEARNING)
    assert module.evaluated is module.averaged
    trained_weights, averaged = module.network.state_dict(), module.evaluated.state_dict()
    assert any(not torch.equal(trained_weights[name], averaged[name]) for name in averaged)


SHORT = (
    'targets=["drums"]',
    "data.batch=5",
    "data.micro_batch=5",
    "run.epoch_steps=3",
    "run.epochs=3",
    "run.log_every_steps=1",
    'run.loggers=["csv"]',
    "validation.max_seconds=0.5",
)

N_STEPS = 9


def command(songs: Path, runs: Path, *overrides: str) -> list[str]:
    words = ["fit", "tiny", "--data", str(songs / "train"), "--valid", str(songs / "valid"), "--runs", str(runs)]
    return [sys.executable, "-m", "training", *words, "--cache", str(runs / "cache"), *SHORT, *overrides]


@pytest.fixture(scope="module")
def unbroken(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("unbroken")
    run(tiny(*SHORT), songs, runs)
    return runs / "tiny"


def test_the_graphs_are_those_of_the_best_checkpoint_and_dropped_with_theirs(unbroken: Path) -> None:
    """After three epochs, each of which wrote a graph: those of the best and of the last remain."""
    (best,) = (path for path in (unbroken / "checkpoints").iterdir() if path.name != LAST)
    assert {best.stem} <= {path.name for path in (unbroken / "onnx").iterdir()} <= {best.stem, "step_0000009"}
    assert ModelsFolder(unbroken.parent).artefact("starter/drums").path == f"tiny/onnx/{best.stem}/drums.onnx"
    assert list(logged(unbroken, "val/sdr")) == [2, 5, 8]


KILLED_AT_LOSS = """
import os, runpy, signal, sys
from training.modules import tfc_tdf
known, calls = tfc_tdf.loss_of, iter(range(1000))
def dying(*values):
    if next(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return known(*values)
tfc_tdf.loss_of = dying
runpy.run_module("training", run_name="__main__")
"""
"""The program, ended without warning in the second step of its second epoch."""


def test_a_killed_run_resumes_to_the_same_weights(unbroken: Path, songs: Path, tmp_path: Path) -> None:
    """Bit for bit the same in the end, from the checkpoint of its first epoch."""
    last = tmp_path / "tiny" / "checkpoints" / LAST
    python, _, _, *words = command(songs, tmp_path)
    done = subprocess.run([python, "-c", KILLED_AT_LOSS, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_checkpoint(last)["global_step"] == 3
    run(tiny(*SHORT), songs, tmp_path)
    first, second = weights(unbroken / "checkpoints" / LAST), weights(last)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert read_checkpoint(last)["global_step"] == N_STEPS


def test_two_processes_follow_the_curve_of_one(unbroken: Path, songs: Path, tmp_path: Path) -> None:
    """DDP over gloo: three windows for one process, two for the other; the loss of every step within one per cent."""
    words = command(songs, tmp_path, "run.devices=2")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = logged(unbroken, "train/loss"), logged(tmp_path / "tiny", "train/loss")
    assert list(one) == list(two) == list(range(N_STEPS))
    for step, loss in one.items():
        assert two[step] == pytest.approx(loss, rel=0.01)
    assert logged(tmp_path / "tiny", "val/sdr")[N_STEPS - 1] == pytest.approx(
        logged(unbroken, "val/sdr")[N_STEPS - 1], abs=0.05
    )


def test_accumulation_and_recomputed_activations_change_nothing(unbroken: Path, songs: Path, tmp_path: Path) -> None:
    """Parts of two, two and one windows."""
    run(tiny(*SHORT, "data.micro_batch=2", "run.checkpoint_activations=true"), songs, tmp_path)
    for step, loss in logged(unbroken, "train/loss").items():
        assert logged(tmp_path / "tiny", "train/loss")[step] == pytest.approx(loss, rel=1e-3)


def test_a_run_of_another_experiment_is_not_gone_on_with(unbroken: Path, songs: Path) -> None:
    with pytest.raises(SettingsError, match=r"optimiser\.learning_rate"):
        run(tiny(*SHORT, "optimiser.learning_rate=0.1"), songs, unbroken.parent)


@pytest.mark.parametrize("micro_batch", [2, 4])
def test_a_loss_that_is_not_finite_ends_the_run_and_names_its_windows(
    micro_batch: int, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last part of step 4, of the second epoch; the checkpoint of the first is what it was."""
    calls = iter(range(1000))
    n_parts = 4 // micro_batch
    known = tfc_tdf.loss_of

    def broken(name: LossName, outcome: LossValues, weights: torch.Tensor, options: LossOptions) -> torch.Tensor:
        loss = known(name, outcome, weights, options)
        return loss * torch.nan if next(calls) == 5 * n_parts - 1 else loss

    monkeypatch.setattr(tfc_tdf, "loss_of", broken)
    experiment = tiny(*SHORT, "data.batch=4", f"data.micro_batch={micro_batch}", "validation.every_epochs=9")
    with pytest.raises(MdxError, match=r"the loss of step 4 is nan with window") as raised:
        run(experiment, songs, tmp_path)
    numbers = [int(word) for word in re.findall(r"window (\d+) of", str(raised.value))]
    assert numbers == list(range(20 - micro_batch, 20))
    assert str(songs / "train" / "song") in str(raised.value)
    assert "bass.npy" in str(raised.value)
    assert read_checkpoint(tmp_path / "tiny" / "checkpoints" / LAST)["global_step"] == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize(
    ("override", "hint"), [("run.precision=16-mixed", "bf16-mixed"), ("run.accelerator=gpu", "cpu")]
)
def test_what_needs_a_gpu_is_refused_without_one(override: str, hint: str, songs: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=hint):
        run(tiny(*SHORT, override), songs, tmp_path)


def test_it_ends_when_validation_no_longer_improves(songs: Path, tmp_path: Path) -> None:
    """An improvement of 1000 dB is never seen, so the first validation without it ends the run."""
    changes = ("run.epochs=9", "run.epoch_steps=1", "validation.patience=1", "validation.min_delta_db=1000")
    assert run(tiny(*SHORT, *changes), songs, tmp_path).steps == 2


def test_without_validation_the_last_checkpoint_counts(songs: Path, tmp_path: Path) -> None:
    experiment = tiny(*SHORT, "run.epochs=1", "run.epoch_steps=1", "run.ema=0.0", "run.precision=bf16-mixed")
    report = fit(experiment, read_data(experiment, [songs / "train"]), name="a/b", runs=tmp_path, cache=tmp_path / "c")
    assert (report.best, report.best_sdr_db, report.steps) == (None, None, 1)
    assert ModelsFolder(tmp_path).artefact("starter/drums").path == "a/b/onnx/step_0000001/drums.onnx"
    module = load_module(report.last)
    assert module.averaged is None
    assert module.evaluated is module.network
