"""The field's practice of applying an MDX-Net graph to a song, written from its description over the whole padded song.

Torch's transforms, float64 sums, one chunk after the other. It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

HOP = 1024


def whole_song(
    mixture: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    n_fft: int,
    bins: int,
    frames: int,
    hop: int = HOP,
    overlap: float = 0.25,
    silent: int = 3,
    denoises: bool = False,
) -> np.ndarray:
    """The graph's output for a song (2, samples), float64; ``network`` maps float32 (1, 4, bins, frames)."""
    samples = mixture.shape[1]
    trim, chunk = n_fft // 2, hop * (frames - 1)
    generated = chunk - 2 * trim
    behind = generated + trim - samples % generated
    padded = np.concatenate([np.zeros((2, trim)), mixture, np.zeros((2, behind))], axis=1)
    summed, divider = np.zeros_like(padded), np.zeros(padded.shape[1])
    window = torch.hann_window(n_fft, periodic=True, dtype=torch.float64)
    for start in range(0, padded.shape[1], int((1 - overlap) * chunk)):
        stop = min(start + chunk, padded.shape[1])
        part = np.zeros((2, chunk))
        part[:, : stop - start] = padded[:, start:stop]
        spectrum = torch.stft(
            torch.from_numpy(part), n_fft, hop, window=window, center=True, pad_mode="reflect", return_complex=True
        )
        parts = torch.view_as_real(spectrum[:, :bins]).permute(0, 3, 1, 2).reshape(1, 4, bins, -1).float().numpy()
        parts[:, :, :silent] = 0
        made = network(parts)
        if denoises:
            made = 0.5 * made - 0.5 * network(-parts)
        planes = torch.from_numpy(made).double().reshape(2, 2, bins, -1)
        full = torch.zeros((2, n_fft // 2 + 1, planes.shape[-1]), dtype=torch.complex128)
        full[:, :bins] = torch.complex(planes[:, 0], planes[:, 1])
        wave = torch.istft(full, n_fft, hop, window=window, center=True, length=chunk).numpy()
        weights = np.hanning(stop - start)
        summed[:, start:stop] += weights * wave[:, : stop - start]
        divider[start:stop] += weights
    inside = slice(trim, trim + samples)
    return summed[:, inside] / divider[inside]
