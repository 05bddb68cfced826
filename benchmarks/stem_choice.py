"""Processor time of one stem beside that of all stems, per system, measured in turn.

Usage: python -m benchmarks.stem_choice [--seconds 30] [--rounds 3] [--published]
Weights are those in the repository; --published adds leaderboards A and B with random networks of A's published size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.output_hashes import song
from my_submission.predictor import Predictor, load
from my_submission.systems import find_system, possible_stems

STARTERS = ("starter-plus", "starter", "starter-conditioned", "starter-cinema")
ALL = "all"


def processor_seconds(predictor: Predictor, mixture: np.ndarray) -> float:
    """Return the processor time of a separation over all threads, in seconds."""
    began = time.process_time()
    predictor.separate(mixture)
    return time.process_time() - began


def measure(system: str, models_dir: Path | None, mixture: np.ndarray, n_rounds: int) -> dict[str, list[float]]:
    """Return choice of stems to its processor time relative to all stems, one ratio per round."""
    sources = find_system(system).sources
    choices: dict[str, Sequence[str]] = {ALL: (), **{source: [source] for source in sources}}
    if "instrumental" in possible_stems(find_system(system)):
        choices["vocals, instrumental"] = ["vocals", "instrumental"]
    predictors = {
        name: load(
            system,
            stems=stems,
            models_dir=models_dir,
            device="cpu",
            precision="fp32",
            allow_unverified=bool(models_dir),
        )
        for name, stems in choices.items()
    }
    ratios: dict[str, list[float]] = {name: [] for name in choices if name != ALL}
    for turn in range(n_rounds + 1):
        seconds = {name: processor_seconds(predictor, mixture) for name, predictor in predictors.items()}
        for name, found in ratios.items():
            if turn:  # the first round also allocates
                found.append(seconds[name] / seconds[ALL])
    return ratios


def main() -> int:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the song")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--system", nargs="+", choices=STARTERS, default=STARTERS, help="of those in the repository")
    parser.add_argument("--published", action="store_true", help="also leaderboards A and B at published size")
    options = parser.parse_args()
    mixture = song(options.seconds)
    print("| system | stems | processor time relative to all stems: median (min … max) |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        systems: list[tuple[str, Path | None]] = [(name, None) for name in options.system]
        if options.published:
            from benchmarks.random_models import GEOMETRIES, write_models

            for system, has_mixer in (("kuielab-a", True), ("kuielab-b", False)):
                write_models(Path(folder) / system, GEOMETRIES["published"], has_mixer=has_mixer)
                systems.append((system, Path(folder) / system))
        for system, models_dir in systems:
            for name, ratios in measure(system, models_dir, mixture, options.rounds).items():
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"
                print(f"| `{system}` | {name} | {spread} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
