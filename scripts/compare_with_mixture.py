"""Score separated songs and the baseline, a quarter of the mixture for every stem.

Usage: compare_with_mixture.py REFERENCES ESTIMATES
"""

from __future__ import annotations

import sys
from pathlib import Path

import soundfile
from rich.console import Console
from rich.table import Table

from evaluator.metrics import global_sdr

SOURCES = ("bass", "drums", "other", "vocals")


def main() -> int:
    """Print one table per song."""
    references, estimates = Path(sys.argv[1]), Path(sys.argv[2])
    console = Console()
    for mixture_path in sorted(references.glob("*/mixture.wav")):
        song = mixture_path.parent.name
        mixture, _ = soundfile.read(mixture_path, always_2d=True)
        table = Table("", *SOURCES, "mean", title=f"{song}: global SDR in dB", title_justify="left")
        truth = {source: soundfile.read(mixture_path.parent / f"{source}.wav", always_2d=True)[0] for source in SOURCES}
        stems = {source: soundfile.read(estimates / song / f"{source}.wav", always_2d=True)[0] for source in SOURCES}
        rows = {
            "separated": [global_sdr(truth[source], stems[source]) for source in SOURCES],
            "mixture / 4": [global_sdr(truth[source], mixture / len(SOURCES)) for source in SOURCES],
        }
        for name, scores in rows.items():
            table.add_row(name, *(f"{score:.2f}" for score in scores), f"{sum(scores) / len(scores):.2f}")
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
