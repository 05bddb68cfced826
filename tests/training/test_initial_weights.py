"""Initial weights of every family against the published rules, computed from the shapes alone; 3 % of deviation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from training.modules.base import SeparationModule, module_settings
from training.modules.initial_weights import draw_weights
from training.modules.registry import load_experiment

TOLERANCE = 0.03
CONDITIONED = (
    "network.n_blocks=3",
    "network.internal_channels=12",
    "network.embedding_dim=16",
    "transform.n_fft=256",
    "transform.hop=64",
    "transform.kept_bins=129",
)
SMALL = {
    "lasaft/v1": CONDITIONED,
    "lasaft/v1-large": CONDITIONED,
    "lasaft/lightsaft": CONDITIONED,
    "lasaft/v2": CONDITIONED,
    "lasaft/v2-light": CONDITIONED,
    "lasaft/v2-large": CONDITIONED,
    "aimless/xumx": ("network.hidden_channels=32", "network.max_bins=100"),
    "aimless/demucs-split": ("network.channels=16", "network.depth=3"),
    "aimless/mdx-hdemucs": ("network.channels=8",),
}
"""Overrides that keep the rule and make the network small."""


def module_of(name: str, *overrides: str) -> SeparationModule:
    experiment = load_experiment(name, [*SMALL[name], *overrides])
    return module_settings(experiment).module(experiment, total_steps=1)


def fans(weight: Tensor) -> tuple[int, int]:
    """Inputs and outputs of a weight ``[outputs, inputs, …]``, as torch counts them."""
    taps = math.prod(weight.shape[2:])
    return weight.shape[1] * taps, weight.shape[0] * taps


def normalised(network: nn.Module, rule: str) -> npt.NDArray[np.float64]:
    """All weights of two or more dimensions, each divided by the deviation that the rule gives its parameter."""
    values = []
    for parameter in network.parameters():
        if parameter.dim() > 1:
            inputs, outputs = fans(parameter)
            variance = 2.0 / inputs if rule == "kaiming" else 2.0 / (inputs + outputs)
            scaled = parameter.detach().double().numpy().ravel() / math.sqrt(variance)
            if scaled.size > 10_000:  # a single parameter's deviation is known to 1 %
                assert np.std(scaled) == pytest.approx(1.0, rel=TOLERANCE)
            values.append(scaled)
    return np.concatenate(values)


@pytest.mark.parametrize(
    ("name", "overrides", "rule"),
    [
        ("lasaft/v1", (), "xavier"),
        ("lasaft/v1-large", (), "xavier"),
        ("lasaft/lightsaft", (), "xavier"),
        ("lasaft/lightsaft", ("network.last_activation=sigmoid", "network.spec_est_mode=masking"), "xavier"),
        ("lasaft/v1", ("network.last_activation=tanh", "network.spec_est_mode=masking"), "xavier"),
        ("lasaft/v1", ("network.last_activation=relu", "network.spec_est_mode=masking"), "kaiming"),
        ("lasaft/v1", ("network.last_activation=leaky_relu", "network.spec_est_mode=masking"), "kaiming"),
        ("lasaft/v2", (), "kaiming"),
        ("lasaft/v2-light", (), "kaiming"),
        ("lasaft/v2-large", (), "kaiming"),
        ("lasaft/v2", ("network.init=xavier_normal",), "xavier"),
        ("lasaft/v2", ("network.init=xavier_uniform",), "xavier"),
        ("lasaft/v2", ("network.init=kaiming_uniform",), "kaiming"),
    ],
)
def test_conditioned_networks_begin_as_published(name: str, overrides: tuple[str, ...], rule: str) -> None:
    """Deviation of every parameter, embeddings too; the fourth moment tells normal (3) from uniform (1.8)."""
    drawn = normalised(module_of(name, *overrides).network, rule)
    assert drawn.size > 20_000
    assert np.std(drawn) == pytest.approx(1.0, rel=TOLERANCE)
    assert abs(np.mean(drawn)) < 0.02
    is_uniform = any("uniform" in override for override in overrides)
    assert np.mean(drawn**4) == pytest.approx(1.8 if is_uniform else 3.0, rel=0.05)


def test_an_embedding_is_drawn_like_a_matrix() -> None:
    embedding = nn.Embedding(4, 4_000)
    for rule, variance in (("kaiming", 2.0 / 4_000), ("xavier", 2.0 / 4_004)):
        draw_weights(embedding, rule, "identity")  # type: ignore[arg-type]
        assert float(embedding.weight.detach().std()) == pytest.approx(math.sqrt(variance), rel=TOLERANCE)


def test_the_seed_determines_the_weights() -> None:
    first, again, other, plain = (
        module_of("lasaft/v1", *more).network.state_dict() for more in ((), (), ("seed=7",), ("network.init=torch",))
    )
    name = "spec2spec.first_conv.0.weight"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[name], plain[name])


def test_an_x_umx_begins_without_shift() -> None:
    """Means of input and output are 0, scales 1; the LSTMs have torch's uniform distribution, ±1/√units."""
    network = module_of("aimless/xumx").network
    assert not any(bool(getattr(network, name).any()) for name in ("input_means", "output_means"))
    assert all(bool((getattr(network, name) == 1).all()) for name in ("input_scale", "output_scale"))
    lstms = [module for module in network.modules() if isinstance(module, nn.LSTM)]
    assert len(lstms) == 4
    weights = torch.cat([parameter.detach().ravel() for lstm in lstms for parameter in lstm.parameters()])
    assert float(weights.std()) == pytest.approx(1 / math.sqrt(3 * 16), rel=TOLERANCE)


@pytest.mark.parametrize("name", ["aimless/demucs-split", "aimless/mdx-hdemucs"])
def test_convolutions_of_demucs_are_rescaled_once(name: str) -> None:
    """Torch draws from ±1/√inputs; dividing by √(deviation / 0.1) leaves the deviation √(0.1 / √(3 · inputs))."""
    kinds = nn.Conv1d | nn.ConvTranspose1d | nn.Conv2d | nn.ConvTranspose2d
    ratios, biases = [], []
    for layer in module_of(name).network.modules():
        if not isinstance(layer, kinds) or layer.weight.numel() < 1_000:
            continue
        inputs, _ = fans(layer.weight)
        expected = math.sqrt(0.1 / math.sqrt(3 * inputs))
        ratios.append(float(layer.weight.detach().std()) / expected)
        if layer.bias is not None and layer.bias.numel() >= 100:
            biases.append(float(layer.bias.detach().std()) / expected)
    assert len(ratios) >= 10
    assert np.mean(ratios) == pytest.approx(1.0, rel=TOLERANCE)
    assert np.mean(biases) == pytest.approx(1.0, rel=TOLERANCE)
