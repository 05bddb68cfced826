"""The joint network: its graph's contract, training from an exported graph, other data in a resumed run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from my_submission.errors import WeightsError
from my_submission.networks.joint_tfc_tdf import Band, JointConfig, JointNet
from my_submission.weights import ModelsFolder
from tests.training_songs import write_spooled_songs
from training.examples.loading import read_data
from training.experiment import Experiment
from training.export.spectral import export_joint
from training.loop.checkpoints import LAST, load_module, resumable
from training.loop.fitting import fit
from training.modules.base import module_settings
from training.modules.initial_weights import start_joint_from
from training.modules.registry import load_experiment
from training.settings.strict import SettingsError

SMALL = (
    "network.band_bins=[32, 96]",
    "network.band_folding=[1, 6]",
    "network.widths=[4, 6, 8]",
    "transform.n_fft=512",
    "transform.hop=256",
    "transform.kept_bins=128",
    "transform.frames=32",
    "augment.effects=[]",
    "data.workers=0",
    "run.epochs=1",
    "run.epoch_steps=2",
    "run.accelerator=cpu",
    "run.threads=1",
    'run.loggers=["csv"]',
)


def small(*overrides: str, **collections: float) -> Experiment:
    experiment = load_experiment("starter-plus/accompaniment", [*SMALL, *overrides])
    return replace(experiment, data=replace(experiment.data, collections=collections))


def network(experiment: Experiment) -> JointNet:
    found = module_settings(experiment).module(experiment, total_steps=1).network
    assert isinstance(found, JointNet)
    return found.eval()


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spooled_songs(tmp_path_factory.mktemp("joint") / "songs", range(2), seconds=2.0)


def test_an_untrained_mask_is_near_a_quarter_and_follows_the_level() -> None:
    net = network(small())
    x = torch.randn(1, 4, 128, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        estimate, louder = net(x), net(10.0 * x)
    assert estimate.shape == (1, 3, 4, 128, 32)
    assert float((estimate - 0.25 * x[:, None]).square().mean()) < 0.05 * float(x.square().mean())
    torch.testing.assert_close(louder, 10.0 * estimate, rtol=1e-3, atol=1e-3)


def test_silence_stays_silent() -> None:
    with torch.no_grad():
        assert not network(small())(torch.zeros(1, 4, 128, 32)).any()


def test_a_mask_is_a_complex_factor_of_each_channel() -> None:
    """With a last layer that says j for the right channel of the second source, that is what comes out."""
    net = network(small())
    with torch.no_grad():
        for layer, folding in zip(net.last, (1, 6), strict=True):
            layer.weight.zero_()
            wanted = torch.zeros(3, 2, 2)
            wanted[1, 1, 1] = 1.0
            layer.bias.copy_(wanted.flatten().repeat_interleave(folding))
        x = torch.randn(1, 4, 128, 32, generator=torch.Generator().manual_seed(1))
        out = net(x)
    torch.testing.assert_close(out[0, 1, 2], -x[0, 3])
    torch.testing.assert_close(out[0, 1, 3], x[0, 2])
    assert not out[0, [0, 2]].any()
    assert not out[0, 1, :2].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bands": ()}, "a band"),
        ({"bands": (Band(bins=8, bins_per_row=1),), "widths": (4, 4, 4, 4, 4)}, "cannot be halved"),
        ({"outer_convs": 3}, "outer_convs"),
        ({"compression": 0.0}, "compression"),
    ],
)
def test_shapes_that_cannot_be_are_refused(fields: dict[str, object], message: str) -> None:
    shape: dict[str, object] = {"bands": (Band(bins=32, bins_per_row=1),), "widths": (4, 6)}
    with pytest.raises(ValueError, match=message):
        JointConfig(**{**shape, **fields})  # type: ignore[arg-type]


def test_the_bins_of_the_bands_are_those_of_the_transform() -> None:
    with pytest.raises(SettingsError, match="band_bins"):
        small("transform.kept_bins=96")


def test_the_graph_keeps_its_contract_and_brings_its_weights_back(tmp_path: Path) -> None:
    experiment = small()
    net = network(experiment)
    path = tmp_path / "accompaniment.onnx"
    export_joint(net, experiment.export_chunking, experiment.targets, path, half_weights=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 4, 128, 32]
    assert session.get_outputs()[0].shape == ["batch", 3, 4, 128, 32]
    assert session.get_modelmeta().custom_metadata_map == {
        "n_fft": "512",
        "hop": "256",
        "architecture": "joint-tfc-tdf",
        "sources": "bass,drums,other",
    }
    other = network(small("seed=5"))
    start_joint_from(other, experiment.targets, path)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    with pytest.raises(WeightsError, match=r"accompaniment\.onnx"):
        start_joint_from(network(small("network.widths=[4, 6, 10]")), experiment.targets, path)


def test_a_network_of_more_sources_starts_from_a_graph_of_some(tmp_path: Path) -> None:
    experiment = small()
    net = network(experiment)
    path = tmp_path / "accompaniment.onnx"
    export_joint(net, experiment.export_chunking, experiment.targets, path)
    more = small('targets=["vocals", "drums", "bass", "other"]')
    wider, untouched = network(more), network(more)
    start_joint_from(wider, more.targets, path)
    x = torch.randn(1, 4, 128, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        estimate, expected = wider(x), net(x)
    for source, of_three in zip(experiment.targets, expected[0], strict=True):
        torch.testing.assert_close(estimate[0, more.targets.index(source)], of_three, rtol=1e-5, atol=1e-5)
    for layer, as_drawn in zip(wider.last, untouched.last, strict=True):
        n_rows = len(layer.weight) // 4
        assert torch.equal(layer.weight[:n_rows], as_drawn.weight[:n_rows])
    fewer = small('targets=["drums", "bass"]')
    with pytest.raises(WeightsError, match="the graph predicts bass, drums, other, the network drums, bass"):
        start_joint_from(network(fewer), fewer.targets, path)


def test_a_run_makes_the_artefact_and_another_begins_with_it(songs: Path, tmp_path: Path) -> None:
    experiment = small("run.ema=0.5", "run.precision=32-true")
    fit(experiment, read_data(experiment, [songs]), name="a", runs=tmp_path, cache=tmp_path / "cache")
    artefact = ModelsFolder(tmp_path).artefact("starter-plus/accompaniment")
    assert (artefact.architecture, artefact.target) == ("joint-tfc-tdf", None)
    graph = tmp_path / artefact.path
    again = small(f'network.start="{graph}"')
    module = module_settings(again).module(again, total_steps=1)
    module_settings(again).initialise(module, again, [])  # type: ignore[arg-type]
    trained = load_module(tmp_path / "a" / "checkpoints" / LAST).evaluated.state_dict()
    for name, value in module.network.state_dict().items():
        np.testing.assert_allclose(value, trained[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_resumed_run_may_have_other_data_where_it_says_so(songs: Path, tmp_path: Path) -> None:
    experiment = small("run.epoch_steps=1", "run.precision=32-true")
    fit(experiment, read_data(experiment, [songs]), name="a", runs=tmp_path, cache=tmp_path / "cache")
    last = tmp_path / "a" / "checkpoints" / LAST
    changes = ("run.epoch_steps=1", "run.precision=32-true", "augment.coherent=0.9")
    with pytest.raises(SettingsError, match=r"augment\.coherent .*, data\.collections\.songs"):
        resumable(last, small(*changes, "run.may_change_data=false", songs=1.0))
    resumable(last, small(*changes, "run.may_change_data=true", songs=1.0))
    with pytest.raises(SettingsError, match=r"data\.batch"):
        resumable(last, small(*changes, "data.batch=8", "run.may_change_data=true"))
