"""Systems A and B at published transforms, frames, depths and segments against a whole-song reference, in dB.

Usage: python -m benchmarks.published_parity [--boards a b] [--seconds 12 30] [--growth 4]
Weights are random, with fewer channels than published; return code 1 if a stem is below 100 dB.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.output_hashes import song
from tests.parity_rig import published_rig

LEAST_DB = 100.0


def main() -> int:
    """Print a row per board and length; return 1 if a stem is too far from the reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", nargs="+", choices=("a", "b"), default=["a", "b"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[12.0, 30.0], help="lengths of the songs")
    parser.add_argument("--growth", type=int, default=4, help="channels of the first block")
    options = parser.parse_args()
    worst = np.inf
    for board in options.boards:
        with tempfile.TemporaryDirectory() as folder:
            rig = published_rig(board, Path(folder), growth=options.growth)
            for seconds in options.seconds:
                mixture = song(seconds)
                expected, made = rig.reference(mixture), rig.predictor.separate(mixture)
                decibels = {
                    source: 10 * np.log10(np.sum(stem**2) / np.sum((stem - made[source]) ** 2))
                    for source, stem in ((name, stem.astype(np.float64)) for name, stem in expected.items())
                }
                worst = min(worst, *decibels.values())
                row = ", ".join(f"{source} {value:.0f} dB" for source, value in decibels.items())
                print(f"{board}, {seconds:g} s: {row}", flush=True)
    return 0 if worst >= LEAST_DB else 1


if __name__ == "__main__":
    raise SystemExit(main())
