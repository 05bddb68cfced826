"""Separation of whole songs with a network in training, and the global SDR of what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.stems import Waveform
from training.spectra import Geometry, spectrum, waveform

SDR_FLOOR = 1e-7
"""Added to both energies in the challenge's definition of the SDR."""


def global_sdr(reference: Waveform, estimate: Waveform) -> float:
    """SDR in dB over all samples and channels of a song, as on the challenge's leaderboards."""
    signal = np.sum(np.square(reference, dtype=np.float64))
    error = np.sum(np.square(reference.astype(np.float64) - estimate))
    return float(10.0 * np.log10((signal + SDR_FLOOR) / (error + SDR_FLOOR)))


@torch.no_grad()
def separate(net: TfcTdfNet, geometry: Geometry, mixture: Waveform, *, batch_chunks: int = 4) -> Waveform:
    """``float32 (2, samples)`` to ``float32 (targets, 2, samples)``, in trimmed chunks as in the submission."""
    was_training = net.training
    net.eval()
    n_samples, trim = mixture.shape[1], geometry.trim_samples
    kept = geometry.chunk_samples - 2 * trim
    n_chunks = -(-n_samples // kept)
    padded = functional.pad(torch.from_numpy(mixture), (trim, trim + n_chunks * kept - n_samples))
    chunks = padded.unfold(1, geometry.chunk_samples, kept).transpose(0, 1)
    pieces = []
    for first in range(0, n_chunks, batch_chunks):
        estimates = net(spectrum(chunks[first : first + batch_chunks], geometry))
        estimates = estimates.reshape(-1, net.config.channels, *estimates.shape[2:])
        waves = waveform(estimates, geometry, geometry.chunk_samples)[:, :, trim : trim + kept]
        pieces.append(waves.reshape(-1, net.config.targets, *waves.shape[1:]))
    net.train(was_training)
    joined = torch.cat(pieces).permute(1, 2, 0, 3).flatten(2)
    return joined[..., :n_samples].contiguous().numpy()


def scores(estimates: Mapping[str, Waveform], references: Mapping[str, Waveform]) -> dict[str, float]:
    """Global SDR in dB of each estimated source."""
    return {source: global_sdr(references[source], estimate) for source, estimate in estimates.items()}
