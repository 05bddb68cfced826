"""The LaSAFT networks: published sizes, an independent reference of every block, and what sharing work must not change.

Tolerance: 1e-5 relative, against numpy in float64, against the authors' outputs, and between the one-source and the
many-sources path, which differ in the order of sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig, LasaftV1Config, LasaftV2Config
from my_submission.networks.lasaft.framework import LasaftConfig
from my_submission.networks.lasaft.layers import DenseConvolutions, FrequencyTransformation, WeightNormLinear
from my_submission.networks.lasaft.v1 import LasaftV1Net, V1Block
from my_submission.networks.lasaft.v2 import LasaftV2Net, LightSaft
from my_submission.networks.lasaft.weights import from_state_dict
from tests import lasaft_reference as reference
from tests import published_lasaft as published
from tests.lasaft_reference import Scope
from tests.reference_vectors import reference_vectors

M = TypeVar("M", bound=nn.Module)
SMALL = {
    "n_fft": 64,
    "n_blocks": 5,
    "internal_channels": 4,
    "n_internal_layers": 3,
    "bn_factor": 4,
    "min_bn_units": 2,
    "num_tdfs": 3,
    "dk": 5,
    "embedding_dim": 6,
}
LIGHT = LasaftV1Config(**SMALL, block="tfc_lightsaft")
V1 = LasaftV1Config(**SMALL)
V2 = LasaftV2Config(**SMALL)
V2_LEAKY = LasaftV2Config(**SMALL, first_conv_activation="leaky_relu", tfc_tdf_activation="leaky_relu")
FAMILY = {"lightsaft": LIGHT, "lasaft-v1": V1, "lasaft-v2": V2, "lasaft-v2-leaky": V2_LEAKY}
FRAMES = 8


def disturbed(module: M, seed: int = 0) -> M:
    """The module in evaluation mode, every weight and statistic away from its default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith(("running_var", "weight_g")) or (value.dim() == 1 and name.endswith("weight")):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.7)
            else:
                fan_in = value[0].numel() if value.dim() > 1 else 4
                value.copy_(torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5)
    return module.eval()


def network(config: LasaftConfig, seed: int = 0) -> LasaftV1Net | LasaftV2Net:
    return disturbed(LasaftV1Net(config) if isinstance(config, LasaftV1Config) else LasaftV2Net(config), seed)


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def relative_error(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    a, b = (np.asarray(value, dtype=np.float64) for value in (actual, expected))
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# ---- sizes and the authors' own outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "n_parameters"),
    [
        (published.LIGHTSAFT, 4_159_844),
        (published.LASAFT_V1, 8_424_028),
        (published.LASAFT_V1_LARGE, 31_541_908),
        (published.LASAFT_V2_LIGHT, 1_910_270),
        (published.LASAFT_V2, 2_468_554),
        (published.LASAFT_V2_LARGE, 7_900_700),
    ],
)
def test_published_sizes(config: LasaftConfig, n_parameters: int) -> None:
    with torch.device("meta"):
        made = LasaftV1Net(config) if isinstance(config, LasaftV1Config) else LasaftV2Net(config)
    assert sum(parameter.numel() for parameter in made.parameters()) == n_parameters


@pytest.mark.parametrize("name", ["lightsaft_v1", "lasaft_v1", "lasaft_v2_light", "lasaft_v2"])
def test_reference_vectors_of_the_originals(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Loaded strictly under the original key names, sizes read from the shapes; relative error below 1e-5."""
    stored = reference_vectors(name)
    state = {key[6:]: torch.from_numpy(stored[key]) for key in stored if key.startswith("state/")}
    net = from_state_dict(state, published.options("leaky_relu" if name.endswith("light") else "relu"))
    x, sources = (torch.from_numpy(stored[f"input/{key}"]) for key in ("x", "source_index"))
    with torch.inference_mode():
        one = net(x, sources)
        several = net.separate(x, torch.arange(4))[torch.arange(len(x)), sources]
    errors = [relative_error(y, stored["output/y"]) for y in (one, several)]
    with capsys.disabled():
        print(f"\n{name}.npz: relative error {errors[0]:.2e} for one source, {errors[1]:.2e} as one of four")
    assert max(errors) < 1e-5


# ---- every block against plain numpy -------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["relu", "leaky_relu"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5)])
def test_dense_convolutions_equal_the_reference(act: str, kernel: tuple[int, int]) -> None:
    layer = disturbed(DenseConvolutions(3, 4, 3, kernel, act))
    x = numbers(2, 3, 6, 7)
    expected = reference.tfc(x.numpy(), Scope(arrays(layer)), getattr(reference, act.removesuffix("_relu")))
    with torch.inference_mode():
        assert relative_error(layer(x), expected) < 1e-5


def test_frequency_transformations_equal_the_reference() -> None:
    layer = disturbed(FrequencyTransformation(3, 8, 2, 12, bias=True, act="relu"))
    x = numbers(2, 3, 5, 8)
    with torch.inference_mode():
        assert relative_error(layer(x), reference.tdf(x.numpy(), Scope(arrays(layer)), reference.relu)) < 1e-5


def test_weight_norm() -> None:
    layer = disturbed(WeightNormLinear(4, 3))
    x = numbers(2, 4)
    with torch.inference_mode():
        assert relative_error(layer(x), reference.normed_linear(x.numpy(), Scope(arrays(layer)))) < 1e-5
    torchs = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    fresh = WeightNormLinear(4, 3)
    with torch.no_grad():
        torchs.parametrizations.weight.original0.copy_(layer.weight_g)
        torchs.parametrizations.weight.original1.copy_(layer.weight_v)
        torchs.bias.copy_(layer.bias)
        assert relative_error(layer(x), torchs(x)) < 1e-6
        assert relative_error(fresh.weight_g, fresh.weight_v.norm(dim=1, keepdim=True)) < 1e-6


@pytest.mark.parametrize(("config", "saft"), [(V1, reference.lasaft), (LIGHT, reference.lightsaft_v1)])
def test_latent_source_attention_of_the_first_generation(config: LasaftV1Config, saft: object) -> None:
    block = disturbed(V1Block(config, 4, 16))
    h, condition = numbers(2, 4, 3, 16), numbers(2, 6, seed=2)
    with torch.inference_mode():
        added = block.conditioned(h, condition, None) - h
        weights = block.attention(condition)
    assert relative_error(added, saft(h.numpy(), condition.numpy(), Scope(arrays(block)))) < 1e-5  # type: ignore[operator]
    assert relative_error(weights, reference.attention_v1(condition.numpy(), Scope(arrays(block)))) < 1e-5
    assert relative_error(weights.sum(-1), torch.ones(2)) < 1e-6


@pytest.mark.parametrize(("config", "act"), [(V2, reference.relu), (V2_LEAKY, reference.leaky)])
def test_attention_of_the_second_generation(config: LasaftV2Config, act: object) -> None:
    block = disturbed(LightSaft(config, 8, 16))
    h, e = numbers(2, 4, 3, 16), numbers(2, 6, seed=2)
    with torch.inference_mode():
        added = block.transformed(h, e)
    assert relative_error(added, reference.lightsaft_v2(h.numpy(), e.numpy(), Scope(arrays(block)), act)) < 1e-5


def test_generated_coefficients_equal_the_reference() -> None:
    net = network(replace(V1, control_n_layer=5))
    e = numbers(2, 6)
    with torch.inference_mode():
        made = net.condition_generator(e)
    expected = reference.modulations_v1(e.numpy(), Scope(arrays(net), "condition_generator."), 4)
    assert len(made) == len(expected) == 2
    for coefficients, (gamma, beta) in zip(made, expected, strict=True):
        assert relative_error(coefficients.gamma, gamma) < 1e-5
        assert relative_error(coefficients.beta, beta) < 1e-5


def test_every_modulation_equals_its_formula() -> None:
    """FiLM and PoCM, plain and gated, in the decoders or anywhere; the naive PoCM is the transposed matrix."""
    h = numbers(2, 4, 3, 8)
    for modulation in ("film", "gfilm", "pocm", "gpocm"):
        for place, n_blocks in (("decoder", 2), ("encoder", 2), ("full", 5)):
            net = network(replace(V1, modulation=modulation, condition_to=place))
            with torch.inference_mode():
                made = net.condition_generator(numbers(2, 6))
                applied = made[0].applied(h).numpy()
            assert len(made) == n_blocks
            gamma, beta = made[0].gamma.numpy().astype(float), made[0].beta.numpy().astype(float)
            if modulation.endswith("film"):
                expected = h.numpy() * gamma[:, :, None, None] + beta[:, :, None, None]
            else:
                expected = reference.pocm(h.numpy(), gamma, beta)
            expected = h.numpy() * reference.sigmoid(expected) if modulation[0] == "g" else expected
            assert relative_error(applied, expected) < 1e-5
    state = network(V1).state_dict()
    naive = LasaftV1Net(replace(V1, pocm_type="naive")).eval()
    naive.load_state_dict(state)
    with torch.inference_mode():
        e = numbers(2, 6)
        straight = network(V1).condition_generator(e)[0].gamma
        torch.testing.assert_close(naive.condition_generator(e)[0].gamma, straight.transpose(1, 2), rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILY)
def test_whole_networks(name: str) -> None:
    config = FAMILY[name]
    net, sources = network(config), np.array([2, 0])
    x = numbers(2, 4, FRAMES, config.bins)
    if isinstance(config, LasaftV1Config):
        expected = reference.network_v1(x.numpy(), sources, arrays(net))
    else:
        act = reference.leaky if config is V2_LEAKY else reference.relu
        expected = reference.network_v2(x.numpy(), sources, arrays(net), act)
    with torch.inference_mode():
        assert relative_error(net(x, torch.from_numpy(sources)), expected) < 1e-5
        assert relative_error(net(x, torch.from_numpy(sources[::-1].copy())), expected) > 1e-2  # the source matters


# ---- several sources at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("sources", [(1,), (3, 0), (0, 1, 2, 3)])
def test_several_sources_are_those_of_one_by_one(name: str, sources: tuple[int, ...]) -> None:
    config = FAMILY[name]
    net, x = network(config), numbers(2, 4, FRAMES, config.bins)
    with torch.inference_mode():
        together = net.separate(x, torch.tensor(sources))
        for row, source in enumerate(sources):
            assert relative_error(together[:, row], net(x, torch.full((2,), source))) < 1e-5


def test_four_sources_of_the_second_generation_cost_less_than_two_and_a_half() -> None:
    """By count of multiplications at the published size; the clock says the same where nothing else runs."""
    with torch.device("meta"):
        net = LasaftV2Net(published.LASAFT_V2_LIGHT).eval()
        x = torch.zeros(1, 4, 16, 1025)
        costs = []
        for n_sources in (1, 2, 4):
            with FlopCounterMode(display=False) as counter:
                net.separate(x, torch.zeros(n_sources, dtype=torch.int64))
            costs.append(counter.get_total_flops())
    assert costs[2] < 2.5 * costs[0]
    assert costs[2] - costs[1] == pytest.approx(2 * (costs[1] - costs[0]), rel=1e-3)  # each further one costs the same


@pytest.mark.parametrize("config", [replace(V1, dropout=0.0), V2, replace(V2, condition_to="full")], ids=str)
def test_sources_that_share_work_in_training_are_those_of_repeated_items(config: LasaftConfig) -> None:
    """Value and gradient: the norms' means and variances are those of items that stand once per source."""
    net, x, sources = network(config).train(), numbers(2, 4, FRAMES, config.bins), torch.tensor([2, 0, 3])
    together = net.separate(x, sources)
    apart = net(x.repeat_interleave(3, dim=0), sources.repeat(2)).view(together.shape)
    assert relative_error(together.detach(), apart.detach()) < 1e-5
    trained = [parameter for parameter in net.parameters() if parameter.numel() > 1]
    gradients = [torch.autograd.grad(y.square().sum(), trained, allow_unused=True) for y in (together, apart)]
    ways = [torch.cat([g.ravel() for g in each if g is not None]) for each in gradients]
    assert relative_error(*ways) < 1e-4


def test_norms_in_training_are_not_folded() -> None:
    layer = DenseConvolutions(4, 2, 1, (3, 3), "relu")
    with pytest.raises(ValueError, match="training mode"):
        layer.with_common(torch.zeros(2, 2, 3, 3), torch.zeros(1, 2, 3, 3), 2)


@pytest.mark.parametrize("dead", ["keys.3.bias", "query_pocm_generator.2.bias"])
def test_dead_parameters_of_the_second_generation_change_nothing(dead: str) -> None:
    """The keys' bias and the shift of the query's map; 1e-5 relative, for the sums before them change."""
    net, x = network(V2), numbers(1, 4, FRAMES, V2.bins)
    with torch.inference_mode():
        before = net(x, torch.tensor([1]))
        for name, value in net.named_parameters():
            if name.endswith(f"tfc_lightsaft.{dead}"):
                value[-1 if "query" in dead else slice(None)] += 3.0
        assert relative_error(net(x, torch.tensor([1])), before) < 1e-5


# ---- blocks and frameworks beside the published ones ---------------------------------------------------------------


@pytest.mark.parametrize("block", ["tfc", "tdf", "tdc", "tfc_tdf"])
def test_other_blocks_run_and_learn(block: str) -> None:
    """Every parameter gets a gradient, and the source matters through the modulation alone."""
    net = network(replace(V1, block=block)).train()
    x = numbers(3, 4, FRAMES, V1.bins)
    net(x, torch.tensor([0, 1, 2])).square().mean().backward()
    assert [name for name, value in net.named_parameters() if value.grad is None] == []
    net.eval()
    with torch.inference_mode():
        first, second = (net(x, torch.full((3,), source)) for source in (0, 1))
    assert relative_error(first, second) > 1e-2


def test_one_hot_conditions() -> None:
    net = network(replace(V1, control_vector_type="one_hot_mode"))
    with torch.inference_mode():
        vectors = net.condition(torch.tensor([2, 0]))
        assert net(numbers(1, 4, FRAMES, V1.bins), torch.tensor([3])).shape == (1, 4, FRAMES, V1.bins)
    np.testing.assert_array_equal(vectors, [[0, 0, 1, 0], [1, 0, 0, 0]])
    assert not hasattr(net, "embedding")


def test_levels_that_keep_their_resolution() -> None:
    config = replace(V2, t_down_layers=(), f_down_layers=(1,))
    assert (config.frame_multiple, [config.rows(level) for level in range(3)]) == (1, [32, 32, 16])
    with torch.inference_mode():
        assert network(config)(numbers(1, 4, 5, config.bins), torch.tensor([0])).shape == (1, 4, 5, config.bins)


def framed(spec_type: str, spec_est_mode: str, constant: tuple[float, ...]) -> ConditionedNet:
    """A framework whose network answers with constants, one a channel."""
    channels = 4 if spec_type == "complex" else 2
    config = replace(V2, input_channels=channels)
    net = ConditionedNet(FrameworkConfig(network=config, spec_type=spec_type, spec_est_mode=spec_est_mode)).eval()
    final = net.spec2spec.last_conv[0]
    with torch.no_grad():
        final.weight.zero_()
        final.bias.copy_(torch.tensor(constant))
    return net


def test_frameworks_mean_what_they_are_called() -> None:
    """Against complex arithmetic on the spectra themselves; 1e-5 relative."""
    x = numbers(2, 4, FRAMES, V2.bins)
    spectra = torch.complex(x[:, :2], x[:, 2:]).numpy()
    cases = [
        ("complex", "mapping", (1, 2, 3, 4), np.full_like(spectra, 1) * np.array([1 + 3j, 2 + 4j])[:, None, None]),
        ("complex", "complex_masking", (1, 2, 3, 4), spectra * np.array([1 + 3j, 2 + 4j])[:, None, None]),
        ("complex", "masking", (1, 2, 3, 4), np.stack([part(spectra, 0, 1, 3), part(spectra, 1, 2, 4)], axis=1)),
        ("magnitude", "masking", (0.5, 0.25), spectra * np.array([0.5, 0.25])[:, None, None]),
        ("magnitude", "mapping", (2, 3), spectra / np.abs(spectra) * np.array([2.0, 3.0])[:, None, None]),
    ]
    for spec_type, mode, constant, expected in cases:
        with torch.inference_mode():
            net = framed(spec_type, mode, constant)
            one = net(x, torch.tensor([0, 1]))
            several = net.separate(x, torch.tensor([0, 1]))
        for y in (one, several[:, 0], several[:, 1]):
            assert relative_error(torch.complex(y[:, :2], y[:, 2:]).numpy().view(np.float32), _floats(expected)) < 1e-5


def part(spectra: np.ndarray, channel: int, real: float, imaginary: float) -> np.ndarray:
    """One channel with its real and imaginary parts multiplied by two factors."""
    return spectra[:, channel].real * real + 1j * spectra[:, channel].imag * imaginary


def _floats(spectra: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(spectra, dtype=np.complex64).view(np.float32)


def test_silence_has_finite_magnitudes_and_gradients() -> None:
    """The phase of silence is zero, as that of atan2."""
    net = framed("magnitude", "mapping", (1, 1)).train()
    x = torch.zeros(2, 4, FRAMES, V2.bins, requires_grad=True)
    y = net(x, torch.tensor([0, 1]))
    y.square().sum().backward()
    torch.testing.assert_close(y[:, :2], torch.ones_like(y[:, :2]), rtol=0, atol=0)
    torch.testing.assert_close(y[:, 2:], torch.zeros_like(y[:, 2:]), rtol=0, atol=0)
    assert torch.isfinite(x.grad).all()


# ---- nonsense ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_blocks": 4}, "n_blocks=4"),
        ({"n_blocks": 1}, "n_blocks=1"),
        ({"kernel_size_t": 2}, "kernel_size_t"),
        ({"internal_channels": 0}, "internal_channels"),
        ({"n_fft": 36}, "n_fft=36"),
        ({"input_channels": 3}, "input_channels"),
        ({"last_activation": "swish"}, "last_activation='swish'"),
        ({"t_down_layers": (5,)}, "t_down_layers"),
        ({"block": "tic"}, "block='tic'"),
        ({"modulation": "none"}, "modulation"),
        ({"control_n_layer": 1}, "control_n_layer"),
        ({"control_type": "conv"}, "control_type"),
        ({"condition_to": "bottleneck"}, "condition_to"),
        ({"pocm_type": "grouped"}, "pocm_type"),
        ({"pocm_norm": "layer_norm"}, "pocm_norm"),
        ({"control_vector_type": "text"}, "control_vector_type"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_nonsense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(V1, **values)


def test_a_framework_must_fit_its_network() -> None:
    with pytest.raises(ValueError, match="needs 2"):
        FrameworkConfig(network=V2, spec_type="magnitude")
    with pytest.raises(ValueError, match="spec_est_mode"):
        FrameworkConfig(network=V2, spec_est_mode="guessing")
    with pytest.raises(ValueError, match="complex_masking"):
        FrameworkConfig(network=replace(V2, input_channels=2), spec_type="magnitude", spec_est_mode="complex_masking")
