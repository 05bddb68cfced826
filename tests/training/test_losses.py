"""Losses against their definitions in numpy, activations computed again, averages, separation of whole songs."""

from __future__ import annotations

import copy
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from my_submission.dsp.wiener import WienerSettings
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.networks.spectra import to_channels
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet
from tests.whole_files import wiener
from training.loop.callbacks import decay_at, update_average
from training.modules.activations import recompute_in_backward
from training.modules.whole_songs import separate
from training.optimisation.losses import LossName, LossValues, loss_of
from training.optimisation.wiener import filtered

STFT = StftGeometry(256, 64, 129)
N_SAMPLES = 64 * 15
WEIGHTS = torch.tensor([3.0, 1.0])


def batch(seed: int = 0, *, silent: bool = False) -> LossValues:
    """Two windows of two targets and something else; estimates that are a little wrong."""
    generator = torch.Generator().manual_seed(seed)
    stems = torch.randn(2, 3, 2, N_SAMPLES, generator=generator) * (0.0 if silent else 0.1)
    estimates = stems[:, :2] + 0.02 * torch.randn(2, 2, 2, N_SAMPLES, generator=generator)
    mixture = stems.sum(dim=1)

    def spectra(waves: Tensor) -> Tensor:
        return to_channels(waves.flatten(0, 1), STFT).reshape(2, 2, 4, 129, 16)

    return LossValues(
        spectra(estimates).requires_grad_(),
        stems[:, :2],
        spectra(stems[:, :2]),
        mixture,
        to_channels(mixture, STFT),
        STFT,
    )


def reference_loss(name: str, outcome: LossValues) -> float:
    """The definitions, in float64 numpy, sample by sample."""
    estimates, targets, mixture = (
        x.detach().double().numpy() for x in (outcome.waves(), outcome.target_waves, outcome.mixture_waves)
    )
    # With two targets the combinations that are not all of them are the targets themselves.
    weights = np.ones(2) if name == "combination" else WEIGHTS.numpy()
    if name in {"mse", "l1"}:
        error = np.abs(estimates - targets) ** (2 if name == "mse" else 1)
        return float(np.mean(error.mean(axis=(2, 3)) * weights))
    if name == "negative-sdr":
        ratios = [
            10 * np.log10((np.sum(t**2) + 1e-7) / (np.sum((t - e) ** 2) + 1e-7))
            for e, t in zip(estimates, targets, strict=True)
        ]
        return -float(np.mean(ratios))
    spectra, wanted, mixed = (
        x.detach().double().numpy() for x in (outcome.spectra, outcome.target_spectra, outcome.mixture_spectra)
    )
    if name == "spectrum-mse":
        return float(np.mean(np.mean((spectra - wanted) ** 2, axis=(2, 3, 4)) * weights))
    if name == "energy-ratio":
        power = np.mean(mixed**2, axis=(1, 2, 3)) + 1e-4
        return float(np.mean(np.mean((spectra - wanted) ** 2, axis=(2, 3, 4)) / power[:, None] * weights))
    if name == "log-energy-ratio":
        least = 0.05 * (np.mean(mixed**2, axis=(1, 2, 3)) + 1e-4)[:, None]
        error, power = (np.mean(x**2, axis=(2, 3, 4)) for x in (spectra - wanted, wanted))
        return float(np.mean(np.log((error + least) / (power + least)) * weights))
    total = 0.0
    for n in range(2):
        for s in range(2):
            bins = spectra[n, s].reshape(2, 2, 129, 16) - wanted[n, s].reshape(2, 2, 129, 16)
            complex_bins = bins[:, 0] + 1j * bins[:, 1]
            similarity = []
            for c in range(2):
                ref, est, rest = targets[n, s, c], estimates[n, s, c], mixture[n, c] - targets[n, s, c]
                share = np.sum(ref**2) / (np.sum(ref**2) + np.sum(rest**2))
                pairs = ((ref, est), (rest, mixture[n, c] - est))
                first, second = (np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs)
                similarity.append(share * first + (1 - share) * second)
            total += weights[s] * (np.mean(np.abs(complex_bins) ** 2) + 10 * (1 - np.mean(similarity)))
    return total / 4


@pytest.mark.parametrize("name", get_args(LossName))
def test_a_loss_is_its_definition(name: LossName) -> None:
    outcome = batch()
    assert float(loss_of(name, outcome, WEIGHTS).detach()) == pytest.approx(reference_loss(name, outcome), rel=2e-3)


@pytest.mark.parametrize("name", get_args(LossName))
def test_a_perfect_estimate_is_the_least_and_silence_is_finite(name: LossName) -> None:
    outcome = batch()
    perfect = LossValues(
        outcome.target_spectra,
        outcome.target_waves,
        outcome.target_spectra,
        outcome.mixture_waves,
        outcome.mixture_spectra,
        STFT,
    )
    perfect_loss, loss = (loss_of(name, made, WEIGHTS).detach() for made in (perfect, outcome))
    assert float(perfect_loss) < float(loss)
    silent = batch(silent=True)
    silent_loss = loss_of(name, silent, WEIGHTS)
    silent_loss.backward()
    assert torch.isfinite(silent_loss)
    assert silent.spectra.grad is not None
    assert torch.isfinite(silent.spectra.grad).all()


def test_combinations_are_all_sums_that_are_not_the_mixture() -> None:
    """Of four sources 14; each counts as if it were a source of its own."""
    generator = torch.Generator().manual_seed(3)
    stems = torch.randn(2, 4, 2, N_SAMPLES, generator=generator) * 0.1
    estimates = stems + 0.02 * torch.randn(stems.shape, generator=generator)
    mixture = stems.sum(dim=1)
    rows = [list(chosen) for size in (1, 2, 3) for chosen in combinations(range(4), size)]

    def spectra(waves: Tensor) -> Tensor:
        return to_channels(waves.flatten(0, 1), STFT).reshape(*waves.shape[:2], 4, 129, 16)

    def outcome(made: Tensor, wanted: Tensor) -> LossValues:
        return LossValues(spectra(made), wanted, spectra(wanted), mixture, to_channels(mixture, STFT), STFT)

    def summed(waves: Tensor, chosen: list[int]) -> Tensor:
        return waves[:, chosen].sum(dim=1, keepdim=True)

    each = [
        float(loss_of("masking", outcome(summed(estimates, chosen), summed(stems, chosen)), torch.ones(1)))
        for chosen in rows
    ]
    assert len(each) == 14
    assert float(loss_of("combination", outcome(estimates, stems), torch.ones(4))) == pytest.approx(
        np.mean(each), rel=1e-4
    )


@pytest.mark.parametrize("iterations", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_filter_in_training_is_the_filter_in_separation(iterations: int, channels: int) -> None:
    """Against ``dsp.wiener``, which is checked against the published one: 1e-5 relative; and gradients are finite."""
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(3, channels, 9, 33)).astype(np.float32)
    mixture = (rng.normal(size=(channels, 9, 33)) + 1j * rng.normal(size=(channels, 9, 33))).astype(np.complex64) * 9
    expected = wiener(masks, mixture, WienerSettings(has_residual=False, iterations=iterations)).swapaxes(2, 3)
    given = torch.from_numpy(masks.swapaxes(2, 3).copy())[None].requires_grad_()
    actual = filtered(given, torch.from_numpy(mixture.swapaxes(1, 2).copy())[None], iterations=iterations)
    assert np.linalg.norm(actual.detach()[0].numpy() - expected) < 1e-5 * np.linalg.norm(expected)
    actual.abs().square().sum().backward()
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()
    with pytest.raises(ValueError, match="3 channels"):
        filtered(torch.zeros(1, 1, 3, 2, 2), torch.zeros(1, 3, 2, 2, dtype=torch.complex64))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_recomputed_activations_change_nothing(norm: str) -> None:
    """Output, gradients and running statistics are the very same bits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = TfcTdfNet(TfcTdfConfig(bins=32, depth=3, growth=4, norm=norm))  # type: ignore[arg-type]
        x = torch.randn(2, 4, 32, 8)
    frugal = copy.deepcopy(plain)
    recompute_in_backward([*frugal.ds_dense, frugal.mid_dense, *frugal.us_dense])
    for net in (plain, frugal):
        for _ in range(2):
            net(x).square().mean().backward()
    for (name, one), (_, two) in zip(plain.named_parameters(), frugal.named_parameters(), strict=True):
        assert torch.equal(one.grad, two.grad), name
    assert list(plain.state_dict()) == list(frugal.state_dict())
    assert all(torch.equal(one, two) for one, two in zip(plain.buffers(), frugal.buffers(), strict=True))
    assert torch.equal(plain.eval()(x), frugal.eval()(x))


def test_the_average_follows_the_weights_and_copies_the_buffers() -> None:
    averaged, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(5.0)
    update_average(averaged, network, 0.75)
    assert float(averaged.weight.detach()) == pytest.approx(1.5)
    assert float(averaged.running_mean) == 5.0
    assert decay_at(0, 0.998) == pytest.approx(0.1)
    assert decay_at(10**6, 0.998) == 0.998


@pytest.mark.parametrize("n_samples", [1, 5_000, 40_000])
def test_separation_with_an_identity_returns_the_song(n_samples: int) -> None:
    chunking = SpectralChunking(StftGeometry(256, 128, 128), 32)
    mixture = torch.randn(2, n_samples, generator=torch.Generator().manual_seed(1))
    separated = separate(lambda x: torch.stack((x, -x), dim=1), chunking, mixture)
    assert separated.shape == (2, 2, n_samples)
    assert torch.equal(separated[0], mixture)
    assert torch.equal(separated[1], -mixture)
