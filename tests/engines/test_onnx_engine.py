"""Graphs on onnxruntime: one session per file, errors of graphs, devices and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from my_submission.engines import Device
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.torch_engine import TorchEngine
from my_submission.engines.validated_engine import agreement_db
from my_submission.errors import DeviceError, WeightsError
from tests.model_makers import random_network, write_spectral

CPU = Device("cpu")
SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 32}


def graph(path: Path, *, inputs: int = 1, shape: tuple[object, ...] = ("batch_size", 4, 64, 32)) -> Path:
    """A graph that passes its (first) input on."""
    values = [helper.make_tensor_value_info(f"input{i or ''}", TensorProto.FLOAT, shape) for i in range(inputs)]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
    nodes = [helper.make_node("Identity", ["input"], ["output"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values, [output]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, str(path))
    return path


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    write_spectral(tmp_path, "vocals", random_network(64), **SHAPE)
    return tmp_path / "vocals.onnx"


def test_a_file_is_opened_once(network_file: Path) -> None:
    first = OnnxEngine.open(network_file, device=CPU, threads=1)
    assert OnnxEngine.open(network_file.parent / "." / "vocals.onnx", device=CPU, threads=1) is first
    assert OnnxEngine.open(network_file, device=Device("cpu", note="auto"), threads=1) is first
    assert OnnxEngine.open(network_file, device=CPU, threads=2) is not first


def test_onnx_agrees_with_torch_and_gives_memory_back(network_file: Path) -> None:
    """100 dB between runtimes; a run after the last one gives the same bits."""
    engine = OnnxEngine.open(network_file, device=CPU, threads=1)
    batch = np.random.default_rng(0).standard_normal((3, 4, 64, 32)).astype(np.float32)
    expected = TorchEngine(random_network(64), device=CPU).run(batch)
    got = engine.run(batch)
    assert agreement_db(expected, got) > 100
    np.testing.assert_array_equal(engine.run(batch, is_last=True), got)
    np.testing.assert_array_equal(engine.run(batch), got)
    assert engine.runs_on.endswith("CPU, 1 thread")


def test_too_little_memory_is_explained(network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime's own words for it become a DeviceError with a cure; anything else stays what it was."""
    engine = OnnxEngine(network_file, device=CPU, threads=1)

    class Session:
        def __init__(self, message: str) -> None:
            self.message = message

        def run(self, *_: object) -> None:
            raise RuntimeError(self.message)

    monkeypatch.setattr(engine, "_session", Session("Failed to allocate memory for requested buffer of size 9"))
    with pytest.raises(DeviceError, match=r"batch of 3.*--batch-chunks"):
        engine.run(np.zeros((3, 4, 64, 32), np.float32))
    monkeypatch.setattr(engine, "_session", Session("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        engine.run(np.zeros((3, 4, 64, 32), np.float32))


def test_shape_is_read_from_the_graph(network_file: Path) -> None:
    shape = OnnxEngine.open(network_file, device=CPU).shape()
    assert (shape.channels, shape.bins, shape.frames) == (4, 64, 32)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"inputs": 2}, "2 inputs"),
        ({"shape": ("batch_size", 4, 64)}, "has the shape"),
        ({"shape": ("batch_size", 4, "bins", 32)}, "has the shape"),
    ],
)
def test_wrong_graphs_are_refused(tmp_path: Path, made: dict[str, object], message: str) -> None:
    path = graph(tmp_path / "wrong.onnx", **made)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=message) as caught:
        OnnxEngine.open(path, device=CPU).shape()
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_no_graph_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a graph")
    with pytest.raises(WeightsError, match="cannot open this graph"):
        OnnxEngine(path, device=CPU, threads=1)


def test_onnxruntime_may_not_replace_a_device(network_file: Path) -> None:
    """Its own fall-back would go on on the CPU when a run on the GPU fails."""
    assert not OnnxEngine.open(network_file, device=CPU, threads=1)._session._enable_fallback


def test_a_gpu_without_cudnn_is_refused(network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a song begins; onnxruntime itself would miss it at the first convolution."""

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("my_submission.engines.cuda_libraries.ctypes.CDLL", missing)
    with pytest.raises(DeviceError, match=r"does not give cuda:1 \(cuDNN cannot be loaded: (libcudnn.so.9|cudnn64_9)"):
        OnnxEngine(network_file, device=Device("cuda", 1), threads=1)


def test_torch_s_libraries_are_there_before_onnxruntime_looks_for_them() -> None:
    program = (
        "import sys, types\n"
        "from my_submission.engines import cuda_libraries\n"
        "class Runtime:\n"
        "    preload_dlls = staticmethod(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "cuda_libraries.ctypes = types.SimpleNamespace(CDLL=lambda name: None)\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
        "cuda_libraries.load_cuda_libraries(Runtime)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["False", "True"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_engines_refuse_a_gpu_that_is_not_there(network_file: Path) -> None:
    """No engine ever falls back to the CPU by itself."""
    with pytest.raises(DeviceError):
        OnnxEngine(network_file, device=Device("cuda"), threads=1)
    with pytest.raises(DeviceError):
        TorchEngine(random_network(64), device=Device("cuda"))
