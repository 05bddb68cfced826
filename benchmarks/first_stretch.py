"""Time to the first finished stretch of a song, and cost of working from start to end instead of the usual order.

Usage: python -m benchmarks.first_stretch [--seconds 180] [--rounds 3] [--system NAME ...]
Ratios: time to the first stretch over the duration of the whole separation; whole separation from start to end over
the usual order; peak memory of the one over the other, each in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.output_hashes import song
from my_submission.audio_io import WAV_FLOAT
from my_submission.events import Finished, StretchDone
from my_submission.geometry import SAMPLE_RATE
from my_submission.predictor import Predictor, load

STARTERS = ("starter-plus", "starter", "starter-conditioned", "starter-cinema")


@dataclass(frozen=True)
class Measured:
    """One separation: seconds to the first stretch and to the end, and the peak memory of its process."""

    first_seconds: float
    seconds: float
    peak_bytes: int


def separate(predictor: Predictor, path: Path, *, emit_stretches: bool) -> Measured:
    """Separate a file from disk to disk."""
    began, first = time.perf_counter(), float("nan")
    with tempfile.TemporaryDirectory() as folder:
        for event in predictor.stream_file(path, folder, audio_format=WAV_FLOAT, emit_stretches=emit_stretches):
            if isinstance(event, StretchDone) and not event.start:
                first = time.perf_counter() - began
            elif isinstance(event, Finished):
                peak = event.report.peak_memory_bytes
    return Measured(first, time.perf_counter() - began, peak)


def rounds(system: str, path: Path, n_rounds: int, *, emit_stretches: bool) -> list[Measured]:
    """Return one measurement per round, without the first one, which also allocates."""
    predictor = load(system, device="cpu", precision="fp32")
    return [separate(predictor, path, emit_stretches=emit_stretches) for _ in range(n_rounds + 1)][1:]


def write_song(path: Path, seconds: float) -> None:
    """Write the song; in a process of its own, because a process inherits the peak memory of the one that starts it."""
    soundfile.write(path, song(seconds).T, SAMPLE_RATE, subtype="PCM_16")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} … {max(values):.2f})"


def row(run: Callable[..., Any], system: str, path: Path, n_rounds: int) -> str:
    """Return a row of the table; ``run`` calls a function in a process of its own."""
    ordered: list[Measured] = run(rounds, (system, path, n_rounds), {"emit_stretches": True})
    usual: list[Measured] = run(rounds, (system, path, n_rounds), {"emit_stretches": False})
    first = [one.first_seconds / one.seconds for one in ordered]
    whole = [one.seconds / other.seconds for one, other in zip(ordered, usual, strict=True)]
    memory = ordered[-1].peak_bytes / usual[-1].peak_bytes
    peak = ordered[-1].peak_bytes / 2**20
    return f"| `{system}` | {_spread(first)} | {_spread(whole)} | {memory:.2f} | {peak:.0f} MiB |"


def main() -> int:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the song")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--system", nargs="+", choices=STARTERS, default=STARTERS)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    print("| system | first stretch / whole song | start to end / usual order | memory | peak |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"

        def run(
            function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any] | None = None
        ) -> Any:
            with spawn.Pool(1) as pool:
                return pool.apply(function, arguments, named or {})

        run(write_song, (path, options.seconds))
        for system in options.system:
            print(row(run, system, path, options.rounds), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
