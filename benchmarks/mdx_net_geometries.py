"""Public MDX-Net geometries at published size, random weights, against a whole-song reference of common practice.

Usage: python -m benchmarks.mdx_net_geometries [--seconds 12] [--growth 48]
One row per geometry of the table: n_fft, bins, frames; the ratio of the reference to the difference, in dB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.output_hashes import song
from my_submission.predictor import load
from my_submission.systems import OwnNetwork
from my_submission.weights.mdx_net_facts import KNOWN_NETWORKS
from tests.mdx_net_reference import HOP, whole_song
from tests.model_makers import passing_the_mixture, random_network, write_spectral

BINS_AND_FRAMES = {
    4096: (2048, 128),
    5120: (2560, 256),
    6144: (3072, 256),
    7680: (3072, 256),
    8192: (2048, 512),
    16384: (2048, 512),
}
"""n_fft → bins and frames of its most common graphs."""


def _output(session: onnxruntime.InferenceSession, parts: np.ndarray) -> np.ndarray:
    """Return the output of a graph, float32 (1, 4, bins, frames)."""
    return session.run(None, {"input": parts})[0]


def main() -> int:
    """Print the table; return 1 if a row is below 100 dB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="length of the song")
    parser.add_argument(
        "--growth", type=int, default=48, help="channels of the first block; 48 gives 64 MB at 3072 bins"
    )
    options = parser.parse_args()
    mixture = song(options.seconds)
    worst = np.inf
    print("| n_fft | bins | frames | MB | dB | time, ours / reference |\n|---|---|---|---|---|---|")
    for n_fft in sorted({facts.n_fft for facts in KNOWN_NETWORKS.values()}):
        bins, frames = BINS_AND_FRAMES[n_fft]
        with tempfile.TemporaryDirectory() as folder:
            network = passing_the_mixture(random_network(bins, depth=11, growth=options.growth))
            write_spectral(Path(folder), "net", network, n_fft=n_fft, hop=HOP, bins=bins, frames=frames)
            path = Path(folder) / "net.onnx"
            n_bytes = path.stat().st_size
            predictor = load(network=OwnNetwork(path, "vocals", n_fft), device="cpu", precision="fp32")
            began = time.perf_counter()
            found = predictor.separate(mixture)["vocals"]
            ours = time.perf_counter() - began
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            began = time.perf_counter()
            expected = whole_song(mixture, partial(_output, session), n_fft=n_fft, bins=bins, frames=frames)
            reference = time.perf_counter() - began
        decibels = 10 * np.log10(np.sum(expected**2) / np.sum((expected - found) ** 2))
        worst = min(worst, decibels)
        print(
            f"| {n_fft} | {bins} | {frames} | {n_bytes / 1e6:.1f} | {decibels:.0f} | {ours / reference:.2f} |",
            flush=True,
        )
    return 0 if worst >= 100 else 1


if __name__ == "__main__":
    raise SystemExit(main())
