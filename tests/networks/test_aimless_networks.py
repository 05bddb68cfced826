"""AIMLESS' networks: published sizes and keys, independent references, the authors' outputs, any length.

Tolerance: 1e-5 relative (100 dB) against the authors' outputs, the demucs package and the references in float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from my_submission.engines import parse_device
from my_submission.engines.torch_engine import TorchEngine
from my_submission.errors import WeightsError
from my_submission.networks import band_split_rnn, demucs_split, hybrid_demucs, x_umx
from my_submission.networks.band_split_rnn import BandSplitConfig, BandSplitRNN, band_edges
from my_submission.networks.demucs_split import DemucsSplit, DemucsSplitConfig
from my_submission.networks.hybrid_demucs import HybridDemucs, layers, levels
from my_submission.networks.hybrid_demucs.spectra import to_spectrum, to_waves
from my_submission.networks.loaders import open_demucs_split
from my_submission.networks.x_umx import XUmx, XUmxConfig
from tests import aimless_reference as reference
from tests.reference_vectors import FOLDER as REFERENCE
from tests.reference_vectors import reference_vectors

M = TypeVar("M", bound=nn.Module)
SMALL_BANDS = BandSplitConfig(widths=(3, 1, 5, 2), hidden_size=8, num_layers=2)
SMALL_UMX = XUmxConfig(n_fft=32, hidden_channels=8, max_bins=11, nb_layers=2)


def disturbed(module: M, seed: int = 0) -> M:
    """The module in evaluation mode, nothing left at a default that could hide a fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith(("scale", "running_var")) or (value.dim() == 1 and name.endswith("weight")):
                value.copy_(torch.rand(value.shape, generator=generator) * 0.6 + 0.5)
            elif "embedding" in name:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
            else:
                spread = 1.2 / np.sqrt(value[0].numel()) if value.dim() > 1 else 0.1
                value.copy_(torch.randn(value.shape, generator=generator) * spread)
    return module.eval()


def made(module: Callable[..., M], *arguments: Any) -> M:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return disturbed(module(*arguments))


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def magnitudes(*shape: int) -> Tensor:
    return numbers(*shape).abs() * 3


def relative_error(actual: Tensor, expected: Tensor | np.ndarray) -> float:
    a, b = (np.asarray(value, dtype=np.float64) for value in (actual, expected))
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def run(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network(x)
    return result


# ---- sizes, keys, edges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "n_parameters"),
    [((4, 2, 48), 83_639_368), ((4, 2, 64), 148_601_240), ((3, 1, 64), 148_592_009)],
)
def test_published_sizes_of_hybrid_demucs(arguments: tuple[int, int, int], n_parameters: int) -> None:
    with torch.device("meta"):
        network = HybridDemucs(*arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters
    assert len(network.state_dict()) == 397


def test_published_size_and_bands_of_band_split_rnn() -> None:
    with torch.device("meta"):
        network = BandSplitRNN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_274_755
    published = """0 9 18 27 37 46 55 65 74 83 92 116 139 162 185 208 232 255 278 301 325 348 371 417 464 510 557 603
        650 696 743 835 928 1021 1114 1207 1300 1393 1486 1671 1857 2043 2049"""
    assert band_edges() == [int(edge) for edge in published.split()]
    assert len(network.config.widths) == 42


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("hdemucs_stereo_44100", hybrid_demucs.from_state_dict),
        ("hdemucs_stereo_100001", hybrid_demucs.from_state_dict),
        ("hdemucs_mono_44100", hybrid_demucs.from_state_dict),
        ("hdemucs_mono_100001", hybrid_demucs.from_state_dict),
        ("band_split_rnn", band_split_rnn.from_state_dict),
        ("x_umx", x_umx.from_state_dict),
    ],
)
def test_reference_vectors_of_the_originals(
    name: str, load: Callable[..., nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    """Loaded strictly under the original key names, sizes read from the shapes."""
    stored, weights = reference_vectors(name), reference_vectors(name.replace("100001", "44100"))
    network = load({key[6:]: torch.from_numpy(weights[key]) for key in weights if key.startswith("state/")})
    fed, expected = (next(key for key in stored if key.startswith(part)) for part in ("input/", "output/"))
    positions = stored.get("positions", np.arange(stored[expected].shape[-1]))
    error = relative_error(run(network, torch.from_numpy(stored[fed]))[..., positions], stored[expected])
    with capsys.disabled():
        print(f"\n{name}.npz: relative error {error:.2e}")
    assert error < 1e-5


# ---- independent references ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "samples"), [((2, 2, 4), 3_000), ((3, 1, 4), 1_100)])
def test_hybrid_demucs_is_its_definition(arguments: tuple[int, int, int], samples: int) -> None:
    network, x = made(HybridDemucs, *arguments), numbers(arguments[1], samples)
    assert relative_error(run(network, x[None])[0], reference.hybrid_demucs(x, network.state_dict())) < 1e-5


def test_long_recurrences_go_in_spans() -> None:
    layer, x = made(layers.BidirectionalLstm, 4), numbers(1, 4, 431)
    expected = reference.spans(x[0].double(), reference.Parameters(layer.state_dict()))
    assert relative_error(run(layer, x)[0], expected) < 1e-5


@pytest.mark.parametrize(("sources", "channels", "samples"), [(4, 2, 230_000), (3, 1, 300), (3, 2, 2_100)])
def test_hybrid_demucs_agrees_with_the_demucs_package(
    sources: int, channels: int, samples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The maintained package's network of the same kind, weights by renamed keys; at least 100 dB."""
    package = pytest.importorskip("demucs.hdemucs", reason="the demucs package is not installed (scripts/setup does)")
    network = made(HybridDemucs, sources, channels, 8)
    other = package.HDemucs([str(index) for index in range(sources)], audio_channels=channels, channels=8).eval()
    names = {"freq_encoder": "encoder", "freq_decoder": "decoder", "time_encoder": "tencoder"}
    names |= {"time_decoder": "tdecoder"}
    state = {}
    for key, value in network.state_dict().items():
        head, _, rest = key.partition(".")
        if not key.startswith("time_encoder.4.norm1"):
            state[f"{names.get(head, head)}.{rest}"] = value
    other.load_state_dict(state, strict=True)
    x = numbers(1, channels, samples)
    error = relative_error(run(network, x), run(other, x).numpy())
    with capsys.disabled():
        print(f"\nHybrid Demucs against the demucs package, {samples} samples: {-20 * np.log10(error + 1e-12):.1f} dB")
    assert error < 1e-5


@pytest.mark.parametrize("n_sources", [1, 3])
def test_band_split_rnn_is_its_definition(n_sources: int) -> None:
    """Of one source, and of several, whose masks add up to 1; a state shows the number of sources."""
    network, x = made(BandSplitRNN, replace(SMALL_BANDS, n_sources=n_sources)), magnitudes(2, 2, 11, 6)
    masks = run(network, x)
    expected = torch.stack([reference.band_split_rnn(item, network.state_dict(), n_sources) for item in x])
    assert relative_error(masks, expected) < 1e-5
    assert masks.shape == ((2, 2, 11, 6) if n_sources == 1 else (2, 3, 2, 11, 6))
    if n_sources > 1:
        torch.testing.assert_close(masks.sum(dim=1), torch.ones(2, 2, 11, 6))
    loaded = band_split_rnn.from_state_dict(network.state_dict())
    assert loaded.config == network.config
    assert relative_error(run(loaded, x), masks) < 1e-6


def test_a_recurrence_without_its_projection_is_the_same() -> None:
    """On the CPU the projection is folded into the recurrent weights; value and gradient are torch's own."""
    lstm, x = nn.LSTM(8, 8, batch_first=True, bidirectional=True, proj_size=4), numbers(5, 7, 8)
    folded = band_split_rnn._folded(lstm)(x)
    with pytest.warns(UserWarning, match="projections"):
        expected = lstm(x)[0]
    assert relative_error(folded.detach(), expected.detach()) < 1e-5
    gradients = [torch.autograd.grad(y.square().sum(), list(lstm.parameters())) for y in (folded, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        assert relative_error(ours, theirs) < 1e-4


def test_x_umx_is_its_definition() -> None:
    network, x = made(XUmx, SMALL_UMX), magnitudes(2, 2, 17, 6)
    expected = torch.stack([reference.x_umx(item, network.state_dict()) for item in x])
    assert relative_error(run(network, x), expected) < 1e-5


def test_demucs_split_is_the_original(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a Lightning checkpoint with its settings beside it: at least 100 dB."""
    with np.load(REFERENCE / "options" / "demucs_split.npz") as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "config"}
    state = {f"model.{key[6:]}": value for key, value in arrays.items() if key.startswith("state/")}
    torch.save({"state_dict": {**state, "targets_idx": torch.arange(4)}, "epoch": 1}, tmp_path / "last.ckpt")
    settings = {"class_path": "aimless.models.demucs_split.DemucsSplit", "init_args": {"channels": 2, "depth": 4}}
    (tmp_path / "config.yaml").write_text(json.dumps({"model": {"init_args": {"model": settings}}}), encoding="utf-8")
    whole = open_demucs_split(tmp_path / "last.ckpt")
    x, expected = arrays["input/x"], arrays["output/y"]
    y = run(whole.network, x)
    error = relative_error(y, expected.numpy())
    with capsys.disabled():
        print(f"\ndemucs_split: relative error {error:.2e}")
    assert error < 1e-5
    padded = run(whole, x)
    assert padded.shape[-1] == x.shape[-1]
    torch.testing.assert_close(padded[..., : y.shape[-1]], y, rtol=0, atol=0)
    assert not padded[..., y.shape[-1] :].any()
    settings["init_args"]["depth"] = 5
    (tmp_path / "config.yaml").write_text(json.dumps({"model": {"init_args": {"model": settings}}}), encoding="utf-8")
    with pytest.raises(WeightsError, match="depth=5 does not fit the weights"):
        open_demucs_split(tmp_path / "last.ckpt")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_valid_length_of_demucs_split_covers_the_middle(depth: int) -> None:
    """The samples around the middle are estimated, whatever the length; and the loss is near its bound somewhere."""
    network = made(DemucsSplit, DemucsSplitConfig(channels=4, depth=depth))
    losses = []
    for samples in (*range(1, 40), 500):
        length = network.config.valid_length(samples)
        estimated = run(network, numbers(1, 2, length)).shape[-1]
        assert estimated == network.config.output_length(length)
        lost = length - estimated
        assert 0 <= lost <= network.config.max_loss
        assert (length - samples) // 2 >= lost
        losses.append(lost)
    assert max(losses) >= network.config.max_loss // 2


# ---- properties ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(4, 2, 8), (3, 1, 8)])
def test_output_is_as_long_as_the_input(arguments: tuple[int, int, int]) -> None:
    network = made(HybridDemucs, *arguments)
    for samples in (1, 1_023, 1_024, 1_025, 1_792, 44_100, 100_001):
        y = run(network, numbers(1, arguments[1], samples))
        assert y.shape == (1, *arguments[:2], samples)
        assert torch.isfinite(y).all()


@pytest.mark.parametrize("samples", [10_000, 20_481])
def test_spectra_are_inverted_inside(samples: int) -> None:
    """A slow tone, which has nothing at the Nyquist bin; at the ends the definition drops frames. 1e-5 of the peak."""
    x = torch.sin(0.3 * torch.arange(samples))[None]
    spectrum = to_spectrum(x)
    assert spectrum.shape == (1, 2_048, -(-samples // 1_024))
    assert (to_waves(spectrum, samples) - x).abs()[..., 3_072:-3_072].max() < 1e-5


def test_silence_stays_silent_in_level() -> None:
    """The output is scaled by the input's deviation, so that nothing comes of nothing."""
    assert run(made(HybridDemucs, 3, 1, 4), torch.zeros(1, 1, 5_000)).abs().max() == 0


def test_items_of_a_batch_do_not_touch_each_other() -> None:
    network, x = made(HybridDemucs, 2, 1, 4), numbers(3, 1, 6_000)
    together = run(network, x)
    for index in range(3):
        assert relative_error(run(network, x[index : index + 1])[0], together[index].numpy()) < 1e-5


def test_bins_together_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = made(HybridDemucs, 2, 2, 4), numbers(1, 2, 5_000)
    monkeypatch.setattr(levels, "BINS_PER_TILE", 2_048)
    whole = run(network, x)
    monkeypatch.setattr(levels, "BINS_PER_TILE", 7)
    assert relative_error(run(network, x), whole.numpy()) < 1e-6
    network.requires_grad_(True)
    assert relative_error(network(x).detach(), whole.numpy()) < 1e-6


def test_queries_together_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = made(layers.LocalAttention, 8), numbers(2, 8, 50)
    whole = run(layer, x)
    assert relative_error(whole[0], reference.attention(x[0].double(), reference.Parameters(layer.state_dict()))) < 1e-5
    monkeypatch.setattr(layers, "QUERIES_PER_BLOCK", 7)
    assert relative_error(run(layer, x), whole.numpy()) < 1e-6


def test_sequences_together_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = made(BandSplitRNN, SMALL_BANDS), magnitudes(2, 2, 11, 6)
    whole = run(network, x)
    monkeypatch.setattr(band_split_rnn, "_MAX_LSTM_VALUES", 50)
    assert relative_error(run(network, x), whole.numpy()) < 1e-6


@pytest.mark.parametrize(
    ("network", "fed"),
    [
        (lambda: made(HybridDemucs, 2, 1, 4), (1, 1, 5_000)),
        (lambda: made(BandSplitRNN, SMALL_BANDS), (1, 2, 11, 6)),
        (lambda: made(XUmx, SMALL_UMX), (1, 2, 17, 6)),
    ],
)
def test_engines_in_bf16_stay_near_fp32(network: Callable[[], nn.Module], fed: tuple[int, ...]) -> None:
    """bfloat16 has 8 bits: within 10 % of the reference path."""
    x = magnitudes(*fed).numpy()
    results = [
        TorchEngine(network(), device=parse_device("cpu"), precision=precision, threads=1).run(x)  # type: ignore[arg-type]
        for precision in ("fp32", "bf16")
    ]
    assert relative_error(torch.from_numpy(results[1]), results[0]) < 0.1


@pytest.mark.parametrize(
    ("network", "fed"),
    [
        (lambda: made(HybridDemucs, 2, 1, 4), (1, 1, 5_000)),
        (lambda: made(BandSplitRNN, SMALL_BANDS), (1, 2, 11, 6)),
        (lambda: made(XUmx, SMALL_UMX), (1, 2, 17, 6)),
        (lambda: made(DemucsSplit, DemucsSplitConfig(channels=4, depth=2)), (1, 2, 500)),
    ],
)
def test_every_weight_that_is_trained_takes_part(network: Callable[[], nn.Module], fed: tuple[int, ...]) -> None:
    """Distributed training waits for the gradient of each; Hybrid Demucs' unused norm asks for none."""
    trained = network()
    trained(magnitudes(*fed)).square().sum().backward()
    without = {name for name, parameter in trained.named_parameters() if parameter.grad is None}
    assert without == {name for name, parameter in trained.named_parameters() if not parameter.requires_grad}
    assert without <= {"time_encoder.4.norm1.weight", "time_encoder.4.norm1.bias"}


@pytest.mark.parametrize(
    ("network", "load", "key"),
    [
        (
            lambda: made(HybridDemucs, 2, 1, 4),
            hybrid_demucs.from_state_dict,
            "freq_encoder.4.dconv.layers.1.4.key.bias",
        ),
        (lambda: made(HybridDemucs, 2, 1, 4), hybrid_demucs.from_state_dict, "time_encoder.0.conv.weight"),
        (lambda: made(BandSplitRNN, SMALL_BANDS), band_split_rnn.from_state_dict, "mlps.2.2.bias"),
        (lambda: made(BandSplitRNN, SMALL_BANDS), band_split_rnn.from_state_dict, "fc1_list.0.weight"),
        (lambda: made(XUmx, SMALL_UMX), x_umx.from_state_dict, "vocals_lstm.bias_hh_l1_reverse"),
        (lambda: made(XUmx, SMALL_UMX), x_umx.from_state_dict, "input_means"),
        (
            lambda: made(DemucsSplit, DemucsSplitConfig(channels=4, depth=2)),
            demucs_split.from_state_dict,
            "dec_pre_convs.1.bias",
        ),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "renamed", "reshaped", "none"])
def test_a_wrong_state_is_refused_by_name(
    network: Callable[[], nn.Module], load: Callable[..., nn.Module], key: str, damage: str
) -> None:
    state = dict(network().state_dict())
    if damage == "none":
        loaded = load(state)
        assert not loaded.training
        assert next(loaded.parameters()).data_ptr() == state[next(iter(dict(loaded.named_parameters())))].data_ptr()
        return
    value = state.pop(key)
    state |= {"renamed": {f"{key}_": value}, "reshaped": {key: value[..., None]}}.get(damage, {})
    with pytest.raises(WeightsError, match=key.replace(".", r"\.")):
        load(state)
