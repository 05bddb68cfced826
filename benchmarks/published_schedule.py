"""The published schedule: a new session per source, the whole song in one batch, one source after the other.

Usage: python -m benchmarks.published_schedule SONG OUT --models-dir DIR [--sources vocals …] [--demucs]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import torch

from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.networks import demucs as demucs_network
from my_submission.networks.demucs import Demucs, centre_trim
from my_submission.networks.spectra import from_channels, to_channels
from my_submission.networks.state_dict import load_state_dict

SOURCES = ("bass", "drums", "other", "vocals")
NETWORK_SHARES = (0.5, 0.5, 0.7, 0.9)


def spectral(mixture: np.ndarray, path: Path, geometry: dict[str, int]) -> np.ndarray:
    """Separate one source: one STFT, session, run and inverse STFT for all chunks."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    _, _, bins, frames = session.get_inputs()[0].shape
    chunking = SpectralChunking(StftGeometry(geometry["n_fft"], geometry["hop"], bins), frames)
    kept, trim, samples = chunking.kept_samples, chunking.trim_samples, mixture.shape[-1]
    pad = kept - samples % kept
    padded = np.pad(mixture, ((0, 0), (trim, pad + trim)))
    starts = range(0, samples + pad, kept)
    waves = np.stack([padded[:, start : start + chunking.chunk_samples] for start in starts]).astype(np.float32)
    spectra = to_channels(torch.from_numpy(waves), chunking.stft).numpy()
    mapped = session.run(None, {session.get_inputs()[0].name: spectra})[0]
    separated = from_channels(torch.from_numpy(mapped), chunking.stft).numpy()
    return np.concatenate(list(separated[..., trim : trim + kept]), axis=-1)[:, :samples]


def waveform(mixture: np.ndarray, path: Path) -> np.ndarray:
    """Run Demucs in eager torch on 40-s segments that overlap by half; returns (4, 2, samples)."""
    network = Demucs.from_state(load_state_dict(path)).eval()
    demucs_network.TILE_SAMPLES = 1 << 62  # the published network works on whole segments
    mean, std = mixture.mean(), mixture.std(ddof=1)
    normal = torch.from_numpy(((mixture - mean) / std).astype(np.float32))
    samples, segment = mixture.shape[-1], 40 * 44_100
    weight = torch.cat([torch.arange(1, segment // 2 + 1), torch.arange(segment // 2, 0, -1)]).float()
    weight /= weight.max()
    total, weights = torch.zeros(4, 2, samples), torch.zeros(samples)
    for offset in range(0, samples, segment // 2):
        length = min(segment, samples - offset)
        needed = network.config.valid_length(length)
        start = offset - (needed - length) // 2
        heard = torch.zeros(2, needed)
        first, last = max(0, start), min(samples, start + needed)
        heard[:, first - start : last - start] = normal[:, first:last]
        with torch.inference_mode():
            estimate = centre_trim(network(heard[None])[0], length)
        total[..., offset : offset + length] += weight[:length] * estimate
        weights[offset : offset + length] += weight[:length]
    separated = (total / weights).numpy() * std + mean
    return separated[[1, 0, 2, 3]]


def main() -> None:
    """Separate one song."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=list(SOURCES))
    parser.add_argument("--demucs", action="store_true", help="also run the Mixer, Demucs and the blend: leaderboard A")
    options = parser.parse_args()
    entries = json.loads((options.models_dir / "manifest.json").read_text(encoding="utf-8"))["artefacts"]
    artefacts = {entry["name"]: entry for entry in entries}
    mixture = soundfile.read(options.song, always_2d=True)[0].T
    stems = {}
    for source in options.sources:
        entry = artefacts[f"kuielab-a/{source}"]
        stems[source] = spectral(mixture, options.models_dir / entry["path"], entry["geometry"])
    if options.demucs:
        matrix = load_state_dict(options.models_dir / artefacts["kuielab-a/mixer"]["path"])["linear.weight"].numpy()
        columns = np.concatenate([*(stems[source] for source in SOURCES), mixture]).astype(np.float32)
        networks = (matrix @ columns).reshape(4, 2, -1)
        rows = waveform(mixture, options.models_dir / artefacts["demucs/demucs"]["path"])
        shares = np.array(NETWORK_SHARES)[:, None, None]
        stems = dict(zip(SOURCES, shares * networks + (1 - shares) * rows, strict=True))
    options.out.mkdir(parents=True, exist_ok=True)
    for source, stem in stems.items():
        soundfile.write(options.out / f"{source}.wav", stem.T, 44_100, subtype="FLOAT")


if __name__ == "__main__":
    main()
