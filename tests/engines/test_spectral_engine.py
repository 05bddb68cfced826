"""Transforms on the CPU and on the device agree; padded batches; silence is computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from my_submission.engines import Device
from my_submission.engines.devices import explained
from my_submission.engines.fake_engine import FakeEngine
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.out_of_memory import OutOfMemorySplitter
from my_submission.engines.spectral_engine import (
    DeviceSpectralEngine,
    HostSpectralEngine,
    SilenceSkipping,
    spectral_engine,
)
from my_submission.engines.torch_engine import TorchEngine
from my_submission.engines.validated_engine import agreement_db
from my_submission.geometry import StftGeometry
from tests.model_makers import random_network, write_spectral

CPU = Device("cpu")
STFT = StftGeometry(256, 64, 64)
SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 32}


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    write_spectral(tmp_path, "vocals", random_network(64), **SHAPE)
    return tmp_path / "vocals.onnx"


@pytest.mark.needs("torch")
def test_host_and_device_transforms_agree(network_file: Path) -> None:
    """The path a GPU takes, run on the CPU: bound memory and torch's transforms against ours, 100 dB."""
    waves = np.random.default_rng(1).standard_normal((2, 2, 64 * 31)).astype(np.float32)
    onnx_network = OnnxEngine.open(network_file, device=CPU, threads=1)
    host = HostSpectralEngine(onnx_network, STFT).run(waves)
    assert agreement_db(host, DeviceSpectralEngine(onnx_network, STFT).run(waves)) > 100
    torch_network = TorchEngine(random_network(64), device=CPU)
    assert agreement_db(host, DeviceSpectralEngine(torch_network, STFT).run(waves)) > 100
    assert isinstance(spectral_engine(onnx_network, STFT), SilenceSkipping)


@pytest.mark.needs("torch")
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
