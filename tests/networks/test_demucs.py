"""Demucs v2: published sizes, keys and lengths, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from my_submission.errors import WeightsError
from my_submission.graphs.demucs_shape import TILE_SAMPLES, DemucsConfig
from my_submission.networks import demucs
from my_submission.networks.demucs import Demucs, centre_trim, downsample_by_two, upsample_by_two
from tests.model_makers import random_demucs


def test_parameter_count_is_the_published_one() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Demucs(DemucsConfig(channels=64)).parameters()) == 265_679_496
        # 48 channels: the published file has 597.9 MB of float32
        assert sum(p.numel() for p in Demucs(DemucsConfig(channels=48)).parameters()) * 4 / 1e6 == pytest.approx(
            597.9, abs=0.1
        )


def test_key_names_are_the_published_ones() -> None:
    parts = [f"encoder.{i}.{j}.{k}" for i in range(6) for j in (0, 2) for k in ("weight", "bias")]
    parts += [f"decoder.{i}.{j}.{k}" for i in range(6) for j in (0, 2) for k in ("weight", "bias")]
    parts += [
        f"lstm.lstm.{kind}_l{layer}{way}"
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for layer in (0, 1)
        for way in ("", "_reverse")
    ]
    parts += ["lstm.linear.weight", "lstm.linear.bias"]
    assert set(random_demucs().state_dict()) == set(parts)


@pytest.mark.parametrize(
    ("samples", "valid"), [(1, 8_874), (44_100, 49_834), (882_000, 887_466), (1_764_000, 1_770_154)]
)
def test_valid_length_is_the_published_one(samples: int, valid: int) -> None:
    assert DemucsConfig().valid_length(samples) == valid


@pytest.mark.parametrize("samples", [1, 1_000, 12_345])
def test_a_valid_length_covers_what_was_asked(samples: int) -> None:
    network = random_demucs()
    fed = network.config.valid_length(samples)
    with torch.inference_mode():
        out = network(torch.zeros(1, 2, fed))
    assert out.shape[:3] == (1, 4, 2)
    assert samples <= out.shape[-1] <= fed


def test_tiles_suit_the_device() -> None:
    """A device that is no processor works on whole levels of short segments, and the shapes are the same."""
    network = random_demucs()
    samples = network.config.valid_length(1_000)
    with torch.inference_mode():
        expected = network(torch.zeros(1, 2, samples)).shape
        on_device = demucs.Demucs(network.config).to("meta")(torch.zeros(1, 2, samples, device="meta"))
    assert on_device.shape == expected
    assert (
        demucs._tile_samples(on_device)
        == demucs.DEVICE_TILE_SAMPLES
        > TILE_SAMPLES
        == demucs._tile_samples(torch.zeros(1))
    )


def test_odd_excess_is_cut_on_the_right() -> None:
    assert centre_trim(torch.arange(7), 4).tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="cannot trim"):
        centre_trim(torch.arange(3), 4)


def test_resampler_round_trip_and_gain() -> None:
    """A tone well inside the band survives up and down with less than -60 dB of error away from the ends."""
    tone = torch.sin(2 * np.pi * 0.05 * torch.arange(4_001, dtype=torch.float32))[None, None]
    up = upsample_by_two(tone)
    assert up.shape[-1] == 2 * 4_001
    down = downsample_by_two(up)
    assert down.shape[-1] == 4_001
    error = (down - tone)[..., 100:-100]
    assert 10 * torch.log10(error.square().sum() / tone.square().sum()) < -60
    assert torch.allclose(upsample_by_two(torch.ones(1, 100)), torch.ones(1, 200), atol=1e-6)


def test_weights_are_taken_over_not_copied() -> None:
    state = random_demucs().state_dict()
    network = Demucs.from_state(state)
    assert network.encoder[0][0].weight.data_ptr() == state["encoder.0.0.weight"].data_ptr()
    assert not network.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("encoder.0.0.weight"), "encoder.0.0.weight"),
        (lambda state: state.pop("lstm.linear.bias"), "lstm.linear.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra"),
        (lambda state: state.update({"decoder.1.0.bias": torch.zeros(3)}), "decoder.1.0.bias"),
        (lambda state: state.update({"decoder.5.2.weight": torch.zeros(4, 6, 8)}), "6 output channels"),
    ],
)
def test_states_that_do_not_fit_name_the_key(change: object, message: str) -> None:
    state = dict(random_demucs().state_dict())
    change(state)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message):
        Demucs.from_state(state, where="some.th")


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without tiles: the same to float32 rounding (1e-6 of the peak)."""
    network = random_demucs()
    x = torch.randn(1, 2, network.config.valid_length(3_000), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(x)
        monkeypatch.setattr(demucs, "TILE_SAMPLES", 37)
        tiled = network(x)
    assert (whole - tiled).abs().max() < 1e-6 * whole.abs().max()


def test_empty_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DemucsConfig(channels=0)
