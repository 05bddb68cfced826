"""Means of graphs: against the graph of averaged torch weights, what does not fit is named, nothing is half written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from my_submission.errors import InputError, WeightsError
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet
from my_submission.weights import ModelsFolder
from tests.model_makers import write_manifest, write_spectral
from training.cli.main import main
from training.export.averaging import average_graphs

SHAPE = {"n_fft": 128, "hop": 32, "bins": 32, "frames": 16}


def network(seed: int, *, growth: int = 4) -> TfcTdfNet:
    """Instance normalisation, as the starter's: nothing is folded into convolutions when it is exported."""
    torch.manual_seed(seed)
    config = TfcTdfConfig(bins=32, depth=3, growth=growth, convs_per_block=1, bottleneck=2, norm="instance")
    return TfcTdfNet(config).eval()


def output(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    heard = np.random.default_rng(0).standard_normal((1, 4, 32, 16), dtype=np.float32)
    return np.asarray(session.run(None, {"input": heard})[0])


def models(folder: Path, *networks: TfcTdfNet) -> list[Path]:
    entries = [write_spectral(folder, f"one/{number}", net, **SHAPE) for number, net in enumerate(networks)]
    write_manifest(folder, entries)
    return [folder / f"one/{number}.onnx" for number in range(len(networks))]


def test_the_mean_is_the_graph_of_mean_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To 1e-5 of an output of size one; the artefact's entry describes the new file."""
    nets = [network(seed) for seed in range(3)]
    mean = network(9)
    states = [net.state_dict() for net in nets]
    mean.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    graphs = models(tmp_path, *nets, mean)
    expected = output(graphs[3])
    assert main(["average", "one/0", *map(str, graphs[:3]), "--models", str(tmp_path)]) == 0
    assert "sha256" in capsys.readouterr().out
    np.testing.assert_allclose(output(graphs[0]), expected, atol=1e-5)
    ModelsFolder(tmp_path).require("one/0")
    assert not list(tmp_path.rglob("*.part"))


def test_the_mean_of_equal_graphs_is_the_graph(tmp_path: Path) -> None:
    (graph,) = models(tmp_path, network(0))
    before = output(graph)
    average_graphs([graph, graph], tmp_path / "same.onnx")
    np.testing.assert_array_equal(output(tmp_path / "same.onnx"), before)


def test_what_does_not_fit_is_refused_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graphs = models(tmp_path, network(0), network(0, growth=6))
    before = graphs[0].read_bytes()
    with pytest.raises(WeightsError, match=r"1\.onnx: the weight .* expected"):
        average_graphs(graphs, tmp_path / "one/0.onnx")
    with pytest.raises(InputError, match="Name two or more"):
        average_graphs(graphs[:1], tmp_path / "one/0.onnx")
    assert main(["average", "one/7", *map(str, graphs), "--models", str(tmp_path)]) == 1
    assert "one/7" in capsys.readouterr().err
    assert graphs[0].read_bytes() == before
