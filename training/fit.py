"""The training loop: one network, one process, resumable at every checkpoint."""

from __future__ import annotations

import csv
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.stems import MUSIC_SOURCES
from training.corpus import StemFile, scan
from training.experiments import Experiment
from training.loss import energy_ratio
from training.mixing import Remixer, equaliser
from training.spectra import spectrum

logger = logging.getLogger(__name__)

STATE_NAME = "state.pt"
EQUALISER_STREAM = 1
WINDOW_STREAM = 0


@dataclass
class TrainingState:
    """Everything a resumed run needs: the step reached, both sets of weights, the optimiser."""

    step: int
    net: TfcTdfNet
    averaged: TfcTdfNet
    optimiser: torch.optim.AdamW

    @classmethod
    def fresh(cls, experiment: Experiment) -> TrainingState:
        """Initial weights, drawn from the experiment's seed without touching torch's global generator's state."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            net = TfcTdfNet(experiment.network)
        averaged = TfcTdfNet(experiment.network)
        averaged.load_state_dict(net.state_dict())
        optimiser = torch.optim.AdamW(
            net.parameters(), lr=experiment.learning_rate, weight_decay=experiment.weight_decay
        )
        return cls(0, net, averaged, optimiser)

    def save(self, path: Path) -> None:
        """Writes the state beside ``path`` and moves it there in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "step": self.step,
                "net": self.net.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            partial,
        )
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Takes over a state saved by ``save`` for the same experiment."""
        stored = torch.load(path, map_location="cpu", weights_only=True)
        self.step = int(stored["step"])
        self.net.load_state_dict(stored["net"])
        self.averaged.load_state_dict(stored["averaged"])
        self.optimiser.load_state_dict(stored["optimiser"])


def load_collections(corpus: Path, experiment: Experiment) -> list[tuple[float, Sequence[StemFile]]]:
    """The experiment's collections that are in the corpus; a missing one is an error."""
    collections: list[tuple[float, Sequence[StemFile]]] = []
    for name, weight in experiment.collections.items():
        stems = list(scan(corpus / name))
        if not stems:
            raise FileNotFoundError(f"{corpus / name}: no stems; prepare this collection first")
        collections.append((weight, stems))
    return collections


def draw_spectra(experiment: Experiment, remixer: Remixer, step: int) -> Tensor:
    """One step's windows, ``[batch, targets + 1, 4, bins, frames]``: the targets and the sum of all else.

    Each of these parts is equalised at random in the spectral domain, where that is one product.
    """
    geometry, n_parts = experiment.geometry, len(experiment.targets) + 1
    waves = remixer.batch(np.random.default_rng([experiment.seed, step, WINDOW_STREAM]), experiment.batch)
    wanted = [MUSIC_SOURCES.index(target) for target in experiment.targets]
    rest = [row for row in range(len(MUSIC_SOURCES)) if row not in wanted]
    parts = np.concatenate((waves[:, wanted], waves[:, rest].sum(axis=1, keepdims=True)), axis=1)
    curves = equaliser(
        np.random.default_rng([experiment.seed, step, EQUALISER_STREAM]),
        experiment.batch * n_parts,
        geometry.bins,
        geometry.n_fft,
        experiment.augmentation.equalise_db,
    )
    spectra = spectrum(torch.from_numpy(parts).flatten(0, 1), geometry)
    equalised: Tensor = spectra * torch.from_numpy(curves)[:, None, :, None]
    return equalised.reshape(experiment.batch, n_parts, *spectra.shape[1:])


def train_step(experiment: Experiment, state: TrainingState, parts: Tensor) -> float:
    """One optimisation step on the windows of ``draw_spectra``; returns the loss before it."""
    mixture, targets = parts.sum(dim=1), parts[:, :-1]
    for group in state.optimiser.param_groups:
        group["lr"] = experiment.rate(state.step)
    with torch.autocast("cpu", torch.bfloat16, enabled=experiment.bf16):
        estimates = state.net(mixture)
    estimates = estimates.float().reshape(targets.shape)
    loss = energy_ratio(estimates, targets, mixture, torch.tensor(experiment.target_weights))
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), experiment.clip)
    state.optimiser.step()
    state.step += 1
    _average(state, min(experiment.ema, (1.0 + state.step) / (10.0 + state.step)))
    return float(loss.detach())


@torch.no_grad()
def _average(state: TrainingState, decay: float) -> None:
    """Moves the averaged weights towards the trained ones; buffers are copied."""
    for kept, fresh in zip(state.averaged.parameters(), state.net.parameters(), strict=True):
        kept.lerp_(fresh, 1.0 - decay)
    for held, current in zip(state.averaged.buffers(), state.net.buffers(), strict=True):
        held.copy_(current)


def fit(experiment: Experiment, corpus: Path, run: Path, *, save_every: int, n_threads: int) -> TrainingState:
    """Trains until the experiment's last step, from ``run/state.pt`` where that exists.

    Writes ``run/state.pt`` every ``save_every`` steps and at the end, and appends the mean loss of
    those steps to ``run/loss.csv`` (step, loss, seconds).
    """
    torch.set_num_threads(n_threads)
    remixer = Remixer(
        load_collections(corpus, experiment), experiment.augmentation, n_samples=experiment.geometry.chunk_samples
    )
    state = TrainingState.fresh(experiment)
    if (run / STATE_NAME).exists():
        state.load(run / STATE_NAME)
        logger.info("%s: resumed at step %d", experiment.name, state.step)
    state.net.train()
    losses: list[float] = []
    began = time.monotonic()
    while state.step < experiment.steps:
        losses.append(train_step(experiment, state, draw_spectra(experiment, remixer, state.step)))
        if state.step % save_every == 0 or state.step == experiment.steps:
            state.save(run / STATE_NAME)
            row = (state.step, f"{np.mean(losses):.5f}", f"{time.monotonic() - began:.1f}")
            with (run / "loss.csv").open("a", newline="") as log:
                csv.writer(log).writerow(row)
            logger.info("%s: step %s loss %s after %s s", experiment.name, *row)
            losses.clear()
    return state
