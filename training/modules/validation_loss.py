"""Losses as values to validate on: means over the chunks of a song, of its separated waveforms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from my_submission.networks.spectra import to_channels
from training.experiment import Experiment
from training.optimisation.losses import WAVEFORM_LOSSES, LossName, LossValues, loss_of, waveform_loss


@torch.no_grad()
def loss_of_chunks(
    name: LossName, experiment: Experiment, estimates: Tensor, references: Tensor, mixture: Tensor
) -> tuple[float, int]:
    """Return the sum of a loss over the chunks of a song, and the number of chunks.

    Spectra are those of the separated waveforms, whatever the network estimates; the last chunk is filled with silence.

    Args:
        name: the loss.
        experiment: gives the transform, the length of chunks, the weights and options of the loss.
        estimates: ``[targets, channels, samples]``.
        references: the same of the true stems.
        mixture: ``[channels, samples]``.
    """
    length = experiment.chunking.kept_samples
    stft = experiment.transform.stft
    weights = torch.tensor(experiment.weights)
    total, starts = 0.0, range(0, mixture.shape[-1], length)

    def spectra(waves: Tensor) -> Tensor:
        return to_channels(waves.flatten(0, 1), stft).unflatten(0, waves.shape[:2])  # type: ignore[no-untyped-call, no-any-return]

    for start in starts:
        made, wanted, mixed = (_chunk(waves, start, length)[None] for waves in (estimates, references, mixture))
        if name in WAVEFORM_LOSSES:
            total += float(waveform_loss(name, made, wanted, weights, length=stft.n_fft, hop=stft.hop))
            continue
        outcome = LossValues(spectra(made), wanted, spectra(wanted), mixed, to_channels(mixed, stft), stft)
        total += float(loss_of(name, outcome, weights, experiment.loss_options))
    return total, len(starts)


def _chunk(waves: Tensor, start: int, length: int) -> Tensor:
    piece = waves[..., start : start + length]
    return functional.pad(piece, (0, length - piece.shape[-1]))
