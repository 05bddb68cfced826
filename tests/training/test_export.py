"""ONNX export: the published contract, parity with torch, weights in half precision."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet
from training.export.graphs import PARITY_DB, rounded_to_half
from training.export.spectral import export
from training.modules.base import module_settings
from training.modules.registry import load_experiment

PUBLISHED_FORM = TfcTdfConfig(bins=32, depth=5, growth=4)
STARTER_FORM = TfcTdfConfig(
    bins=64,
    depth=5,
    growth=8,
    convs_per_block=2,
    bottleneck=4,
    norm="instance",
    output="complex_mask",
    bins_per_row=4,
    compression=0.3,
)


def geometry_of(config: TfcTdfConfig, frames: int) -> SpectralChunking:
    return SpectralChunking(StftGeometry(4 * config.bins, config.bins, config.bins), frames)


def seeded(config: TfcTdfConfig) -> TfcTdfNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return TfcTdfNet(config)


@pytest.mark.parametrize("config", [PUBLISHED_FORM, STARTER_FORM])
@pytest.mark.parametrize("frames", [8, 20])
@pytest.mark.parametrize("half_weights", [False, True])
def test_parity_at_several_sizes(config: TfcTdfConfig, frames: int, half_weights: bool, tmp_path: Path) -> None:
    net = seeded(config)
    written = export(net, geometry_of(config, frames), "bass", tmp_path / "net.onnx", half_weights=half_weights)
    session = onnxruntime.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(3).normal(size=(3, 4, config.bins, frames)).astype(np.float32)
    (actual,) = session.run(["output"], {"input": x})
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(x)).numpy()
    snr = 10 * np.log10(np.sum(expected**2) / np.sum((expected - actual) ** 2))
    assert min(snr, written.parity_db) > PARITY_DB
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert written.n_bytes == written.path.stat().st_size


def test_an_exported_graph_has_the_expected_inputs_outputs_and_metadata(tmp_path: Path) -> None:
    path = export(seeded(STARTER_FORM), geometry_of(STARTER_FORM, 8), "vocals", tmp_path / "net.onnx").path
    model = onnx.load(path)
    (entry,), (result,) = model.graph.input, model.graph.output
    assert (entry.name, result.name) == ("input", "output")
    for value in (entry, result):
        batch, *fixed = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch_size"
        assert [d.dim_value for d in fixed] == [4, 64, 8]
    assert next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}) >= 13
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    props = {p.key: p.value for p in model.metadata_props}
    assert props == {"n_fft": "256", "hop": "64", "target": "vocals", "architecture": "tfc-tdf"}


def test_half_weights_are_smaller_and_close(tmp_path: Path) -> None:
    net, geometry = seeded(STARTER_FORM), geometry_of(STARTER_FORM, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    full = export(net, geometry, "bass", tmp_path / "full.onnx")
    half = export(net, geometry, "bass", tmp_path / "half.onnx", half_weights=True)
    assert half.n_bytes < 0.7 * full.n_bytes
    for name, value in net.state_dict().items():
        assert torch.allclose(value, before[name], rtol=1e-3, atol=1e-6)
    rounded = {name: value.clone() for name, value in net.state_dict().items()}
    rounded_to_half(net)
    assert all(torch.equal(value, rounded[name]) for name, value in net.state_dict().items())


def test_a_network_of_several_targets_is_refused(tmp_path: Path) -> None:
    config = TfcTdfConfig(bins=32, depth=5, growth=4, targets=2)
    with pytest.raises(ValueError, match="2 targets"):
        export(seeded(config), geometry_of(config, 8), "bass", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_training_mode_is_given_back(tmp_path: Path) -> None:
    net = seeded(PUBLISHED_FORM)
    net.train()
    export(net, geometry_of(PUBLISHED_FORM, 8), "bass", tmp_path / "net.onnx")
    assert net.training


SIZES = ("kuielab-a/vocals", "kuielab-b/vocals", "kuielab-b/drums", "starter/bass", "starter/drums", "starter/vocals")
"""Experiments whose graphs differ in shape; the published ones of one board share theirs."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_parity_at_every_size_of_the_experiments(name: str, tmp_path: Path) -> None:
    """Bins, frames and depth as configured; one channel wide and one convolution a block, to be quick."""
    experiment = load_experiment(name, ["network.growth=1", "network.convs_per_block=1"])
    module = module_settings(experiment).module(experiment, total_steps=1)
    (written,) = module.export_graphs(tmp_path)
    assert written.parity_db >= PARITY_DB
    (dims,) = ([d.dim_value for d in v.type.tensor_type.shape.dim[1:]] for v in onnx.load(written.path).graph.input)
    assert dims == [4, experiment.transform.kept_bins, experiment.export_chunking.frames]
