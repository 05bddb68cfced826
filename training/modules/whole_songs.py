"""Separation of whole songs with a network in training, in trimmed chunks as in the predictor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from my_submission.geometry import SpectralChunking


@torch.no_grad()
def separate(
    estimate: Callable[[Tensor], Tensor], chunking: SpectralChunking, mixture: Tensor, *, batch_chunks: int = 4
) -> Tensor:
    """Separate a mixture ``(2, samples)``; returns ``float32 (targets, 2, samples)`` on the CPU.

    Args:
        estimate: function of chunks ``[N, 2, chunk_samples]``; returns ``[N, targets, 2, chunk_samples]``.
        chunking: length and trim of the chunks.
        mixture: mixture on the network's device.
        batch_chunks: batch size.
    """
    n_samples, trim, kept = mixture.shape[1], chunking.trim_samples, chunking.kept_samples
    n_chunks = -(-n_samples // kept)
    padded = functional.pad(mixture, (trim, trim + n_chunks * kept - n_samples))
    chunks = padded.unfold(1, chunking.chunk_samples, kept).transpose(0, 1)
    pieces = []
    for first in range(0, n_chunks, batch_chunks):
        waves = estimate(chunks[first : first + batch_chunks].contiguous())
        pieces.append(waves[..., trim : trim + kept].float().cpu())
    return torch.cat(pieces).permute(1, 2, 0, 3).flatten(2)[..., :n_samples].contiguous()
