"""What a run refuses before its first step, with one line and the cure; and the system that a finished run makes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from my_submission.errors import MdxError, OutputError, WeightsError
from my_submission.geometry import SAMPLE_RATE
from my_submission.systems import SYSTEMS, systems_of
from my_submission.weights import ModelsFolder
from tests.training_songs import write_audio_song, write_spooled_songs
from training.cli import main
from training.examples.loading import RunData, read_data
from training.experiment import Experiment
from training.export.manifest import record_graphs
from training.export.own_systems import incomplete_system, own_name, separate_command, system_of_run
from training.loop import checks
from training.loop.checkpoints import resumable
from training.loop.checks import check_devices, check_folder, check_songs, check_space, needed_bytes
from training.modules.base import EXPERIMENT_KEY
from training.modules.registry import load_experiment
from training.settings.strict import SettingsError, to_table

pytestmark = pytest.mark.needs("torch", "lightning")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("songs")
    write_spooled_songs(root / "train", (0,), seconds=0.6)
    write_spooled_songs(root / "valid", (8,), seconds=0.6)
    return root


def data_of(songs: Path, experiment: Experiment, *, valid: bool = True) -> RunData:
    return read_data(experiment, [songs / "train"], [songs / "valid"] if valid else [])


def tiny(*overrides: str) -> Experiment:
    return load_experiment("tiny", overrides)


def test_songs_that_fit_are_accepted(songs: Path) -> None:
    experiment = tiny()
    check_songs(experiment, data_of(songs, experiment))
    check_songs(experiment, data_of(songs, experiment, valid=False))


@pytest.mark.parametrize(
    ("overrides", "problem", "cure"),
    [
        (["run.devices=2", "data.micro_batch=2"], "1 validation songs for 2 processes", "run.devices=1"),
        (["data.window_seconds=0.7"], r"bass\.npy: is 0.60 s, shorter than a window of 0.70 s", "pad_short_stems"),
    ],
)
def test_songs_that_do_not_fit_are_refused(overrides: list[str], problem: str, cure: str, songs: Path) -> None:
    experiment = tiny(*overrides)
    with pytest.raises(MdxError, match=problem) as raised:
        check_songs(experiment, data_of(songs, experiment))
    assert cure in str(raised.value)


def test_an_epoch_of_fewer_windows_than_a_batch_is_refused(songs: Path) -> None:
    experiment = tiny("data.batch=64", "data.windows_per_song=8")
    experiment = replace(experiment, run=replace(experiment.run, epoch_steps=None))
    with pytest.raises(MdxError, match=r"an epoch has 8 windows of 0.18 s, fewer than data.batch=64.*epoch_steps"):
        check_songs(experiment, data_of(songs, experiment))


def test_short_stems_are_padded_on_request(songs: Path) -> None:
    experiment = tiny("data.window_seconds=0.7", "data.pad_short_stems=true")
    check_songs(experiment, data_of(songs, experiment))


def _without_drums(song: Path) -> None:
    (song / "drums.npy").unlink()


def _silent_drums(song: Path) -> None:
    np.save(song / "drums.npy", np.zeros((26_460, 2), dtype=np.int16))


def _short_drums(song: Path) -> None:
    np.save(song / "drums.npy", np.load(song / "drums.npy")[:13_230])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without_drums, "no validation song has a stem of drums"),
        (_silent_drums, "no validation song has an audible stem of drums"),
        (_short_drums, r"drums\.npy: is 0.3 s shorter than another stem of the song"),
    ],
)
def test_validation_songs_are_looked_at(
    change: Callable[[Path], None], problem: str, songs: Path, tmp_path: Path
) -> None:
    song = write_spooled_songs(tmp_path / "valid", (8,), seconds=0.6) / "song8"
    change(song)
    experiment = tiny()
    data = read_data(experiment, [songs / "train"], [tmp_path / "valid"])
    with pytest.raises(MdxError, match=problem):
        check_songs(experiment, data)


def test_training_songs_lack_no_source_and_uneven_ones_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    song = write_spooled_songs(tmp_path / "train", (0,), seconds=0.6) / "song0"
    np.save(song / "bass.npy", np.load(song / "bass.npy")[:12_000])
    experiment = tiny()
    with caplog.at_level(logging.WARNING):
        check_songs(experiment, read_data(experiment, [tmp_path / "train"]))
    assert "the stems of song0 differ in length by 0.3 s" in caplog.text
    (song / "vocals.npy").unlink()
    with pytest.raises(MdxError, match="no training song has a stem of vocals"):
        check_songs(experiment, read_data(experiment, [tmp_path / "train"]))


def test_songs_of_other_names_or_rates_are_told_by_their_files(tmp_path: Path) -> None:
    song = tmp_path / "data" / "tune"
    song.mkdir(parents=True)
    soundfile.write(song / "guitar.wav", np.zeros((100, 2)), SAMPLE_RATE)
    with pytest.raises(MdxError, match=r"contains no song folder.*guitar\.wav"):
        read_data(tiny(), [tmp_path / "data"])
    write_audio_song(song, ["bass"], rate=48_000)
    with pytest.raises(MdxError, match=r"bass\.wav: has 2 channels at 48000 Hz"):
        read_data(tiny(), [tmp_path / "data"])


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    run = tiny("run.accelerator=auto", "run.devices=4", "data.micro_batch=1").run
    with pytest.raises(SettingsError, match=r"this machine has 2 GPUs.*run\.devices=2"):
        check_devices(run)
    check_devices(replace(run, devices=2))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*cannot be written.*--runs"):
        check_folder(tmp_path / "file" / "run")
    check_folder(tmp_path / "runs" / "tiny")


def test_room_for_all_files_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1000 weights: two moments and an average in each of 2 whole and 2 best checkpoints, and 3 graphs."""
    network = torch.nn.Linear(1000, 1, bias=False)
    experiment = tiny("validation.keep_best=1")
    assert needed_bytes(experiment, network) == 4000 * (4 * 4 + 3)
    assert needed_bytes(tiny("run.save_weights_only=true"), network) == 4000 * (2 * 2 + 2 * 4 + 3)
    assert needed_bytes(tiny("run.keep_every_epochs=2"), network) == 4000 * (4 * 4 + 3 + 2 * 2)
    check_space(experiment, network, tmp_path)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OutputError, match=r"need 0.0 GB, but only 0.0 GB are free.*keep_best"):
        check_space(experiment, network, tmp_path)


def test_a_dry_run_says_what_would_happen(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "tiny", "--data", str(songs / "train"), "--valid", str(songs / "valid"), "--runs", str(tmp_path)]
    assert main([*words, "--check"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 training songs, 1 validation songs, ")
    assert "50 steps of 4 windows per epoch, at most 4 epochs" in said
    assert not (tmp_path / "tiny" / "checkpoints").exists()
    assert main([*words, "--check", "run.devices=3", "data.micro_batch=1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_trial_is_one_short_epoch() -> None:
    trial = load_experiment("kuielab-a/vocals", ["run.dev=true"]).for_trial()
    assert (trial.run.epochs, trial.run.epoch_steps, trial.validation.max_songs) == (1, 2, 1)
    assert trial.validation.max_seconds == 10.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"optimizer_states": []}, "contains only weights.*network.start"),
        ({"optimizer_states": [{}]}, r"started with another data\.batch \(4, now 8\)"),
    ],
)
def test_a_checkpoint_to_go_on_from_is_looked_at(content: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    torch.save({EXPERIMENT_KEY: to_table(tiny()), "state_dict": {}, "global_step": 3, **content}, path)
    with pytest.raises((WeightsError, SettingsError), match=message):
        resumable(path, tiny("data.batch=8"))


def test_names_of_systems_of_runs() -> None:
    assert own_name("My Run/Vocals #2") == "my-run/vocals-2"
    assert own_name("starter") == "starter-run"
    assert "starter" in SYSTEMS
    assert separate_command("tiny", Path("runs")) == "mdx separate SONG -o OUT --system tiny --models-dir runs"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny", "networks"),
        ("kuielab-a/vocals", "networks"),
        ("lasaft/tiny", "conditioned"),
        ("starter-plus/accompaniment", "joint"),
        ("aimless/demucs-split", "waveform"),
        ("aimless/mdx-hdemucs", "waveform"),
        ("aimless/cdx-bsrnn", None),
    ],
)
def test_the_networks_of_a_run_are_a_system(name: str, kind: str | None, tmp_path: Path) -> None:
    """Its entry is read back; the whole known system takes its place once all artefacts are there."""
    experiment = load_experiment(name)
    suffix = ".onnx" if experiment.network.is_graph else ".pt"
    for graph in experiment.network.graphs(experiment):
        (tmp_path / f"{graph}{suffix}").write_bytes(b"weights")
    record_graphs(tmp_path, experiment, tmp_path)
    found = [system_of_run(tmp_path, experiment, name) for _ in range(2)]
    known = incomplete_system(tmp_path, experiment)
    if known is not None and not known[1]:
        assert found == [known[0]] * 2
    elif kind is None:
        assert found == [None, None]
    else:
        assert found == [own_name(name)] * 2
        system = systems_of(ModelsFolder(tmp_path))[own_name(name)]
        assert set(system.artefacts) == {
            f"{experiment.family}/{graph}" for graph in experiment.network.graphs(experiment)
        }
        assert set(system.sources) == set(experiment.targets)
        assert f'kind = "{kind}"' in (tmp_path / "systems.toml").read_text()


def test_the_mixer_of_the_next_step_is_named(tmp_path: Path) -> None:
    assert incomplete_system(tmp_path, load_experiment("kuielab-a/vocals")) == (
        "kuielab-a-networks",
        ["kuielab-a/bass", "kuielab-a/drums", "kuielab-a/other", "kuielab-a/mixer"],
    )
    assert incomplete_system(tmp_path, load_experiment("starter/wide")) is not None
