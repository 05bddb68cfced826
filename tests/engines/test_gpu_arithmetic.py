"""What a GPU runs in float16 or TF32, shown on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from torch import nn

from my_submission.engines import Device, onnx_engine
from my_submission.engines.base import Batch, Precision
from my_submission.engines.gpu_arithmetic import checked_spectral, checked_waveform
from my_submission.engines.onnx_engine import OnnxEngine, cuda_options
from my_submission.engines.spectral_engine import DeviceSpectralEngine
from my_submission.engines.torch_engine import TorchEngine, float32_products
from my_submission.engines.validated_engine import MIN_AGREEMENT_DB, agreement_db
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from my_submission.graphs.half_precision import half_precision
from my_submission.mechanisms import RunOptions
from my_submission.mechanisms.spectral_networks import _reach_of
from my_submission.networks.tfc_tdf_weights import from_onnx
from tests.model_makers import passing_the_mixture, random_network, write_spectral

CPU = Device("cpu")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "tf32")
SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 64}
STFT = StftGeometry(256, 64, 64)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    write_spectral(folder, "vocals", passing_the_mixture(random_network(64, growth=12)), **SHAPE)
    return folder / "vocals.onnx"


def waves(level: float = 0.1, items: int = 2) -> Batch:
    chunk_samples = SHAPE["hop"] * (SHAPE["frames"] - 1)
    return level * np.random.default_rng(0).standard_normal((items, 2, chunk_samples)).astype(np.float32)


def test_a_graph_in_half_the_bytes(network_file: Path) -> None:
    """Every weight is float16, the ends are float32, and what is heard agrees to more than 50 dB."""
    stored = onnx.load(network_file)
    before = stored.SerializeToString()
    halved = half_precision(stored, network_file)
    onnx.checker.check_model(halved, full_check=True)
    assert stored.SerializeToString() == before
    assert {tensor.data_type for tensor in halved.graph.initializer} == {TensorProto.FLOAT16}
    ends = (*halved.graph.input, *halved.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
    assert halved.ByteSize() < 0.7 * stored.ByteSize()
    exact, rounded = (
        DeviceSpectralEngine(OnnxEngine(network_file, device=CPU, threads=1, precision=precision), STFT).run(waves())
        for precision in PRECISIONS[:2]
    )
    assert MIN_AGREEMENT_DB + 5 < agreement_db(exact, rounded) < 100


def test_weights_stored_in_float16_are_no_longer_widened(network_file: Path) -> None:
    """A graph whose weights are stored in float16 behind Casts gives the same halved network."""
    model = onnx.load(network_file)
    expected = half_precision(model, network_file)
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    widened = onnx.helper.make_node("Cast", [f"{tensor.name}/stored"], [tensor.name], to=TensorProto.FLOAT)
    rounded = onnx.numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, f"{tensor.name}/stored"))
    model.graph.node.insert(0, widened)
    found = half_precision(model, network_file)
    onnx.checker.check_model(found, full_check=True)
    spectra = np.random.default_rng(0).standard_normal((1, 4, SHAPE["bins"], SHAPE["frames"])).astype(np.float32)
    outputs = [ReferenceEvaluator(one).run(None, {one.graph.input[0].name: spectra})[0] for one in (expected, found)]
    np.testing.assert_array_equal(*outputs)


def test_graphs_that_may_not_be_halved_are_refused(network_file: Path, tmp_path: Path) -> None:
    model = onnx.load(network_file)
    model.graph.node[3].op_type = "Softmax"
    with pytest.raises(WeightsError, match=r"Softmax is not known to work in float16.*fp32"):
        half_precision(model, "g.onnx")
    model = onnx.load(network_file)
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(onnx.numpy_helper.from_array(1e6 * np.ones(tuple(tensor.dims), np.float32), tensor.name))
    with pytest.raises(WeightsError, match="too large for float16"):
        half_precision(model, "g.onnx")


def test_float16_is_used_where_it_agrees(network_file: Path) -> None:
    network = OnnxEngine(network_file, device=CPU, threads=1)
    engine = checked_spectral(network, STFT, name="vocals")
    expected = DeviceSpectralEngine(network.at("fp16"), STFT).run(waves())
    np.testing.assert_array_equal(engine.run(waves(), is_last=True), expected)
    assert "fp16" in engine.verdict.partition(" agrees with fp32")[0]
    assert engine.runs_on.endswith("; fp16 or tf32 where it agrees")


def test_an_overflow_of_float16_turns_to_tf32() -> None:
    """Spectra of 100 000 are beyond float16 and nothing special for TF32, which on a processor is fp32.

    Shown in torch, which computes in float16 on a processor too; onnxruntime only rounds weights there.
    """
    network = TorchEngine(passing_the_mixture(random_network(64, growth=12)), device=CPU)
    engine = checked_spectral(network, STFT, name="vocals")
    exact = DeviceSpectralEngine(network, STFT).run(waves(1e5))
    np.testing.assert_array_equal(engine.run(waves(1e5)), exact)
    assert "tf32" in engine.verdict.partition(", agrees with fp32 to inf dB")[0]
    assert engine.verdict.endswith("fp16 overflows")


def test_an_overflow_in_a_later_chunk_is_computed_again() -> None:
    network = TorchEngine(passing_the_mixture(random_network(64, growth=12)), device=CPU)
    engine = checked_spectral(network, STFT, name="vocals")
    engine.run(waves())
    assert "fp16" in engine.verdict.partition(" agrees with fp32")[0]
    np.testing.assert_array_equal(engine.run(waves(1e5)), DeviceSpectralEngine(network, STFT).run(waves(1e5)))
    assert "fp32 from here on" in engine.verdict


def test_networks_in_torch_are_recast_not_copied(network_file: Path) -> None:
    network = TorchEngine(random_network(64), device=CPU)
    rounded = network.at("fp16")
    assert [p.data_ptr() for p in rounded.network.parameters()] == [p.data_ptr() for p in network.network.parameters()]
    assert (rounded.precision, network.precision) == ("fp16", "fp32")
    engine = checked_spectral(network, STFT, name="vocals")
    assert engine.run(waves()).shape == waves().shape
    assert "agrees with fp32" in engine.verdict


class TwoSources(nn.Module):
    """A waveform network of one convolution: (B, 2, n) to (B, 2, 2, n)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(2, 4, 7, padding=3)
        nn.init.uniform_(self.convolution.weight, 0.1, 1)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.convolution(waveforms).unflatten(1, (2, 2))


@pytest.mark.parametrize(("level", "chosen"), [(1, "fp16"), (1e5, "tf32")])
def test_waveform_networks_are_compared_on_a_stretch(level: float, chosen: Precision) -> None:
    network = TorchEngine(TwoSources(), device=CPU)
    lengths: list[int] = []
    network.network.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[-1]))
    engine = checked_waveform(network, excerpt_samples=300, name="demucs")
    batch = (level * np.random.default_rng(2).standard_normal((1, 2, 1_000))).astype(np.float32)
    np.testing.assert_array_equal(engine.run(batch), network.at(chosen).run(batch))
    assert chosen in engine.verdict.partition(" agrees with fp32")[0]
    assert lengths == [300] * (2 if chosen == "fp16" else 3) + [1_000] * 2


def test_products_of_float32_are_exact_only_where_asked() -> None:
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul

    def flags() -> tuple[bool, bool]:
        return convolutions.allow_tf32, products.allow_tf32

    before = flags()
    with float32_products(is_exact=True):
        assert flags() == (False, False)
        with float32_products(is_exact=False):
            assert flags() == (True, True)
    with pytest.raises(ValueError, match="inside"), float32_products(is_exact=True):
        raise ValueError("inside")
    assert flags() == before


def test_float16_may_use_tensor_cores(network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime keeps convolutions of any type away from them where TF32 is forbidden; fp32 must be exact."""
    given: list[bool] = []

    def opened(*arguments: Any, has_tf32: bool = False, **settings: Any) -> Any:
        given.append(has_tf32)
        return open_session(*arguments, has_tf32=has_tf32, **settings)

    open_session = onnx_engine.open_session
    monkeypatch.setattr(onnx_engine, "open_session", opened)
    for precision in PRECISIONS:
        OnnxEngine(network_file, device=CPU, threads=1, precision=precision)
    assert given == [False, True, True]


def test_last_chunks_stay_whole_on_a_card(network_file: Path) -> None:
    """A new number of frames would be planned for anew."""
    network = TorchEngine(from_onnx(network_file), device=CPU)
    assert _reach_of(network) is not None
    network.device = Device("cuda")
    assert _reach_of(network) is None


def test_options_for_a_card() -> None:
    assert cuda_options(Device("cuda", 2), has_tf32=False)["use_tf32"] == "0"
    assert cuda_options(Device("cuda", 2), has_tf32=True)["use_tf32"] == "1"
    assert cuda_options(Device("cuda", 2), has_tf32=True)["device_id"] == "2"
    assert RunOptions(device=Device("cuda"), precision="auto").has_checked_gpu
    assert not RunOptions(device=Device("cuda"), precision="fp32").has_checked_gpu
    assert not RunOptions(device=CPU, precision="auto").has_checked_gpu
