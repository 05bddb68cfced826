"""A conditioned checkpoint of one's own, from its file to stems: manifest, systems.toml, `separate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.batch.recipe import weights_by_content
from my_submission.cli import main as mdx
from my_submission.predictor import load
from my_submission.stems import LASAFT_SOURCES
from tests.lasaft_checkpoints import vector, write_checkpoint
from tests.networks.test_lasaft_options import snr_db

SYSTEMS = """schema = 1
[[systems]]
name = "mine"
[[systems.branches]]
kind = "conditioned"
network = "mine/network"
sources = ["bass", "drums", "other", "vocals"]
trim_samples = 0
"""


def models_of(name: str, folder: Path) -> Path:
    """A models folder with one checkpoint; hop and frames are those that the checkpoint states."""
    write_checkpoint(name, folder)
    entry = {"name": "mine/network", "path": "network.ckpt", "sha256": None, "bytes": None, "format": "torch"}
    entry |= {"architecture": "lasaft" if name.startswith("v1") else "lasaft-v2", "sources": [], "licence": "mine"}
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "artefacts": [entry]}), encoding="utf-8")
    (folder / "systems.toml").write_text(SYSTEMS, encoding="utf-8")
    return folder


def separate(folder: Path, waves: np.ndarray, into: Path) -> int:
    song = into / "song.wav"
    soundfile.write(song, waves, 44_100, subtype="FLOAT")
    chosen = ["-n", "mine", "--models-dir", str(folder), "--allow-unverified", "--device", "cpu"]
    return mdx(["separate", str(song), "-o", str(into / "stems"), "--bit-depth", "32f", "-q", *chosen])


@pytest.mark.parametrize("name", ["v1_gpocm_tfc", "v2_gn"])
def test_a_checkpoint_becomes_stems(tmp_path: Path, name: str) -> None:
    """At least 100 dB from what the original separates; the song is one chunk of training."""
    folder, arrays = models_of(name, tmp_path / "models"), vector(name)
    assert separate(folder, arrays["input/wave"][0], tmp_path) == 0
    (stem,) = (tmp_path / "stems").rglob(f"*{LASAFT_SOURCES[int(arrays['input/source_index'][0])]}.wav")
    separated, _ = soundfile.read(stem, dtype="float32")
    assert snr_db(arrays["output/separated"][0], separated) >= 100


def test_other_options_are_another_system_in_records(tmp_path: Path) -> None:
    """So that --skip-existing does not keep stems of other options, in one process and in a catalogue alike."""
    folder = models_of("v2_gn", tmp_path / "models")
    settings = {"models_dir": str(folder), "allow_unverified": True}
    (folder / "config.yaml").rename(folder / "hparams.yaml")
    first = weights_by_content("mine", settings)
    assert set(first) == {"mine/network", "mine/network (hparams.yaml)", "systems.toml"}
    loaded = load("mine", device="cpu", threads=1, models_dir=folder, allow_unverified=True)
    assert loaded.system.weight_digests == first
    (folder / "network.ckpt.toml").write_text('last_activation = "identity"', encoding="utf-8")
    assert weights_by_content("mine", settings) != first


def test_a_checkpoint_without_options_is_refused_with_the_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = models_of("v2_gn", tmp_path / "models")
    (folder / "config.yaml").unlink()
    assert separate(folder, vector("v2_gn")["input/wave"][0], tmp_path) == 1
    message = capsys.readouterr().err
    for text in ("network.ckpt", "spec_est_mode", "into network.ckpt.toml beside it", "'leaky_relu'"):
        assert text in message
    assert not list((tmp_path / "stems").rglob("*.wav"))
