"""Benchmarks compare like with like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu, gpu_ways, with_demucs
from my_submission.engines.validated_engine import agreement_db
from my_submission.errors import MdxError
from my_submission.graphs.demucs_shape import DemucsConfig
from my_submission.networks.demucs import Demucs
from tests.model_makers import random_demucs


def test_the_demucs_package_runs_the_same_network(tmp_path: Path) -> None:
    """Away from a segment's ends, where the package pads what v2 was fed, both agree to 60 dB."""
    pytest.importorskip("demucs.demucs", reason="the demucs package is not installed (scripts/setup does)")
    ours = random_demucs(4)
    torch.save(ours.state_dict(), tmp_path / "demucs.th")
    theirs = with_demucs.open_network(tmp_path / "demucs.th")
    length = 60_000
    needed = ours.config.valid_length(length)
    heard = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 2, needed)).astype(np.float32))
    with torch.inference_mode():
        expected, found = ours(heard)[0], theirs(heard)[0]
    assert ours.config.sources == with_demucs.SOURCES
    start, edge = (needed - expected.shape[-1]) // 2, 15_000
    inner = slice(edge, expected.shape[-1] - edge)
    aligned = found[..., start : start + expected.shape[-1]]
    assert agreement_db(expected[..., inner].numpy(), aligned[..., inner].numpy()) > 60
    shifted = found[..., start + 1 : start + 1 + expected.shape[-1]]
    assert agreement_db(expected[..., inner].numpy(), shifted[..., inner].numpy()) < 30


@pytest.mark.slow
def test_the_gpu_benchmark_makes_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a processor and tiny networks: every way that needs neither a card nor a compiler, one that fails beside them.

    In the test's own process; the command gives each way one of its own.
    """

    def in_process(given: Sequence[str]) -> dict[str, Any]:
        if "torch eager, tf32" in given:
            return {"failed": "it has none"}
        return gpu_ways.answer(given)

    monkeypatch.setattr(gpu, "one_way", in_process)
    systems = ["the processor, fp32", "ours, auto", "torch throughout, fp32"]
    ways = [*systems, "onnxruntime, fp32", "onnxruntime, fp16", "torch eager, fp32", "torch eager, tf32"]
    arguments = "--device cpu --geometry tiny --seconds 0.5 --rounds 1 --batch 1 --product-size 64 --threads 1 --only"
    monkeypatch.setattr("sys.argv", ["gpu", *arguments.split(), *ways, "--output", str(tmp_path / "gpu.md")])
    assert gpu.main() == 0
    table = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == table
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in table.splitlines()}
    for name in systems:
        assert len(rows[name]) == 10
        assert float(rows[name][1]) > 0  # times real time
    assert int(rows["torch throughout, fp32"][-1].removesuffix(" |")) > 90  # dB from the processor
    for name in ways[3:6]:
        assert float(rows[name][0].split()[0]) > 0  # milliseconds a chunk
        assert rows[name][1].endswith("% |")
    assert rows["torch eager, tf32"][0] == "failed: it has none"


@pytest.mark.slow
def test_the_gpu_benchmark_says_why_a_way_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """A way that is none: its last words. A card that is not there: a refusal, and nothing is measured."""
    nowhere = ["network", "by hand", "--device", "cuda", "--models-dir", "nowhere"]
    assert "nowhere" in gpu.one_way(nowhere)["failed"]
    for device in ("cuda:99", "auto"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["gpu", "--device", device])
            assert gpu.main() == 1
        assert "error: " in capsys.readouterr().err


def test_the_gpu_benchmark_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was measured is kept, what failed runs again, and answers to other settings are refused."""
    monkeypatch.setattr(gpu, "write_models", lambda folder, geometry: folder.mkdir())
    monkeypatch.setattr("sys.argv", ["gpu", "--work", str(tmp_path), "--prepare", "--seconds", "0.1"])
    assert gpu.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models-published", "song.wav"]
    monkeypatch.setattr("sys.argv", ["gpu", "--prepare"])
    assert gpu.main() == 1
    given = iter([{"failed": "busy"}, {"seconds": [1.0]}])
    for expected in ({"failed": "busy"}, {"seconds": [1.0]}, {"seconds": [1.0]}):
        answers = gpu.Answers.of(tmp_path / "answers", {"rounds": 5})
        assert answers.answer("network", "torch eager, fp32", lambda: next(given)) == expected
    with pytest.raises(MdxError, match="measurements of other settings"):
        gpu.Answers.of(tmp_path / "answers", {"rounds": 6})
    assert "network: torch eager, fp32" in capsys.readouterr().err


def test_multiply_adds_of_demucs_are_counted_right() -> None:
    """Against torch's own counter for the convolutions, and the LSTM's weights at every step."""
    network = Demucs(DemucsConfig(channels=4, depth=3)).eval()
    samples = network.config.valid_length(2_000)
    steps: list[int] = []
    network.lstm.register_forward_pre_hook(lambda _, inputs: steps.append(inputs[0].shape[-1]))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 2, samples))
    n_recurrent = sum(weight.numel() for name, weight in network.lstm.named_parameters() if "weight_" in name)
    flops = counter.get_flop_counts()["Global"]
    outside = sum(count for operator, count in flops.items() if "lstm" not in str(operator))
    expected = outside / 2 + steps[0] * n_recurrent
    assert gpu.demucs_macs(network.config, samples) == pytest.approx(
        expected, rel=0.03
    )  # and what lies beyond the output's ends
