"""Rewritten graphs: the same bits without the Transposes, and no more frames than can be heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from my_submission.engines import Device
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.spectral_engine import frame_spectral_engine, spectral_engine
from my_submission.errors import WeightsError
from my_submission.geometry import ReceptiveField, SpectralChunking, StftGeometry
from my_submission.graphs.tfc_tdf_frames import frame_major
from my_submission.mechanisms import SpectralMechanism, SpectralNetwork
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet
from tests.model_makers import random_network, write_spectral
from tests.rigs import estimated

CPU = Device("cpu")
SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 96}
STFT = StftGeometry(256, 64, 64)


def written(folder: Path, network: TfcTdfNet | None = None) -> Path:
    write_spectral(folder, "vocals", network or random_network(64), **SHAPE)
    return folder / "vocals.onnx"


def averaging(network: TfcTdfNet) -> TfcTdfNet:
    """Weights above zero, so that nothing a layer sees is lost in its activation."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                parameter.abs_().div_(parameter[0].sum())
            elif name.endswith("bias"):
                parameter.zero_()
    return network.eval()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_the_same_bits_as_the_graph_as_stored(tmp_path: Path) -> None:
    path = written(tmp_path)
    stored, rewritten = OnnxEngine(path, device=CPU, threads=1), FrameMajorOnnx(path, device=CPU, threads=1)
    assert rewritten.shape() == stored.shape()
    batch = noise(2, 4, 64, 96)
    expected = stored.run(batch)
    got = rewritten.run(batch.swapaxes(-1, -2))
    np.testing.assert_array_equal(got.swapaxes(-1, -2), expected)
    np.testing.assert_array_equal(rewritten.run(batch.swapaxes(-1, -2), is_last=True), got)
    assert FrameMajorOnnx.open(path, device=CPU, threads=1) is FrameMajorOnnx.open(path, device=CPU, threads=1)


def test_norms_apart_are_the_same_numbers(tmp_path: Path) -> None:
    """To 120 dB, and no normalisation is left behind a linear layer, whose weights stay one matrix."""
    path = written(tmp_path)
    apart = onnx.load_from_string(frame_major(path, are_norms_apart=True).content)
    onnx.checker.check_model(apart)
    products = [node.output[0] for node in apart.graph.node if node.op_type == "MatMul"]
    behind = {node.op_type for node in apart.graph.node if set(products) & set(node.input)}
    assert products
    assert behind == {"Reshape"}
    session = onnxruntime.InferenceSession(apart.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = noise(2, 4, 32, 64)
    (got,) = session.run(None, {session.get_inputs()[0].name: batch})
    expected = FrameMajorOnnx(path, device=CPU, threads=1).run(batch)
    assert 10 * np.log10(np.sum(expected**2) / np.sum((expected - got) ** 2)) > 120


@pytest.mark.parametrize(("depth", "kernel", "convs"), [(5, 3, 3), (3, 3, 1), (5, 5, 2)])
def test_reach_is_what_the_network_depends_on(tmp_path: Path, depth: int, kernel: int, convs: int) -> None:
    """Frames beyond the reach do not matter to an output frame; those of the last cell within it do."""
    network = averaging(TfcTdfNet(TfcTdfConfig(bins=64, depth=depth, growth=2, kernel=kernel, convs_per_block=convs)))
    reach = frame_major(written(tmp_path, network)).reach
    assert reach == ReceptiveField(scales=depth // 2, frames_per_block=convs * (kernel // 2))
    engine = FrameMajorOnnx(tmp_path / "vocals.onnx", device=CPU, threads=1)
    engine.precision = "tf32"  # such inputs overflow in some frames, which is an error in fp32
    spectra = np.abs(noise(1, 4, 128, 64))
    whole = engine.run(spectra)
    for frame in (0, 5, 22, 31):
        needed = reach.frames_for(frame)
        assert needed % reach.frame_multiple == 0
        beyond, within = spectra.copy(), spectra.copy()
        beyond[:, :, needed:] = 1e15
        within[:, :, needed - reach.frame_multiple : needed] = 1e15
        np.testing.assert_allclose(engine.run(beyond)[:, :, frame], whole[:, :, frame], rtol=1e-5)
        np.testing.assert_allclose(engine.run(spectra[:, :, :needed])[:, :, frame], whole[:, :, frame], rtol=1e-5)
        assert np.all(engine.run(within)[:, :, frame] > 10 * whole[:, :, frame])


def test_published_reach() -> None:
    """Three 3x3 convolutions a block, five scales: 282 frames beyond a cell of 32."""
    reach = ReceptiveField(scales=5, frames_per_block=3)
    assert reach.frame_multiple == 32
    assert reach.frames_for(31) == 320
    assert reach.frames_for(0) == 288
    with pytest.raises(ValueError, match="negative"):
        ReceptiveField(scales=-1, frames_per_block=0)


@pytest.mark.parametrize("samples", [1, 700, 5_500, 9_000, 14_000])
def test_short_chunks_at_the_end_change_nothing(tmp_path: Path, samples: int) -> None:
    """Kept samples of a song are those of whole chunks, to 110 dB; the last chunk is no longer than it needs."""
    network = FrameMajorOnnx(written(tmp_path), device=CPU, threads=1)
    engine = spectral_engine(network, STFT)
    whole = SpectralChunking(STFT, 96)
    cut = SpectralChunking(STFT, 96, reach=network.reach)
    assert [(span.start, span.stop) for span in cut.spans(samples)] == [
        (span.start, span.stop) for span in whole.spans(samples)
    ]
    expected, got = (
        estimated(SpectralMechanism((SpectralNetwork("vocals", engine, chunking, 3),)), noise(2, samples))["vocals"]
        for chunking in (whole, cut)
    )
    assert got.shape == (2, samples)
    assert 10 * np.log10(np.sum(expected**2) / max(np.sum((expected - got) ** 2), 1e-30)) > 110


def test_last_chunks_are_shorter_where_that_is_possible() -> None:
    stft = StftGeometry(6144, 1024, 2048)
    chunking = SpectralChunking(stft, 512, reach=ReceptiveField(scales=5, frames_per_block=3))
    frames = [(span.context_stop - span.context_start) // 1024 + 1 for span in chunking.spans(60 * 44_100)]
    assert frames == [512] * 5 + [352]
    assert [(span.context_stop - span.context_start) // 1024 + 1 for span in chunking.spans(1)] == [320]


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    masked = TfcTdfNet(TfcTdfConfig(bins=64, depth=3, growth=2, norm="instance", output="complex_mask"))
    with pytest.raises(WeightsError):
        frame_major(written(tmp_path, masked))
    path = written(tmp_path)
    for kind, attribute, message in (("Transpose", "perm", "swap"), ("Conv", "dilations", "Conv")):
        model = onnx.load(path)
        node = next(node for node in model.graph.node if node.op_type == kind)
        given = next(a for a in node.attribute if a.name == attribute)
        given.ints[:] = [0, 2, 1, 3] if kind == "Transpose" else [2, 2]
        onnx.save(model, tmp_path / "wrong.onnx")
        with pytest.raises(WeightsError, match=message) as caught:
            frame_major(tmp_path / "wrong.onnx")
        assert caught.value.where == str(tmp_path / "wrong.onnx")


def test_transforms_and_network_together(tmp_path: Path) -> None:
    """One engine of waveforms, as long as its chunks are."""
    engine = frame_spectral_engine(FrameMajorOnnx(written(tmp_path), device=CPU, threads=1), STFT, workers=2)
    for frames in (32, 96):
        assert engine.run(noise(2, 2, 64 * (frames - 1))).shape == (2, 2, 64 * (frames - 1))
    assert "onnxruntime" in engine.runs_on
