"""Benchmarks compare like with like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import with_demucs
from my_submission.engines.checked_engine import agreement_db
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
