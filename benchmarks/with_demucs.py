"""Demucs v2 with the `demucs` package, its `apply_model` and the same weights.

The package's network pads its decoder's convolutions where v2 was fed more samples, so segments differ near their ends;
a layer of v2 is a layer there, under another number, and the arithmetic in between is the same. 4.1 was tried, which
scripts/setup installs.

Usage: PYTHON -m benchmarks.with_demucs SONG OUT CHECKPOINT [--segment 40] [--overlap 0.5]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import soundfile
import torch

SOURCES = ("drums", "bass", "other", "vocals")
FIRST_LAYER = "encoder.0.0.weight"


def open_network(path: Path) -> torch.nn.Module:
    """Return the package's Demucs with the settings of v2 and trained weights."""
    from demucs.demucs import Demucs

    state = dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    depth = sum(key.startswith("encoder.") and key.endswith(".0.weight") for key in state)
    network = Demucs(
        list(SOURCES),
        channels=len(state[FIRST_LAYER]),
        depth=depth,
        lstm_layers=2,
        gelu=False,
        dconv_mode=0,
        norm_starts=depth,
        normalize=False,
        rescale=0,
    )
    network.load_state_dict(state)
    return network.eval()


def main() -> None:
    """Separate one song without shifts, as in the leaderboard entries."""
    from demucs.apply import apply_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--segment", type=float, default=40.0, help="seconds")
    parser.add_argument("--overlap", type=float, default=0.5)
    options = parser.parse_args()
    network = open_network(options.checkpoint)
    samples, rate = soundfile.read(options.song, dtype="float32", always_2d=True)
    mixture = torch.from_numpy(samples.T.copy())
    mean, std = mixture.mean(), mixture.std()
    normal = ((mixture - mean) / std)[None]
    rows = apply_model(network, normal, shifts=0, split=True, overlap=options.overlap, segment=options.segment)[0]
    options.out.mkdir(parents=True, exist_ok=True)
    for source, stem in zip(SOURCES, rows * std + mean, strict=True):
        soundfile.write(options.out / f"{source}.wav", stem.T.numpy(), rate, subtype="FLOAT")


if __name__ == "__main__":
    main()
