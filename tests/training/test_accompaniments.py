"""Scores on accompaniments: what is heard, what counts, and a joint graph run over a whole song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluator.metrics import global_sdr
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform
from tests.training.test_joint import network, small
from tests.training_songs import write_audio_song
from training.cli import main
from training.data.songs import require_song
from training.export.spectral import export_joint
from training.modules.base import module_settings
from training.modules.whole_songs import separate
from training.phase2.accompaniments import Scores, joint_separator, means, score, third


def test_vocals_are_not_heard_and_silent_sources_do_not_count(tmp_path: Path) -> None:
    song = require_song(write_audio_song(tmp_path / "song", ["bass", "other", "vocals"]))
    bass, _, other, _ = song.stacked()
    (scores,) = score(song, {"a third": third})
    assert list(scores.sdr_db) == ["bass", "other"]
    assert scores.sdr_db["bass"] == pytest.approx(global_sdr(bass, (bass + other) / 3), abs=1e-4)
    assert scores.mean_db == pytest.approx(np.mean(list(scores.sdr_db.values())))


def test_means_are_those_of_the_songs_that_have_a_source() -> None:
    (mean,) = means([Scores("a", "x", {"bass": 1.0, "drums": 2.0}), Scores("b", "x", {"bass": 3.0})])
    assert mean.sdr_db == {"bass": 2.0, "drums": 2.0}


def below_the_cutoff(song: Waveform, stft: StftGeometry) -> Waveform:
    """A song without the bins that a network does not see, and 16 below them; the graph gives shares of those."""
    spectrum = np.fft.rfft(song)
    spectrum[:, int(spectrum.shape[1] * (stft.kept_bins - 16) / stft.n_bins) :] = 0
    return np.fft.irfft(spectrum, song.shape[1]).astype(np.float32)


@pytest.mark.slow
def test_a_graph_separates_as_its_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = small("run.precision=32-true")
    module = module_settings(experiment).module(experiment, total_steps=1)
    path = tmp_path / "joint.onnx"
    export_joint(network(experiment), experiment.export_chunking, experiment.targets, path)
    folder = write_audio_song(tmp_path / "song", ["bass", "drums", "other"])
    accompaniment = below_the_cutoff(require_song(folder).stacked()[:3].sum(axis=0), experiment.chunking.stft)
    estimates = joint_separator(path, threads=1)(accompaniment)
    assert list(estimates) == ["bass", "drums", "other"]
    expected = separate(module.estimate, experiment.chunking, torch.from_numpy(accompaniment)).numpy()
    for source, stem in zip(experiment.targets, expected, strict=True):  # what is left is leakage at the song's ends
        assert global_sdr(stem, estimates[source]) > 45, source
        np.testing.assert_allclose(estimates[source][:, 2_000:-2_000], stem[:, 2_000:-2_000], atol=1e-4)
    assert main(["score-accompaniments", str(folder), "--graphs", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["song", "song", "mean of songs", "mean of songs"]
    with pytest.raises(WeightsError, match=r"bass\.wav: is not a joint-tfc-tdf graph"):
        joint_separator(folder / "bass.wav")
