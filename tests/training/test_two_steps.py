"""Two optimiser steps of each family from its initial weights, beside losses and optimisers written out here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.optimiser_formulas import stepped
from training.experiment import Experiment
from training.modules.base import module_settings
from training.modules.registry import load_experiment

N_FFT, HOP, FRAMES = 256, 64, 16
COMMON = (f"transform.n_fft={N_FFT}", f"transform.hop={HOP}", f"transform.frames={FRAMES}", "data.batch=3")
ALL_BINS = f"transform.kept_bins={N_FFT // 2 + 1}"
SMALL_UNET = (*COMMON, ALL_BINS, "network.n_blocks=3", "network.internal_channels=4", "network.embedding_dim=4")
MAGNITUDE = (*COMMON, ALL_BINS, "data.window_seconds=0.025")
SMALL = {
    "kuielab-a/vocals": (*COMMON, "transform.kept_bins=32", "network.depth=3", "network.growth=4"),
    "lasaft/lightsaft": SMALL_UNET,
    "lasaft/v2-light": SMALL_UNET,
    "lasaft/v2-light, all sources": (
        *SMALL_UNET,
        "network.multi_source_training=true",
        "loss=spectrum-mse-and-sum",
    ),
    "aimless/xumx": (*MAGNITUDE, "network.hidden_channels=8", "network.max_bins=100"),
    "aimless/cdx-bsrnn": (
        *MAGNITUDE,
        "network.hidden_size=8",
        "network.num_layers=1",
        "network.split_hz=[5000, 10000]",
    ),
    "aimless/cdx-bsrnn, three targets": (
        *MAGNITUDE,
        'targets=["music", "effect", "dialog"]',
        "network.hidden_size=8",
        "network.num_layers=1",
        "network.split_hz=[5000, 10000]",
    ),
    "aimless/mdx-hdemucs": ("network.channels=4", "data.window_seconds=0.1", "data.batch=3"),
    "aimless/demucs-split": ("network.channels=4", "network.depth=3", "data.window_seconds=0.1", "data.batch=3"),
}


def stft(waves: Tensor) -> Tensor:
    """``[..., samples]`` to complex ``[..., bins, frames]``, frame by frame."""
    padded = nn.functional.pad(waves.reshape(-1, 1, waves.shape[-1]), (N_FFT // 2, N_FFT // 2), mode="reflect")[:, 0]
    frames = padded.unfold(-1, N_FFT, HOP) * torch.hann_window(N_FFT)
    return torch.fft.rfft(frames).transpose(-1, -2).reshape(*waves.shape[:-1], N_FFT // 2 + 1, -1)


def istft(spectra: Tensor) -> Tensor:
    """The inverse, ``hop · (frames − 1)`` samples."""
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    waves = torch.istft(flat, N_FFT, HOP, window=torch.hann_window(N_FFT))
    return waves.reshape(*spectra.shape[:-2], -1)


def kuielab(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Mean squared error of the waveforms."""
    spectra = torch.view_as_real(stft(stems.sum(dim=1)))[:, :, : experiment.transform.kept_bins]
    estimate = network(spectra.permute(0, 1, 4, 2, 3).flatten(1, 2))
    parts = estimate.reshape(len(stems), 2, 2, *estimate.shape[-2:])
    missing = N_FFT // 2 + 1 - parts.shape[-2]
    wave = istft(nn.functional.pad(torch.complex(parts[:, :, 0], parts[:, :, 1]), (0, 0, 0, missing)))
    return (wave - stems[:, experiment.sources.index(experiment.targets[0])]).square().mean()


def parts(waves: Tensor) -> Tensor:
    """``[N, 2, samples]`` to real parts of both channels, then imaginary ones, ``[N, 4, frames, bins]``."""
    spectra = stft(waves).transpose(-1, -2)
    return torch.cat((spectra.real, spectra.imag), dim=1)


def lasaft(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Mean squared error of real and imaginary parts of one drawn source per window."""
    drawn = [int(np.random.default_rng([experiment.seed, number]).integers(4)) for number in range(len(stems))]
    rows = [experiment.sources.index(experiment.targets[one]) for one in drawn]

    estimate = network(parts(stems.sum(dim=1)), torch.tensor(drawn))
    return (estimate - parts(stems[torch.arange(len(stems)), rows])).square().mean()


def lasaft_of_all_sources(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """The same of all four sources, each asked for by itself, plus the error of their sum."""
    rows = [experiment.sources.index(target) for target in experiment.targets]
    mixture, n = parts(stems.sum(dim=1)), len(stems)
    each = network(mixture.repeat(4, 1, 1, 1), torch.arange(4).repeat_interleave(n))
    wanted = torch.cat([parts(stems[:, row]) for row in rows])
    of_sum = sum(each.split(n)) - mixture
    return (each - wanted).square().mean() + of_sum.square().mean()


def wiener(masks: Tensor, mixture: Tensor) -> Tensor:
    """One iteration of the multichannel filter, by matrix inverses."""
    scale = max(1.0, float(mixture.abs().max()) / 10)
    x, y, eps = mixture.to(torch.complex128) / scale, (masks * mixture[:, None]).to(torch.complex128) / scale, 2.0**-52
    v = y.abs().square().mean(dim=2)
    r = torch.einsum("njaft,njbft->njfab", y, y.conj()) / (v.sum(dim=-1) + eps)[..., None, None]
    each = v[..., None, None] * r[:, :, :, None]
    inverse = torch.linalg.inv(each.sum(dim=1) + eps**0.5 * torch.eye(2))
    return scale * torch.einsum("njftab,nftbc,ncft->njaft", each, inverse, x)


def multi_domain(estimate: Tensor, target: Tensor, waves: Tensor, target_waves: Tensor, mixture: Tensor) -> Tensor:
    """Complex squared error and ten times the weighted SDR loss."""

    def cosine(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(-1) / (one.norm(dim=-1) * other.norm(dim=-1) + 1e-10)

    rest, estimated_rest = mixture - target_waves, mixture - waves
    energy, rest_energy = target_waves.square().sum(-1), rest.square().sum(-1)
    alpha = energy / (energy + rest_energy + 1e-10)
    similarity = alpha * cosine(target_waves, waves) + (1 - alpha) * cosine(rest, estimated_rest)
    return (estimate - target).abs().square().mean() + 10 * (1 - similarity.mean())


def xumx(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Mean over the sums of one, two and three sources."""
    targets = stems[:, [experiment.sources.index(target) for target in experiment.targets]]
    mixture = stft(stems.sum(dim=1))
    spectra = wiener(network(mixture.abs()), mixture).to(torch.complex64)
    waves, wanted = istft(spectra), stft(targets)
    length = waves.shape[-1]
    mixed = stems.sum(dim=1)[..., :length]
    subsets = [list(rows) for size in (1, 2, 3) for rows in combinations(range(4), size)]
    sums = [
        multi_domain(*(x[:, rows].sum(dim=1) for x in (spectra, wanted, waves, targets[..., :length])), mixed)
        for rows in subsets
    ]
    return torch.stack(sums).mean()


def bsrnn(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Of mono music, or the mean over all sources of film sound, without a filter."""
    mono = stems.mean(dim=2, keepdim=True)
    mixture, targets = mono.sum(dim=1), [mono[:, experiment.sources.index(target)] for target in experiment.targets]
    spectra = stft(mixture)
    masks = network(spectra.abs()).reshape(len(stems), len(targets), *spectra.shape[1:])
    losses = []
    for mask, target in zip(masks.unbind(1), targets, strict=True):
        estimate = mask * spectra
        waves = istft(estimate)
        length = waves.shape[-1]
        losses.append(multi_domain(estimate, stft(target), waves, target[..., :length], mixture[..., :length]))
    return torch.stack(losses).mean()


def hdemucs(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Negative SDR of each window, all sources together."""
    targets = stems[:, [experiment.sources.index(target) for target in experiment.targets]]
    error = (network(stems.sum(dim=1)) - targets).square().flatten(1).sum(dim=1)
    return -(10 * torch.log10((targets.square().flatten(1).sum(dim=1) + 1e-7) / (error + 1e-7))).mean()


def demucs_split(experiment: Experiment, network: nn.Module, stems: Tensor) -> Tensor:
    """Mean absolute error, as long as the network's output."""
    targets = stems[:, [experiment.sources.index(target) for target in experiment.targets]]
    estimate = network(stems.sum(dim=1))
    return (estimate - targets[..., : estimate.shape[-1]]).abs().mean()


Loss = Callable[[Experiment, nn.Module, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "kuielab-a/vocals": kuielab,
    "lasaft/lightsaft": lasaft,
    "lasaft/v2-light": lasaft,
    "lasaft/v2-light, all sources": lasaft_of_all_sources,
    "aimless/xumx": xumx,
    "aimless/cdx-bsrnn": bsrnn,
    "aimless/cdx-bsrnn, three targets": bsrnn,
    "aimless/mdx-hdemucs": hdemucs,
    "aimless/demucs-split": demucs_split,
}


def moved(start: Tensor, gradients: list[Tensor], experiment: Experiment) -> Tensor:
    """A weight after one step for each gradient so far."""
    arrays = [gradient.double().numpy() for gradient in gradients]
    return torch.from_numpy(stepped(start.double().numpy(), arrays, experiment.optimiser)).float()


@pytest.mark.parametrize("name", SMALL)
def test_two_steps_are_those_of_the_published_program(name: str) -> None:
    """Losses within 1e-4; the way of all weights with a gradient within 2 %, as signs of tiny values are noise."""
    experiment = load_experiment(name.partition(",")[0], [*SMALL[name], "data.micro_batch=3"])
    module = module_settings(experiment).module(experiment, total_steps=2).train()
    network = copy.deepcopy(module.network)
    optimiser = module.configure_optimizers()["optimizer"]
    start = [parameter.detach().clone() for parameter in network.parameters()]
    gradients: list[list[Tensor]] = [[] for _ in start]
    shape = (3, len(experiment.sources), 2, experiment.window_samples)
    for step in range(2):
        stems = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(step))
        torch.manual_seed(step)  # of dropout
        loss = module.training_step(stems, step)
        module._micro_losses.clear()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        torch.manual_seed(step)
        expected = LOSSES[name](experiment, network, stems)
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
        network.zero_grad()
        expected.backward()
        for weight, first, seen in zip(network.parameters(), start, gradients, strict=True):
            seen.append(torch.zeros_like(weight) if weight.grad is None else weight.grad.clone())
            weight.data = moved(first, seen, experiment)
    sizes = torch.stack([seen[0].norm() for seen in gradients])
    felt = sizes > 1e-6 * sizes.max()  # biases in front of a norm have no gradient but rounding
    assert felt.double().mean() > 0.25
    ways = [
        torch.cat(
            [
                (weight.detach() - first).ravel()
                for weight, first, is_felt in zip(one.parameters(), start, felt, strict=True)
                if is_felt
            ]
        )
        for one in (module.network, network)
    ]
    assert float(ways[1].norm()) > 0.0
    assert float((ways[0] - ways[1]).norm()) < 0.02 * float(ways[1].norm())
