"""The published systems written down once more, straightforwardly: the whole song at once, no streaming.

An independent reference for the parity tests: torch's transforms, padded copies of the whole song, every chunk in
one batch, double precision where it costs nothing. Facts: the published inference code of leaderboards A and B.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def spectral_estimate(
    mixture: np.ndarray, network: nn.Module, *, n_fft: int, hop: int, bins: int, frames: int
) -> np.ndarray:
    """One source by one network: pad, cut every chunk, transform, run, invert, trim, join."""
    chunk, trim = hop * (frames - 1), n_fft // 2
    kept = chunk - 2 * trim
    samples = mixture.shape[1]
    pad = kept - samples % kept
    padded = np.concatenate([np.zeros((2, trim)), mixture, np.zeros((2, pad)), np.zeros((2, trim))], axis=1)
    chunks = np.stack([padded[:, start : start + chunk] for start in range(0, samples + pad, kept)]).astype(np.float32)
    window = torch.hann_window(n_fft, periodic=True)
    flat = torch.from_numpy(chunks).reshape(-1, chunk)
    spectrum = torch.view_as_real(torch.stft(flat, n_fft, hop, window=window, center=True, return_complex=True))
    spectrum = spectrum.permute(0, 3, 1, 2).reshape(len(chunks), 4, n_fft // 2 + 1, frames)
    with torch.inference_mode():
        mapped = network(spectrum[:, :, :bins])
    full = torch.zeros(len(chunks), 4, n_fft // 2 + 1, frames)
    full[:, :, :bins] = mapped
    parts = full.reshape(-1, 2, n_fft // 2 + 1, frames).permute(0, 2, 3, 1).contiguous()
    waves = torch.istft(torch.view_as_complex(parts), n_fft, hop, window=window, center=True)
    waves = waves.reshape(len(chunks), 2, chunk)[..., trim:-trim]
    joined = waves.permute(1, 0, 2).reshape(2, -1).numpy()
    return joined[:, :-pad]


def demucs_estimate(
    mixture: np.ndarray,
    network: nn.Module,
    valid_length: Callable[[int], int],
    *,
    segment: int,
    normalisation: str,
) -> dict[str, np.ndarray]:
    """All sources by Demucs v2, split with half of every segment overlapping."""
    signal = torch.from_numpy(np.array(mixture, dtype=np.float64))
    reference = signal if normalisation == "joint" else signal.mean(0)
    mean, std = reference.mean(), reference.std()
    normalised = ((signal - mean) / std).float()
    samples = signal.shape[1]
    weight = torch.cat([torch.arange(1, segment // 2 + 1), torch.arange(segment - segment // 2, 0, -1)]).float()
    weight /= weight.max()
    out, total = torch.zeros(4, 2, samples), torch.zeros(samples)
    for offset in range(0, samples, segment // 2):
        length = min(segment, samples - offset)
        needed = valid_length(length)
        start = offset - (needed - length) // 2
        chunk = torch.zeros(2, needed)
        low, high = max(0, start), min(samples, start + needed)
        chunk[:, low - start : high - start] = normalised[:, low:high]
        with torch.inference_mode():
            separated: Tensor = network(chunk[None])[0]
        cut = (separated.shape[-1] - length) // 2
        out[..., offset : offset + length] += weight[:length] * separated[..., cut : cut + length]
        total[offset : offset + length] += weight[:length]
    rows = (out / total * std + mean).numpy()
    return {"bass": rows[1], "drums": rows[0], "other": rows[2], "vocals": rows[3]}


def blend(
    networks: dict[str, np.ndarray], demucs: dict[str, np.ndarray], mixer: np.ndarray | None, mixture: np.ndarray
) -> dict[str, np.ndarray]:
    """The Mixer where there is one, then the published shares, in double precision."""
    order = ("bass", "drums", "other", "vocals")
    rows = np.stack([networks[name] for name in order]).astype(np.float64)
    if mixer is not None:
        columns = np.concatenate([rows.reshape(8, -1), mixture.astype(np.float64)])
        rows = (mixer.astype(np.float64) @ columns).reshape(4, 2, -1)
    shares = {"bass": 0.5, "drums": 0.5, "other": 0.7, "vocals": 0.9}
    return {name: shares[name] * row + (1 - shares[name]) * demucs[name] for name, row in zip(order, rows, strict=True)}
