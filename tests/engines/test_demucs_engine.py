"""Demucs level by level on onnxruntime against the network in torch."""

from __future__ import annotations

import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.audio_io import mixture_from_array
from my_submission.engines import DeferredEngine, Device, subgraph_engine
from my_submission.engines.demucs_engine import DemucsEngine, open_demucs
from my_submission.engines.subgraph_engine import SubgraphEngine
from my_submission.engines.torch_engine import TorchEngine
from my_submission.errors import WeightsError
from my_submission.geometry import OverlapChunking
from my_submission.graphs import demucs_levels
from my_submission.graphs.demucs_shape import DemucsConfig
from my_submission.graphs.subgraph import INPUT, Subgraph
from my_submission.mechanisms import WaveformMechanism
from my_submission.networks.demucs import Demucs
from my_submission.stems import DEMUCS_SOURCES
from my_submission.weights import map_tensors, read_state_dict
from tests.model_makers import random_demucs


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / max(np.sum((reference - estimate) ** 2), 1e-30)))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def written(folder: Path, network: Demucs) -> Path:
    torch.save(network.state_dict(), folder / "demucs.th")
    return folder / "demucs.th"


@pytest.fixture
def network() -> Demucs:
    return random_demucs(4)


@pytest.fixture
def engine(tmp_path: Path, network: Demucs) -> DemucsEngine:
    return open_demucs(written(tmp_path, network), threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 5_000, 44_100])
def test_agrees_with_torch(engine: DemucsEngine, network: Demucs, samples: int) -> None:
    """110 dB, at lengths of one tile and of several."""
    batch = noise(2, 2, network.config.valid_length(samples))
    expected = TorchEngine(network, device=Device("cpu")).run(batch)
    got = engine.run(batch)
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    assert snr_db(expected, got) > 110
    np.testing.assert_array_equal(engine.run(batch, is_last=True), got)
    np.testing.assert_array_equal(engine.run(batch), got)


def test_tiles_change_nothing(engine: DemucsEngine, network: Demucs, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = noise(1, 2, network.config.valid_length(9_000))
    whole = engine.run(batch)
    monkeypatch.setattr("my_submission.engines.demucs_engine.TILE_SAMPLES", 1000)
    assert snr_db(whole, engine.run(batch)) > 120


def test_segments_of_different_lengths_together(engine: DemucsEngine, network: Demucs) -> None:
    """Each as if it were alone, to 110 dB: a longer neighbour does not leak into a shorter one's LSTM."""
    segments = [noise(2, network.config.valid_length(n), seed=n) for n in (20_000, 3, 9_000)]
    together = engine.run_together(segments, is_last=True)
    for segment, got in zip(segments, together, strict=True):
        alone = engine.run(segment[None])[0]
        assert got.shape == alone.shape
        assert snr_db(alone, got) > 110


@pytest.mark.parametrize(
    "config", [DemucsConfig(channels=2, depth=3, lstm_layers=1), DemucsConfig(channels=3, depth=4)]
)
def test_other_sizes(tmp_path: Path, config: DemucsConfig) -> None:
    network = Demucs(config).eval()
    engine = open_demucs(written(tmp_path, network), threads=1)
    assert engine.config == config
    batch = noise(1, 2, config.valid_length(3_000))
    assert snr_db(TorchEngine(network, device=Device("cpu")).run(batch), engine.run(batch)) > 110


@pytest.mark.parametrize("is_rounded", [False, True])
def test_checkpoints_in_half_precision(tmp_path: Path, network: Demucs, is_rounded: bool) -> None:
    """The same numbers as from a file that holds them in float32."""
    halves = {name: value.half() for name, value in network.state_dict().items()}
    engines = []
    for name, state in (("half", halves), ("same", {name: value.float() for name, value in halves.items()})):
        torch.save(state, tmp_path / f"{name}.th")
        opened = open_demucs(tmp_path / f"{name}.th", threads=1)
        engines.append(opened.with_rounded_recurrence() if is_rounded else opened)
    batch = noise(1, 2, network.config.valid_length(3_000))
    np.testing.assert_array_equal(engines[0].run(batch), engines[1].run(batch))


def test_shapes_are_those_of_a_checkpoint() -> None:
    for config in (DemucsConfig(channels=3), DemucsConfig(channels=2, depth=2, lstm_layers=1)):
        with torch.device("meta"):
            state = Demucs(config).state_dict()
        assert config.shapes() == {name: tuple(value.shape) for name, value in state.items()}


def test_wrong_checkpoints_are_refused(tmp_path: Path, network: Demucs) -> None:
    state = network.state_dict()
    wrong = {
        "lstm.linear.bias": {name: value for name, value in state.items() if name != "lstm.linear.bias"},
        "new.weight": {**state, "new.weight": torch.zeros(1)},
        "encoder.1.2.bias": {**state, "encoder.1.2.bias": torch.zeros(3)},
    }
    for name, tensors in wrong.items():
        torch.save(tensors, tmp_path / "wrong.th")
        with pytest.raises(WeightsError, match=re.escape(name)) as caught:
            open_demucs(tmp_path / "wrong.th", threads=1)
        assert caught.value.where == str(tmp_path / "wrong.th")


def test_a_level_is_that_of_the_network() -> None:
    state = {name: value.numpy() for name, value in random_demucs(4).state_dict().items()}
    x = noise(1, 4, 1, 80)
    with torch.inference_mode():
        expected = random_demucs(4).encoder[1](torch.from_numpy(x[:, :, 0]))
    level = SubgraphEngine(demucs_levels.encoder_level(state, 1), Path("demucs.th"), threads=1)
    assert snr_db(expected.numpy(), level({INPUT: x})[:, :, 0]) > 110


def test_weights_are_open_while_they_are_needed(
    tmp_path: Path, network: Demucs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is open before the first run; several segments together let go of the encoder and of
    each direction of the LSTM when they have used it, but for the outermost level, which the decoder needs.

    One segment keeps everything, and so does whoever opens the engine beforehand.
    """
    opened: list[weakref.ref[SubgraphEngine]] = []

    def open_subgraph(graph: Subgraph, where: Path, *, threads: int) -> SubgraphEngine:
        assert sum("recurrent" in graphs[id(ref)] for ref in opened if ref() is not None) <= (0 if is_lean else 4)
        made = SubgraphEngine(graph, where, threads=threads)
        opened.append(weakref.ref(made))
        graphs[id(opened[-1])] = set(graph.weights)
        return made

    def alive(kind: str) -> int:
        return sum(kind in graphs[id(ref)] for ref in opened if ref() is not None)

    graphs: dict[int, set[str]] = {}
    monkeypatch.setattr(subgraph_engine, "SubgraphEngine", open_subgraph)
    engine = DemucsEngine(written(tmp_path, network), threads=1)
    assert isinstance(engine, DeferredEngine)
    assert opened == []
    segments, is_lean = [noise(2, network.config.valid_length(n), seed=n) for n in (500, 900)], True
    together = engine.run_together(segments)
    assert (alive("recurrent"), alive("narrowing"), alive("context")) == (0, 1, 6)
    assert len(opened) == 6 + 6 + 2 * 2 + 1 + 2
    np.testing.assert_array_equal(engine.run_together(segments)[0], together[0])
    assert len(opened) == 11 + 6 + 2 * 2 * 2 + 1 + 2
    is_lean = False
    engine.run(segments[0][None])
    assert (alive("recurrent"), alive("narrowing")) == (4, 6)
    engine.open()
    assert len(opened) == 16 + 6 + 3 * 2 * 2 + 1 + 2


def test_a_file_is_opened_once(tmp_path: Path, network: Demucs) -> None:
    path = written(tmp_path, network)
    assert open_demucs(path, threads=1) is open_demucs(path, threads=1)
    assert "onnxruntime" in open_demucs(path, threads=1).runs_on


def test_tensors_are_mapped_not_copied(tmp_path: Path, network: Demucs) -> None:
    """The numbers of the file, read-only, whatever their type; a name that is not there is an error."""
    path = written(tmp_path, network)
    whole = read_state_dict(path)
    mapped = map_tensors(path, ["encoder.1.0.weight", "lstm.linear.bias"])
    assert set(mapped) == {"encoder.1.0.weight", "lstm.linear.bias"}
    for name, array in mapped.items():
        np.testing.assert_array_equal(array, whole[name])
        assert not array.flags.writeable
    torch.save({"a": torch.arange(4).to(torch.bfloat16), "b": torch.arange(6).reshape(2, 3).T}, tmp_path / "other.th")
    other = map_tensors(tmp_path / "other.th", ["a", "b"])
    np.testing.assert_array_equal(other["a"], np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(other["b"], np.arange(6).reshape(2, 3).T)
    with pytest.raises(WeightsError, match="no tensor c"):
        map_tensors(tmp_path / "other.th", ["c"])


def test_segments_of_a_song_together_are_those_one_after_the_other(engine: DemucsEngine) -> None:
    """A separator hands several segments over at once, and each comes back as if it were alone, to 110 dB."""
    chunking = OverlapChunking(segment_samples=20_000, overlap_ratio=0.5)
    mechanism = WaveformMechanism(
        engine, DEMUCS_SOURCES, valid_length=engine.config.valid_length, chunking=chunking, normalisation="joint"
    )
    assert mechanism.segments_together > 1
    with mixture_from_array(noise(2, 34_000), 44_100) as mixture:
        spans = [(offset, min(20_000, 34_000 - offset)) for offset in chunking.offsets(34_000)]
        together = mechanism.segments(mixture, spans, is_last=True)
        for (offset, length), got in zip(spans, together, strict=True):
            alone = mechanism.segment(mixture, offset, length)
            assert got.shape == (4, 2, length)
            assert snr_db(alone, got) > 110
