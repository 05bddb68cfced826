"""Losses against their definitions in numpy, activations computed again, averages, separation of whole songs."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

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
from training.modules.registry import load_experiment
from training.modules.validation_loss import loss_of_chunks
from training.modules.whole_songs import separate
from training.optimisation.frame_losses import FRAME_LOSSES
from training.optimisation.losses import LossName, LossOptions, LossValues, loss_of
from training.optimisation.wiener import filtered

Array = np.ndarray[Any, np.dtype[np.float64]]
STFT = StftGeometry(256, 64, 129)
N_SAMPLES = 64 * 15
WEIGHTS = torch.tensor([3.0, 1.0], dtype=torch.float64)
OPTIONS = LossOptions(raw_scale=2.0, raw_mode="l1", spec_scale=0.5, spec_mode="mse")


def batch(seed: int = 0, *, silent: bool = False) -> LossValues:
    """Two windows of two targets and something else; estimates that are a little wrong."""
    generator = torch.Generator().manual_seed(seed)
    shape = {"generator": generator, "dtype": torch.float64}
    stems = torch.randn(2, 3, 2, N_SAMPLES, **shape) * (0.0 if silent else 0.1)  # type: ignore[call-overload]
    estimates = stems[:, :2] + 0.02 * torch.randn(2, 2, 2, N_SAMPLES, **shape)  # type: ignore[call-overload]
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
    """The definitions in float64 numpy, one source of one window at a time."""
    estimates, targets, mixture = (
        x.detach().numpy() for x in (outcome.waves(), outcome.target_waves, outcome.mixture_waves)
    )
    if name.endswith("-and-sum"):
        error = np.abs((outcome.spectra.sum(dim=1) - outcome.mixture_spectra).detach().numpy())
        of_sum = np.mean(error if "l1" in name else error**2)
        return reference_loss(name.removesuffix("-and-sum"), outcome) + float(of_sum)
    if name == "combination-l1":  # with two targets, the combinations that are not all of them are the targets
        return float(np.mean(np.abs(estimates - targets)))
    if name == "negative-sdr":
        ratios = [
            10 * np.log10((np.sum(t**2) + 1e-7) / (np.sum((t - e) ** 2) + 1e-7))
            for e, t in zip(estimates, targets, strict=True)
        ]
        return -float(np.mean(ratios))
    spectra, wanted, mixed = (
        x.detach().numpy() for x in (outcome.spectra, outcome.target_spectra, outcome.mixture_spectra)
    )
    weights = np.ones(2) if name == "combination" else WEIGHTS.numpy()
    values = [
        weights[s]
        * reference_of_one(name, estimates[n, s], targets[n, s], mixture[n], (spectra[n, s], wanted[n, s], mixed[n]))
        for n in range(2)
        for s in range(2)
    ]
    return float(np.mean(values))


def reference_of_one(
    name: str, estimate: Array, target: Array, mixture: Array, bins: tuple[Array, Array, Array]
) -> float:
    if name in FRAME_LOSSES:
        return float(np.mean([reference_of_frames(name, estimate[c], target[c]) for c in range(2)]))
    spectrum, wanted, mixed = bins
    error, power = np.mean((spectrum - wanted) ** 2), np.mean(mixed**2) + 1e-4
    simple = {
        "mse": np.mean((estimate - target) ** 2),
        "l1": np.mean(np.abs(estimate - target)),
        "spectrum-mse": error,
        "spectrum-l1": np.mean(np.abs(spectrum - wanted)),
        "waveform-and-spectrum": 2.0 * np.mean(np.abs(estimate - target)) + 0.5 * error,
        "energy-ratio": error / power,
        "log-energy-ratio": np.log((error + 0.05 * power) / (np.mean(wanted**2) + 0.05 * power)),
    }
    if name in simple:
        return float(simple[name])
    similarity = []
    for e, t, x in zip(estimate, target, mixture, strict=True):
        share = np.sum(t**2) / (np.sum(t**2) + np.sum((x - t) ** 2))
        first, second = (np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in ((t, e), (x - t, x - e)))
        similarity.append(share * first + (1 - share) * second)
    return float(2.0 * error + 10 * (1 - np.mean(similarity)))  # a complex bin has two parts


def reference_of_frames(name: str, estimate: Array, target: Array) -> float:
    length, hop = (44_100, 22_050) if name.endswith("44100") else (256, 64)
    n_steps = len(target) // hop
    missing = hop * n_steps + length - len(target)
    assert missing % 2 == 0
    found = []
    for step in range(n_steps + 1):
        e, t = (np.pad(x, missing // 2)[step * hop : step * hop + length] for x in (estimate, target))
        scaled = (np.dot(e, t) + 1e-8) / (np.dot(t, t) + 1e-8) * t
        signal, error = np.dot(scaled, scaled), np.dot(e - scaled, e - scaled)
        cosine = np.dot(e, t) / np.linalg.norm(e) / np.linalg.norm(t)
        values = {
            "distortion": np.sqrt(error),
            "sdr-like": error - signal,
            "sdr": (signal + 1e-8) / (error + 1e-8),
            "dsr": (error + 1e-8) / (signal + 1e-8),
            "nsdr": -(signal + 1e-8) / (error + 1e-8),
            "ldsr": np.log((error + 1e-8) / (signal + 1e-8)),
            "ncs": -cosine,
            "nlcs": -np.log(cosine + 1 + 1e-8),
        }
        found.append(values[name.removesuffix("-44100")])
    return float(np.sum(found) if name in {"distortion", "sdr-like"} else np.mean(found))


@pytest.mark.parametrize("name", get_args(LossName))
def test_a_loss_is_its_definition(name: LossName) -> None:
    """In double precision, to 1e-8: terms of 1e-10 in the denominators are left out of the reference."""
    outcome = batch()
    value = float(loss_of(name, outcome, WEIGHTS, OPTIONS).detach())
    assert value == pytest.approx(reference_loss(name, outcome), rel=1e-8)


@pytest.mark.parametrize("name", get_args(LossName))
def test_a_perfect_estimate_is_the_least_and_silence_is_finite(name: LossName) -> None:
    outcome = batch()
    perfect = replace(outcome, spectra=outcome.target_spectra)
    perfect_loss, loss = (loss_of(name, made, WEIGHTS, OPTIONS).detach() for made in (perfect, outcome))
    assert (float(perfect_loss) < float(loss)) == (name != "sdr")
    silent = batch(silent=True)
    silent_loss = loss_of(name, silent, WEIGHTS, OPTIONS)
    silent_loss.backward()
    assert torch.isfinite(silent_loss)
    assert silent.spectra.grad is not None
    assert torch.isfinite(silent.spectra.grad).all()


def test_magnitudes_are_compared_where_the_network_estimates_them() -> None:
    """Signed magnitudes with the mixture's phase; the targets' phases do not count."""
    outcome = batch()
    mixed = outcome.mixture_spectra.unflatten(1, (2, 2))
    mixture = torch.complex(mixed[:, :, 0], mixed[:, :, 1])
    generator = torch.Generator().manual_seed(5)
    magnitudes = torch.randn(2, 2, *mixture.shape[1:], generator=generator, dtype=torch.float64)
    complex_estimates = magnitudes * torch.exp(1j * mixture.angle())[:, None]
    spectra = torch.view_as_real(complex_estimates).movedim(-1, 3).flatten(2, 3)
    made = replace(outcome, spectra=spectra, are_magnitudes=True)
    wanted = outcome.target_spectra.unflatten(2, (2, 2))
    error = magnitudes - torch.hypot(wanted[:, :, :, 0], wanted[:, :, :, 1])
    for name, power in (("spectrum-mse", 2), ("spectrum-l1", 1)):
        expected = (error.abs() ** power).mean()
        assert float(loss_of(name, made, torch.ones(2))) == pytest.approx(float(expected), rel=1e-9)  # type: ignore[arg-type]


def test_sums_of_masked_magnitudes_are_the_real_form_of_the_combinations() -> None:
    outcome = batch()
    generator = torch.Generator().manual_seed(6)
    masks = torch.rand(2, 2, 2, 129, 16, generator=generator, dtype=torch.float64)
    real = LossOptions(complex_mse=False, sdr_weight=0.0)
    magnitudes = [
        torch.hypot(x[..., 0::2, :, :], x[..., 1::2, :, :]) for x in (outcome.mixture_spectra, outcome.target_spectra)
    ]
    expected = (masks * magnitudes[0][:, None] - magnitudes[1]).square().mean()
    value = loss_of("combination", replace(outcome, masks=masks), WEIGHTS, real)
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-9)
    with pytest.raises(ValueError, match="needs a network with masks"):
        loss_of("combination", outcome, WEIGHTS, real)


def test_a_loss_of_two_kinds_names_the_values_that_it_needs() -> None:
    with pytest.raises(ValueError, match=r"needs loss_options\.raw_scale, loss_options\.raw_mode"):
        LossOptions(spec_scale=1.0, spec_mode="l1").check("waveform-and-spectrum")
    LossOptions().check("mse")


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


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_soft_masks_are_ratios_of_powers_of_the_masked_magnitudes(power: float) -> None:
    """Without iterations the ratios by their definition; with one, that of ``dsp.wiener`` for power 1."""
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(3, 2, 9, 33)).astype(np.float32)
    mixture = (rng.normal(size=(2, 9, 33)) + 1j * rng.normal(size=(2, 9, 33))).astype(np.complex64)
    given = torch.from_numpy(masks.swapaxes(2, 3).copy())[None], torch.from_numpy(mixture.swapaxes(1, 2).copy())[None]
    shares = (masks * np.abs(mixture)) ** power
    expected = shares / shares.sum(axis=0) * mixture
    actual = filtered(*given, iterations=0, soft_power=power)[0].numpy().swapaxes(2, 3)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    if power == 1.0:
        settings = WienerSettings(has_residual=False, is_soft=True, iterations=1)
        soft = filtered(*given, iterations=1, soft_power=1.0)[0].numpy().swapaxes(2, 3)
        np.testing.assert_allclose(soft, wiener(masks, mixture, settings), rtol=1e-3, atol=1e-4)


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


def test_a_loss_is_validated_as_its_mean_over_chunks() -> None:
    """Of two chunks and a rest, filled with silence; each target counts by its weight."""
    experiment = load_experiment("tiny", ["target_weights=[3.0, 1.0, 1.0, 1.0]", "run.ema=0.0"])
    length = experiment.chunking.kept_samples
    generator = torch.Generator().manual_seed(2)
    estimates, references = (torch.randn(4, 2, 2 * length + 99, generator=generator) for _ in range(2))
    arguments = (experiment, estimates, references, references.sum(dim=0))
    total, n_chunks = loss_of_chunks("l1", *arguments)
    each = (estimates - references).abs().sum(dim=(1, 2)) * torch.tensor([3.0, 1.0, 1.0, 1.0])
    assert n_chunks == 3
    assert total == pytest.approx(float(each.sum()) / (4 * 2 * length), rel=1e-5)
    assert loss_of_chunks("spectrum-mse", *arguments)[0] > 0.0
    perfect = (experiment, references, references, references.sum(dim=0))
    assert loss_of_chunks("spectrum-mse", *perfect)[0] == 0.0
