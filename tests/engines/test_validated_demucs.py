"""Recurrent weights in 8 bits: the rounding, the product made with it, and the choice between it and fp32."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.engines import validated_engine
from my_submission.engines.demucs_engine import DemucsEngine, open_demucs
from my_submission.engines.subgraph_engine import SubgraphEngine
from my_submission.engines.validated_demucs import ValidatedDemucs, rounding_obstacle
from my_submission.errors import WeightsError
from my_submission.graphs.demucs_lstm import lstm_direction
from my_submission.graphs.demucs_shape import DemucsConfig
from my_submission.graphs.rounded_weights import BLOCK, rounded_to_8_bits
from my_submission.networks.demucs import Demucs
from tests.audio_fixtures import snr_db
from tests.model_makers import random_demucs

EXCERPT_SECONDS = 0.1


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def restored(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return ((counts.astype(np.float32) - 128) * sizes[..., None]).reshape(len(counts), -1)


@pytest.fixture
def demucs(tmp_path: Path) -> DemucsEngine:
    """A Demucs whose LSTM matters: what it hears is as loud as its own output."""
    network = random_demucs(4)
    with torch.no_grad():
        network.lstm.lstm.weight_ih_l0 *= 100
        network.lstm.lstm.weight_ih_l0_reverse *= 100
        network.lstm.linear.weight *= 100
        for decode in network.decoder:
            decode[0].weight *= 3
    torch.save(network.state_dict(), tmp_path / "demucs.th")
    return open_demucs(tmp_path / "demucs.th", threads=1)


def checked(demucs: DemucsEngine) -> ValidatedDemucs:
    excerpt_samples = demucs.config.valid_length(int(EXCERPT_SECONDS * 44_100))
    return ValidatedDemucs(demucs, excerpt_samples=excerpt_samples, name="demucs")


@pytest.mark.parametrize("scale", [1.0, 1e-20, 0.0])
def test_no_weight_moves_by_more_than_half_a_step(scale: float) -> None:
    matrix = noise(130, 3 * BLOCK) * np.float32(scale)
    counts, sizes = rounded_to_8_bits(matrix)
    assert counts.shape == (130, 3, BLOCK)
    assert sizes.shape == (130, 3)
    moved = np.abs(restored(counts, sizes) - matrix).reshape(counts.shape)
    assert np.all(moved <= sizes[..., None] * 0.5001)
    largest = np.abs(matrix).reshape(counts.shape).max(-1)
    np.testing.assert_allclose(sizes * 127, largest, rtol=1e-6)


def test_normal_weights_are_45_db_from_their_rounded_ones() -> None:
    matrix = noise(512, 512)
    assert 44.5 < snr_db(matrix, restored(*rounded_to_8_bits(matrix))) < 47


def test_columns_must_fill_blocks() -> None:
    with pytest.raises(ValueError, match="33 columns"):
        rounded_to_8_bits(noise(2, 33))


@pytest.mark.parametrize("is_backward", [False, True])
def test_a_rounded_direction_is_the_exact_one_of_rounded_weights(is_backward: bool) -> None:
    """70 dB over 50 steps: what is left is the rounding of the states, in two parts of 8 bits."""
    hidden = 2 * BLOCK
    side = "_reverse" if is_backward else ""
    shapes = {"weight_ih": (4 * hidden, 20), "weight_hh": (4 * hidden, hidden), "bias_ih": (4 * hidden,)}
    state = {
        f"lstm.lstm.{part}_l0{side}": noise(*shape, seed=seed) / np.float32(hidden**0.5)
        for seed, (part, shape) in enumerate([*shapes.items(), ("bias_hh", (4 * hidden,))])
    }
    recurrent = f"lstm.lstm.weight_hh_l0{side}"
    rounded = {**state, recurrent: restored(*rounded_to_8_bits(state[recurrent]))}
    feeds = {"input": noise(50, 2, 20, seed=9)} | ({"lengths": np.array([50, 31])} if is_backward else {})

    def states(tensors: dict[str, np.ndarray], *, is_rounded: bool) -> np.ndarray:
        direction = lstm_direction(tensors, 0, is_backward=is_backward, is_rounded=is_rounded)
        states = SubgraphEngine(direction, Path("lstm"), threads=1)(feeds)
        states[31:, 1] = 0
        return states

    got = states(state, is_rounded=True)
    assert snr_db(states(rounded, is_rounded=False), got) > 70
    assert snr_db(states(state, is_rounded=False), got) < 60


def test_eight_bits_are_used_where_they_agree(demucs: DemucsEngine) -> None:
    engine = checked(demucs)
    segments = [noise(2, demucs.config.valid_length(n), seed=n) for n in (9_000, 20_000)]
    together = engine.run_together(segments)
    assert re.search(r"8 bits, agrees with fp32 to \d+ dB", engine.verdict)
    for exact, got in zip(demucs.run_together(segments), together, strict=True):
        assert 45 < snr_db(exact, got) < 100
    np.testing.assert_array_equal(engine.run_together(segments)[0], together[0])
    assert snr_db(together[0], engine.run(segments[0][None])[0]) > 70


def test_fp32_is_used_where_they_do_not(demucs: DemucsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validated_engine, "MIN_AGREEMENT_DB", 200.0)
    engine = checked(demucs)
    engine.open()
    segments = [noise(2, demucs.config.valid_length(9_000))]
    np.testing.assert_array_equal(engine.run_together(segments)[0], demucs.run_together(segments)[0])
    assert engine.verdict.startswith("demucs: fp32, because 8 bits agrees with it to only")


def test_nothing_is_compared_in_silence(demucs: DemucsEngine) -> None:
    engine = checked(demucs)
    silence = np.zeros((2, demucs.config.valid_length(9_000)), np.float32)
    np.testing.assert_array_equal(engine.run_together([silence])[0], demucs.run_together([silence])[0])
    assert engine.verdict == ""


def test_widths_that_cannot_be_rounded(tmp_path: Path) -> None:
    torch.save(Demucs(DemucsConfig(channels=3, depth=4)).state_dict(), tmp_path / "narrow.th")
    narrow = open_demucs(tmp_path / "narrow.th", threads=1)
    with pytest.raises(WeightsError, match="width 24"):
        narrow.with_rounded_recurrence()
    engine = checked(narrow)
    segment = noise(2, narrow.config.valid_length(9_000))
    np.testing.assert_array_equal(engine.run_together([segment])[0], narrow.run_together([segment])[0])
    assert "cannot be used (an LSTM of width 24" in engine.verdict


def test_what_leaves_its_range_is_run_again_in_fp32(demucs: DemucsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = checked(demucs)
    segment = noise(2, demucs.config.valid_length(9_000))
    engine.run_together([segment])
    chosen = engine._chosen
    assert isinstance(chosen, DemucsEngine)
    assert chosen is not demucs
    monkeypatch.setattr(chosen, "run_together", lambda segments, **_: [np.full((4, 2, 5), np.nan, np.float32)])
    np.testing.assert_array_equal(engine.run_together([segment])[0], demucs.run_together([segment])[0])
    assert "left the range" in engine.verdict


@pytest.mark.parametrize(
    ("text", "is_obstacle"),
    [("flags\t\t: fpu avx512_vnni\n", False), ("flags : avx2 avx_vnni\n", False), ("flags : avx2\n", True), ("", True)],
)
def test_only_processors_with_products_of_integers(tmp_path: Path, text: str, is_obstacle: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    assert (rounding_obstacle.__wrapped__(tmp_path / "cpuinfo") is not None) == is_obstacle
    assert rounding_obstacle.__wrapped__(tmp_path / "missing") is not None
