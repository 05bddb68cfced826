"""Checkpoints of the LaSAFT family as their authors' training program wrote them, made here with random weights."""

from __future__ import annotations

import argparse
import os
from collections import Counter, OrderedDict, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from my_submission.engines import Device
from my_submission.engines.conditioned_engine import open_conditioned_checkpoint
from my_submission.errors import MdxError, WeightsError
from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig
from my_submission.networks.lasaft.options import StatedOptions
from my_submission.networks.lasaft.shapes import infer_framework
from my_submission.networks.lasaft.weights import canonical_state, from_checkpoint, from_state_dict
from my_submission.weights import read_state_dict, read_tensor_shapes
from tests import published_lasaft as published
from tests.networks.test_lasaft import FAMILY, FRAMES, V1, V2, disturbed, numbers

CPU = Device("cpu")


def made(name: str) -> ConditionedNet:
    config = FAMILY[name]
    net = ConditionedNet(FrameworkConfig(network=config))
    disturbed(net.spec2spec)
    return net.eval()


class AttributeDict(dict[str, Any]):
    """Stands for Lightning's settings; pickled under the name that program gave it."""


AttributeDict.__module__, AttributeDict.__qualname__ = "pytorch_lightning.utilities.parsing", "AttributeDict"


class ModelCheckpoint:
    """A class that Lightning used as a key."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
ModelCheckpoint.__qualname__ = "ModelCheckpoint"


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets pickle find the two classes by name while a test saves them."""
    import sys
    from types import ModuleType

    for cls in (AttributeDict, ModelCheckpoint):
        parts = cls.__module__.split(".")
        for n_parts in range(1, len(parts) + 1):
            name = ".".join(parts[:n_parts])
            if name not in sys.modules:
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setattr(sys.modules[cls.__module__], cls.__name__, cls, raising=False)


def as_lightning_saves(state: dict[str, Tensor], **more: object) -> dict[str, object]:
    """The layout of the authors' checkpoints: state, settings, optimiser, schedules, callbacks."""
    weights = [value for value in state.values() if value.dim() > 0]
    moments = {
        index: {"step": 7, "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.ones_like(value)}
        for index, value in enumerate(weights)
    }
    return {
        "epoch": 694,
        "global_step": 123_456,
        "pytorch-lightning_version": "1.3.1",
        "state_dict": OrderedDict(state),
        "callbacks": {ModelCheckpoint: {"best_model_score": torch.tensor(0.25), "best_model_path": "a/epoch=694.ckpt"}},
        "optimizer_states": [
            {"state": moments, "param_groups": [{"lr": 5e-4, "betas": (0.9, 0.999), "params": list(moments)}]}
        ],
        "lr_schedulers": [{"milestones": Counter({10: 1}), "best": float("inf"), "default": defaultdict(dict)}],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(n_fft=64, musdb_root="../repos", args=argparse.Namespace(dk=32), none=None),
        "loops": {np.float64(0.5).item(): {1, 2}},
        "score": np.float64(0.125),
        **more,
    }


def saved(folder: Path, content: object, **options: Any) -> Path:
    torch.save(content, folder / "checkpoint.ckpt", **options)
    return folder / "checkpoint.ckpt"


def outputs(net: ConditionedNet) -> Tensor:
    with torch.inference_mode():
        return net(numbers(2, 4, FRAMES, net.config.network.bins), torch.tensor([3, 1]))


@pytest.mark.usefixtures("lightning")
@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("protocol", [2, 4])
def test_original_checkpoints_load_strictly(tmp_path: Path, name: str, protocol: int) -> None:
    """Every size is read from the shapes; the same numbers come out to the bit, and nothing but tensors is loaded."""
    net = made(name)
    state = net.state_dict()
    path = saved(tmp_path, as_lightning_saves(state), pickle_protocol=protocol)
    assert set(read_tensor_shapes(path)) == set(state)
    assert "stft.stft.window" in state
    assert all(key.startswith(("spec2spec.", "stft.")) for key in state)
    loaded = from_checkpoint(path, manifest=published.options(net.config.network.tfc_tdf_activation))
    assert not loaded.training
    assert loaded.config.network.levels == 2
    torch.testing.assert_close(outputs(loaded), outputs(net), rtol=0, atol=0)


@pytest.mark.parametrize(
    "config",
    [
        published.LIGHTSAFT,
        published.LASAFT_V1,
        published.LASAFT_V1_LARGE,
        published.LASAFT_V2_LIGHT,
        published.LASAFT_V2,
        published.LASAFT_V2_LARGE,
    ],
)
def test_published_sizes_are_read_from_shapes(config: published.LasaftV1Config | published.LasaftV2Config) -> None:
    with torch.device("meta"):
        state = ConditionedNet(FrameworkConfig(network=config)).state_dict()
    act = config.tfc_tdf_activation
    stated = StatedOptions.of(published.options(act))
    expected = config
    if isinstance(config, published.LasaftV2Config):
        expected = replace(config, downsampling_activation=act, upsampling_activation=act)
    assert infer_framework(canonical_state(state), stated) == FrameworkConfig(network=expected)


def test_bare_states_load_with_and_without_prefix_and_window() -> None:
    net = made("lasaft-v1")
    state = net.state_dict()
    del state["stft.stft.window"]
    bare = {key.removeprefix("spec2spec."): value for key, value in state.items()}
    for given in (state, bare):
        torch.testing.assert_close(outputs(from_state_dict(given, published.options())), outputs(net), rtol=0, atol=0)


def test_new_names_of_weight_norm_are_understood() -> None:
    net = made("lasaft-v2")
    renamed = {
        key.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): value
        for key, value in net.state_dict().items()
    }
    assert set(renamed) != set(net.state_dict())
    torch.testing.assert_close(outputs(from_state_dict(renamed, published.options())), outputs(net), rtol=0, atol=0)


KEYS = {
    "lightsaft": "encoders.1.LaSIFT.0.weight",
    "lasaft-v1": "condition_generator.linear_gamma.2.running_var",
    "lasaft-v2": "decoders.1.pocm_generator.2.weight_g",
    "lasaft-v2-leaky": "decoders.0.tfc_lightsaft.keys.0.weight",
}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("damage", ["renamed", "missing", "added", "reshaped"])
def test_a_wrong_state_is_refused_by_name(name: str, damage: str) -> None:
    state = made(name).state_dict()
    key = KEYS[name]
    value = state[f"spec2spec.{key}"]
    if damage in {"renamed", "missing"}:
        del state[f"spec2spec.{key}"]
    if damage == "renamed":
        state[f"spec2spec.{key}x"] = value
    if damage == "added":
        key = "encoders.0.more"
        state[f"spec2spec.{key}"] = value
    if damage == "reshaped":
        state[f"spec2spec.{key}"] = torch.zeros(*value.shape, 1)
    with pytest.raises(WeightsError, match=key.replace(".", r"\.")) as caught:
        from_state_dict(state, published.options(), where="some.ckpt")
    assert str(caught.value).startswith("some.ckpt")


@pytest.mark.parametrize(
    "key", ["first_conv.0.weight", "embedding.weight", "encoders.0.keys", "mid_block.tfc.H.0.0.weight"]
)
def test_what_sizes_are_read_from_is_missed_by_name(key: str) -> None:
    state = made("lasaft-v1").state_dict()
    del state[f"spec2spec.{key}"]
    with pytest.raises(WeightsError, match=rf"{key} is missing"):
        from_state_dict(state, published.options())


def test_states_of_other_networks_are_refused() -> None:
    for state in ({"a": torch.zeros(1)}, {"first_conv.0.weight": torch.zeros(())}, {}):
        with pytest.raises(WeightsError, match=r"is missing|has the shape"):
            from_state_dict(state, published.options())
    state = made("lasaft-v1").state_dict()
    state["spec2spec.encoders.0.keys"] = torch.zeros(0, 3)
    with pytest.raises(WeightsError, match=r"encoders\.0\.keys has the shape"):
        from_state_dict(state, published.options())
    state = made("lasaft-v1").state_dict()
    state["spec2spec.mid_block.tfc.H.0.0.weight"] = torch.zeros(4, 4, 2, 3)
    with pytest.raises(WeightsError, match="not those of a conditioned U-Net: kernel_size_t=2"):
        from_state_dict(state, published.options())


def test_another_window_is_refused() -> None:
    state = made("lasaft-v1").state_dict()
    state["stft.stft.window"] = torch.hamming_window(64)
    with pytest.raises(WeightsError, match="not a periodic Hann window"):
        from_state_dict(state, published.options())
    state["stft.stft.window"] = torch.hann_window(32)
    with pytest.raises(WeightsError, match=r"window has the shape \(32,\)"):
        from_state_dict(state, published.options())
    state["stft.stft.window"] = torch.full((64,), float("nan"))
    with pytest.raises(WeightsError, match="not a periodic Hann window"):
        from_state_dict(state, published.options())


class Harm:
    """Would touch a file when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harm",)


class LightningHarm(AttributeDict):
    """Its name looks harmless; its state is not."""

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeDict, (), {"a": Harm()}


LightningHarm.__module__ = __name__


@pytest.mark.usefixtures("lightning")
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    """Wherever it hides, even inside what is read over."""
    monkeypatch.chdir(tmp_path)
    state = made("lasaft-v2").state_dict()
    for more in ({"hyper_parameters": {"x": Harm()}}, {"hyper_parameters": LightningHarm()}, {"callbacks": [Harm()]}):
        path = saved(tmp_path, as_lightning_saves(state, **more), pickle_protocol=protocol)
        with pytest.raises(WeightsError, match=r"contains code \(posix.system\)"):
            from_checkpoint(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.usefixtures("lightning")
def test_only_what_lightning_writes_is_read_over(tmp_path: Path) -> None:
    """An object of any other class is refused, and one among the weights too."""
    state: dict[str, Any] = dict(made("lasaft-v2").state_dict())
    with pytest.raises(WeightsError, match=r"contains code \(.*Harmless\)"):
        from_checkpoint(saved(tmp_path, as_lightning_saves(state, model=Harmless())))
    with pytest.raises(WeightsError, match=r'its "a" is a pytorch_lightning\.utilities\.parsing\.AttributeDict'):
        read_state_dict(saved(tmp_path, {"state_dict": {"a": AttributeDict()}}))
    with pytest.raises(WeightsError, match="a key is a int, and text is expected"):
        read_state_dict(saved(tmp_path, {"state_dict": {1: torch.zeros(1)}}))


class Harmless:
    """Nothing in it, but not on the list."""


def test_an_engine_s_checkpoint_is_opened_once(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": made("lasaft-v2-leaky").state_dict()})
    first = open_conditioned_checkpoint(path, "lasaft-v2-leaky", device=CPU)
    assert first is open_conditioned_checkpoint(path, "lasaft-v2-leaky", device=CPU)
    assert first is not open_conditioned_checkpoint(path, "lasaft-v2-leaky", device=Device("cuda"))
    assert first.config.network.tfc_tdf_activation == "leaky_relu"
    relu = open_conditioned_checkpoint(path, "lasaft-v2", device=CPU, options=published.options())
    assert relu.config.network == replace(V2, downsampling_activation="relu", upsampling_activation="relu")
    with pytest.raises(WeightsError, match="the architecture is lasaft, and the weights are those of a lasaft-v2"):
        open_conditioned_checkpoint(path, "lasaft", device=CPU, options=published.options())
    with pytest.raises(MdxError, match="no conditioned network is known for the architecture 'lasaft-v9'"):
        open_conditioned_checkpoint(path, "lasaft-v9", device=CPU)
    assert V1 != V2
