"""TFC-TDF: published sizes and names, an independent reference, and the way back from ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.networks.spectra import fold_bins, unfold_bins
from my_submission.networks.tfc_tdf import TfcTdfBlock, TfcTdfConfig, TfcTdfNet
from my_submission.networks.tfc_tdf_weights import (
    canonical_state,
    from_onnx,
    from_state_dict,
    infer_config,
    load_weights,
)
from tests.reference_vectors import reference_vectors
from training.export.spectral import export

SMALL = TfcTdfConfig(bins=32, depth=5, growth=4)
CHUNKING = SpectralChunking(StftGeometry(128, 64, 32), 8)


def learned(net: TfcTdfNet) -> int:
    return sum(p.numel() for p in net.parameters())


def disturbed(config: TfcTdfConfig, seed: int = 0) -> TfcTdfNet:
    """A network with every weight and statistic away from its default."""
    generator = torch.Generator().manual_seed(seed)
    net = TfcTdfNet(config).eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=generator)
                value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.4) * 0.6)
    return net


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float(((actual - expected).norm() / expected.norm()).detach())


def with_training_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {"window": torch.zeros(8), "freq_pad": torch.zeros(1)}
    for key, value in state.items():
        head, _, tail = key.partition(".")
        old = {"ds_dense": "encoding_blocks", "us_dense": "decoding_blocks", "mid_dense": "bottleneck_block"}
        if head in old:
            tail = tail.replace("H.", "tfc.H.", 1)
        renamed[f"{old.get(head, head)}.{tail}"] = value
    return renamed


@pytest.mark.parametrize(("depth", "n_learned", "n_all"), [(11, 7_423_236, 7_437_060), (9, 5_480_196, 5_489_796)])
def test_published_sizes(depth: int, n_learned: int, n_all: int) -> None:
    net = TfcTdfNet(TfcTdfConfig(bins=2048, depth=depth, growth=32))
    floats = sum(v.numel() for v in net.state_dict().values() if v.is_floating_point())
    counters = sum(not v.is_floating_point() for v in net.state_dict().values())
    assert (learned(net), floats) == (n_learned, n_all)
    assert counters == {11: 66, 9: 54}[depth]


def test_key_names_are_those_of_the_submission() -> None:
    leaves = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"first_conv.0.{x}" for x in ("weight", "bias")} | {f"first_conv.1.{x}" for x in leaves}
    expected |= {"final_conv.0.weight", "final_conv.0.bias"}
    for block in ("ds_dense.0", "ds_dense.1", "mid_dense", "us_dense.0", "us_dense.1"):
        for layer in range(3):
            expected |= {f"{block}.H.{layer}.0.{x}" for x in ("weight", "bias")}
            expected |= {f"{block}.H.{layer}.1.{x}" for x in leaves}
        expected |= {f"{block}.tdf.{i}.weight" for i in (0, 3)} | {
            f"{block}.tdf.{i}.{x}" for i in (1, 4) for x in leaves
        }
    for step in ("ds.0", "ds.1", "us.0", "us.1"):
        expected |= {f"{step}.0.{x}" for x in ("weight", "bias")} | {f"{step}.1.{x}" for x in leaves}
    assert set(TfcTdfNet(SMALL).state_dict()) == expected


def test_submission_reference() -> None:
    stored = reference_vectors("tfc_tdf_submission_keys")
    state = {k.removeprefix("state/"): torch.from_numpy(stored[k]) for k in stored if k.startswith("state/")}
    net = from_state_dict(state)
    with torch.no_grad():
        error = relative_error(net(torch.from_numpy(stored["input/x"])), torch.from_numpy(stored["output/y"]))
    print(f"TFC-TDF network against the published definition: relative error {error:.2e}")
    assert error < 1e-5


def test_a_block_equals_the_stored_reference() -> None:
    stored = reference_vectors("tfc_tdf_block_training_keys")
    shape = json.loads(str(stored["config"]))
    block = TfcTdfBlock(TfcTdfConfig(bins=shape["f"], depth=3, growth=shape["c"]), shape["c"], shape["f"]).eval()
    prefix = "state/"
    state = {
        f"bottleneck_block.{k.removeprefix(prefix)}": torch.from_numpy(stored[k])
        for k in stored
        if k.startswith(prefix)
    }
    block.load_state_dict({k.removeprefix("mid_dense."): v for k, v in canonical_state(state).items()})
    with torch.no_grad():
        error = relative_error(block(torch.from_numpy(stored["input/x"])), torch.from_numpy(stored["output/y"]))
    print(f"TFC-TDF block against the published definition: relative error {error:.2e}")
    assert error < 1e-5


@pytest.mark.parametrize("config", [SMALL, TfcTdfConfig(bins=48, depth=3, growth=6, convs_per_block=2, tdf_bias=True)])
def test_config_is_read_from_either_set_of_names(config: TfcTdfConfig) -> None:
    net = disturbed(config)
    old = with_training_names(net.state_dict())
    assert infer_config(net.state_dict()) == config
    assert infer_config(old) == config
    x = torch.randn(1, 4, config.bins, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(from_state_dict(old)(x), net(x))


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_a_wrong_state_is_refused_by_name(damage: str) -> None:
    state = dict(TfcTdfNet(SMALL).state_dict())
    key = "us_dense.1.H.2.0.weight"
    if damage == "missing":
        del state[key]
    elif damage == "unexpected":
        key = "us_dense.1.H.3.0.weight"
        state[key] = torch.zeros(4, 4, 3, 3)
    else:
        state[key] = torch.zeros(4, 4, 5, 5)
    with pytest.raises(WeightsError, match=key):
        load_weights(TfcTdfNet(SMALL), state)


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 4},
        {"bins": 30},
        {"kernel": 2},
        {"bottleneck": 16},
        {"compression": 0.0},
        {"targets": 0},
        {"channels": 3},
    ],
)
def test_nonsense_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        TfcTdfConfig(**{"bins": 32, "depth": 5, "growth": 4, **fields})  # type: ignore[arg-type]


def test_a_mask_of_one_returns_the_input() -> None:
    config = TfcTdfConfig(
        bins=32,
        depth=3,
        growth=4,
        norm="instance",
        output="complex_mask",
        bins_per_row=4,
        compression=0.5,
        bottleneck=4,
    )
    net = TfcTdfNet(config)
    with torch.no_grad():
        net.final_conv[0].weight.zero_()
        net.final_conv[0].bias.copy_(torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat_interleave(4))
    x = torch.randn(2, 4, 32, 8)
    assert torch.allclose(net(x), x, atol=1e-6)


def test_the_mask_does_not_depend_on_the_level() -> None:
    config = TfcTdfConfig(bins=32, depth=3, growth=4, norm="instance", output="complex_mask", compression=0.5)
    net = TfcTdfNet(config)
    x = torch.randn(1, 4, 32, 8, generator=torch.Generator().manual_seed(2)) * 10
    assert relative_error(net(8.0 * x) / 8.0, net(x)) < 1e-4
    assert torch.equal(net(torch.zeros_like(x)), torch.zeros_like(x))


def test_folding_keeps_bins_in_order() -> None:
    x = torch.randn(2, 4, 32, 8)
    assert torch.equal(unfold_bins(fold_bins(x, 4), 4), x)
    assert torch.equal(fold_bins(x, 4)[:, 4 * 1 + 2, 5], x[:, 1, 5 * 4 + 2])


def test_one_target_of_several() -> None:
    config = TfcTdfConfig(bins=32, depth=3, growth=4, output="complex_mask", bins_per_row=2, targets=3)
    net = disturbed(config)
    x = torch.randn(1, 4, 32, 8)
    for index in range(3):
        part = net.for_target(index).eval()(x)
        assert torch.allclose(part, net(x)[:, index * 4 : index * 4 + 4], atol=1e-5)
    with pytest.raises(ValueError, match="target 3"):
        net.for_target(3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        TfcTdfConfig(bins=32, depth=3, growth=4, convs_per_block=2, tdf_bias=True),
        TfcTdfConfig(bins=64, depth=7, growth=2),
    ],
)
@pytest.mark.parametrize("half_weights", [False, True])
def test_rebuilt_from_onnx(config: TfcTdfConfig, half_weights: bool, tmp_path: Path) -> None:
    net = disturbed(config)
    chunking = SpectralChunking(StftGeometry(256, 64, config.bins), 16)
    path = export(net, chunking, "bass", tmp_path / "net.onnx", half_weights=half_weights).path
    rebuilt = from_onnx(path)
    x = torch.randn(2, 4, config.bins, 24 // config.frame_multiple * config.frame_multiple)
    with torch.no_grad():
        assert rebuilt.config == config
        assert relative_error(rebuilt(x), net(x)) < 1e-5


def test_another_graph_is_refused_by_node(tmp_path: Path) -> None:
    import onnx

    path = export(disturbed(SMALL), CHUNKING, "bass", tmp_path / "net.onnx").path
    model = onnx.load(path)
    node = next(n for n in model.graph.node if n.op_type == "Mul")
    node.op_type, node.name = "Sub", "stray"
    onnx.save(model, path)
    with pytest.raises(WeightsError, match="Sub 'stray'"):
        from_onnx(path)


def test_a_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match=r"net\.onnx"):
        from_onnx(path)
    with pytest.raises(WeightsError, match=r"net2\.onnx"):
        from_onnx(tmp_path / "net2.onnx")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("encoder_blocks.0.tfc_tdf.blocks.1.tfc1.2.weight", r"TFC-TDF v3 \(MDX23C\)"),
        ("model.bottleneck_block.blocks.0.shortcut.weight", r"TFC-TDF v3 \(MDX23C\)"),
        ("crosstransformer.norm_in.weight", "HTDemucs"),
        ("band_split.to_features.0.0.gamma", "RoFormer"),
    ],
)
def test_states_of_well_known_networks_are_named(key: str, name: str) -> None:
    """They are what people try next; a missing weight would tell them nothing."""
    state = {"first_conv.weight": torch.zeros(8, 4, 3, 3), key: torch.zeros(8, 8, 3, 3)}
    with pytest.raises(WeightsError, match=f"is a state of .*{name}"):
        from_state_dict(state, where="mine.ckpt")
