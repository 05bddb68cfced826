"""Networks in torch: opened once, half precision, checkpoints with code or damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.engines import Device
from my_submission.engines.torch_engine import TorchEngine, open_torch
from my_submission.engines.validated_engine import agreement_db
from my_submission.errors import MdxError, WeightsError
from my_submission.graphs.demucs_shape import DemucsConfig
from my_submission.networks.demucs import Demucs
from my_submission.networks.state_dict import load_state_dict
from tests.model_makers import random_demucs

CPU = Device("cpu")


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
    assert 25 < agreement_db(exact, rounded) < 100


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
    with pytest.raises(WeightsError, match="it contains a value of type list"):
        load_state_dict(tmp_path / "list.th")
    torch.save({}, tmp_path / "empty.th")
    with pytest.raises(WeightsError, match="no state dict"):
        load_state_dict(tmp_path / "empty.th")


def test_lightning_style_checkpoints_are_unwrapped(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "l.ckpt")
    assert list(load_state_dict(tmp_path / "l.ckpt")) == ["a"]
