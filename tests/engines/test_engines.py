"""Engines: one session a file, honest devices, graphs that do not fit, host and device transforms alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from my_submission.engines import Device, devices, parse_device, resolve_device
from my_submission.engines.devices import cuda_devices, explained
from my_submission.engines.fake_engine import FakeEngine
from my_submission.engines.onnx_engine import OnnxEngine, open_onnx
from my_submission.engines.out_of_memory import OutOfMemorySplitter
from my_submission.engines.processors import available_cpus, cgroup_quota, thread_count
from my_submission.engines.spectral_engine import (
    DeviceSpectralEngine,
    HostSpectralEngine,
    SilenceSkipping,
    spectral_engine,
)
from my_submission.engines.torch_engine import TorchEngine, open_torch
from my_submission.errors import DeviceError, MdxError, UnknownNameError, WeightsError
from my_submission.geometry import StftGeometry
from my_submission.networks.demucs import Demucs, DemucsConfig
from my_submission.networks.state_dict import load_state_dict
from tests.model_makers import random_demucs, random_network, write_spectral

CPU = Device("cpu")
STFT = StftGeometry(256, 64, 64)
SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 32}


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - estimate) ** 2)))


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
    first = open_onnx(network_file, device=CPU, threads=1)
    assert open_onnx(network_file.parent / "." / "vocals.onnx", device=CPU, threads=1) is first
    assert open_onnx(network_file, device=Device("cpu", note="auto"), threads=1) is first
    assert open_onnx(network_file, device=CPU, threads=2) is not first


def test_onnx_agrees_with_torch_and_gives_memory_back(network_file: Path) -> None:
    """100 dB between runtimes; a run after the last one gives the same bits."""
    engine = open_onnx(network_file, device=CPU, threads=1)
    batch = np.random.default_rng(0).standard_normal((3, 4, 64, 32)).astype(np.float32)
    expected = TorchEngine(random_network(64), device=CPU).run(batch)
    got = engine.run(batch)
    assert snr_db(expected, got) > 100
    np.testing.assert_array_equal(engine.run(batch, is_last=True), got)
    np.testing.assert_array_equal(engine.run(batch), got)
    assert "CPU, 1 threads" in engine.runs_on


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
    shape = open_onnx(network_file, device=CPU).shape()
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
        open_onnx(path, device=CPU).shape()
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_no_graph_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a graph")
    with pytest.raises(WeightsError, match="cannot open this graph"):
        OnnxEngine(path, device=CPU, threads=1)


def test_host_and_device_transforms_agree(network_file: Path) -> None:
    """The path a GPU takes, run on the CPU: bound memory and torch's transforms against ours, 100 dB."""
    waves = np.random.default_rng(1).standard_normal((2, 2, 64 * 31)).astype(np.float32)
    onnx_network = open_onnx(network_file, device=CPU, threads=1)
    host = HostSpectralEngine(onnx_network, STFT).run(waves)
    assert snr_db(host, DeviceSpectralEngine(onnx_network, STFT).run(waves)) > 100
    torch_network = TorchEngine(random_network(64), device=CPU)
    assert snr_db(host, DeviceSpectralEngine(torch_network, STFT).run(waves)) > 100
    assert isinstance(spectral_engine(onnx_network, STFT), SilenceSkipping)


def test_a_slightly_smaller_batch_is_filled_up_for_onnxruntime(
    network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It plans its convolutions anew for every shape: 4 chunks after 5 run as 5, unless that does not fit; 2 stay 2."""
    network = OnnxEngine(network_file, device=CPU, threads=1)
    shapes: list[int] = []
    run_in_place, most = network.run_in_place, [8]

    def recorded(source: int, target: int, shape: tuple[int, ...], *, is_last: bool = False) -> None:
        shapes.append(shape[0])
        if shape[0] > most[0]:
            with explained(CPU, shape[0]):
                raise RuntimeError("out of memory")
        run_in_place(source, target, shape, is_last=is_last)

    monkeypatch.setattr(network, "run_in_place", recorded)
    engine = OutOfMemorySplitter(DeviceSpectralEngine(network, STFT), name="vocals", release=lambda: None)
    waves = np.random.default_rng(1).standard_normal((6, 2, 64 * 31)).astype(np.float32)
    expected = np.concatenate([DeviceSpectralEngine(network, STFT).run(wave[None]) for wave in waves])
    shapes.clear()
    for size, largest, expected_shapes in ((5, 8, [5]), (4, 8, [5]), (4, 4, [5, 4]), (2, 4, [2]), (6, 4, [6, 3, 3])):
        most[0] = largest
        np.testing.assert_allclose(engine.run(waves[:size]), expected[:size], rtol=0, atol=1e-5)
        assert shapes == expected_shapes
        shapes.clear()


def test_onnxruntime_may_not_replace_a_device(network_file: Path) -> None:
    """Its own fall-back would go on on the CPU when a run on the GPU fails."""
    assert not open_onnx(network_file, device=CPU, threads=1)._session._enable_fallback


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


def test_silence_is_worked_out_once() -> None:
    """Silent chunks get what the engine makes of silence, from one run for each length; others are as ever."""
    fake = FakeEngine(lambda batch: np.cumsum(batch, axis=-1, dtype=np.float32) + 1)
    engine = SilenceSkipping(fake)
    rng = np.random.default_rng(5)
    batch = rng.standard_normal((4, 2, 30)).astype(np.float32)
    batch[1] = batch[3] = 0
    expected = np.cumsum(batch, axis=-1, dtype=np.float32) + 1
    for _ in range(2):
        np.testing.assert_array_equal(engine.run(batch), expected)
    assert fake.shapes == [(1, 2, 30), (2, 2, 30), (2, 2, 30)]
    np.testing.assert_array_equal(engine.run(np.zeros((2, 2, 30), np.float32), is_last=True), np.ones((2, 2, 30)))
    np.testing.assert_array_equal(engine.run(np.zeros((1, 2, 8), np.float32)), np.ones((1, 2, 8)))
    assert fake.shapes[3:] == [(1, 2, 8)]
    loud = batch[::2]
    np.testing.assert_array_equal(engine.run(loud, is_last=True), expected[::2])
    assert (fake.shapes[-1], fake.n_last) == ((2, 2, 30), 1)


def test_devices_by_name() -> None:
    assert parse_device("auto") is None
    assert parse_device("cpu") == CPU
    assert parse_device("cuda") == Device("cuda", 0)
    assert parse_device("cuda:3") == Device("cuda", 3)
    for wrong in ("gpu", "cuda:", "cuda:x", ""):
        with pytest.raises(UnknownNameError, match="no device"):
            parse_device(wrong)


def test_a_gpu_asked_for_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: (0, "there is no NVIDIA driver"))
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        resolve_device("cuda")
    auto = resolve_device("auto")
    assert auto == CPU
    assert "no NVIDIA driver" in auto.note


def test_auto_takes_a_gpu_that_is_there_and_a_number_too_high_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: (2, ""))
    assert resolve_device("auto") == Device("cuda", 0)
    assert resolve_device("cuda:1") == Device("cuda", 1)
    with pytest.raises(DeviceError, match=r"cuda:2 is not there \(2 CUDA"):
        resolve_device("cuda:2")


def test_hidden_gpus_are_said_to_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuda_devices.cache_clear()
    try:
        assert cuda_devices() == (0, "CUDA_VISIBLE_DEVICES hides every GPU")
    finally:
        cuda_devices.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_engines_refuse_a_gpu_that_is_not_there(network_file: Path) -> None:
    """No engine ever falls back to the CPU by itself."""
    with pytest.raises(DeviceError):
        OnnxEngine(network_file, device=Device("cuda"), threads=1)
    with pytest.raises(DeviceError):
        TorchEngine(random_network(64), device=Device("cuda"))


def test_processors_are_counted_within_the_container() -> None:
    assert 1 <= available_cpus() <= 4096


def test_quotas_of_control_groups_count_wherever_they_are_set(tmp_path: Path) -> None:
    """The least of the own group and those above it; a group that is not there, as in a container, sets none."""
    own = tmp_path / "own"
    own.write_text("0::/user/job\n")
    assert cgroup_quota(own, tmp_path) is None
    for path, text in (("user/job", "max 100000"), ("user", "150000 100000"), ("", "400000 100000")):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "cpu.max").write_text(text)
    assert cgroup_quota(own, tmp_path) == 1.5
    old = tmp_path / "v1"
    own.write_text("3:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n")
    (old / "cpu,cpuacct").mkdir(parents=True)
    (old / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("50000")
    (old / "cpu,cpuacct" / "cpu.cfs_period_us").write_text("100000")
    assert cgroup_quota(own, old) == 0.5
    (old / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("-1")
    assert cgroup_quota(own, old) is None


@pytest.mark.parametrize(
    ("asked", "variable", "expected", "is_noted"),
    [
        (None, "", 4, False),
        (None, "3", 3, False),
        (None, "2,1", 2, False),
        (None, "100000", 4, False),
        (None, "0", 4, False),
        (None, "many", 4, False),
        (3, "1", 3, False),
        (100_000, "1", 4, True),
    ],
)
def test_threads_are_never_more_than_processors(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, variable: str, expected: int, is_noted: bool
) -> None:
    monkeypatch.setattr("my_submission.engines.processors.available_cpus", lambda: 4)
    count, note = thread_count(asked, {"OMP_NUM_THREADS": variable})
    assert (count, "100000 threads were asked for: 4 used" in note) == (expected, is_noted)
    assert bool(note) == is_noted


def test_demucs_is_opened_from_its_file_once_and_channels_are_read(tmp_path: Path) -> None:
    torch.save(random_demucs(channels=6).state_dict(), tmp_path / "demucs.th")
    engine = open_torch(tmp_path / "demucs.th", "demucs-v2", device=CPU)
    assert open_torch(tmp_path / "demucs.th", "demucs-v2", device=CPU) is engine
    assert isinstance(engine.network, Demucs)
    assert engine.network.config == DemucsConfig(channels=6)
    with pytest.raises(MdxError, match="no network is known"):
        open_torch(tmp_path / "demucs.th", "unheard-of", device=CPU)


def test_half_precision_stays_close(tmp_path: Path) -> None:
    """bf16 on the CPU: another result, but within 25 dB of fp32 for random weights."""
    network = random_demucs()
    batch = np.random.default_rng(2).standard_normal((1, 2, network.config.valid_length(4_000))).astype(np.float32)
    exact = TorchEngine(network, device=CPU).run(batch)
    rounded = TorchEngine(network, device=CPU, precision="bf16").run(batch)
    assert rounded.dtype == np.float32
    assert 25 < snr_db(exact, rounded) < 100


class Payload:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("exit 1",)


def test_checkpoints_with_code_or_damage_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": Payload()}, tmp_path / "code.th")
    with pytest.raises(WeightsError, match=r"contains code \(.*system\) and was not opened") as caught:
        load_state_dict(tmp_path / "code.th")
    assert caught.value.where == str(tmp_path / "code.th")
    torch.save(random_demucs().state_dict(), tmp_path / "whole.th")
    whole = (tmp_path / "whole.th").read_bytes()
    (tmp_path / "cut.th").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError):
        load_state_dict(tmp_path / "cut.th")
    torch.save([1, 2], tmp_path / "list.th")
    with pytest.raises(WeightsError, match="it holds a list"):
        load_state_dict(tmp_path / "list.th")
    torch.save({}, tmp_path / "empty.th")
    with pytest.raises(WeightsError, match="no state dict"):
        load_state_dict(tmp_path / "empty.th")


def test_lightning_style_checkpoints_are_unwrapped(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "l.ckpt")
    assert list(load_state_dict(tmp_path / "l.ckpt")) == ["a"]
