"""Short time limits beside a busy process: lateness of whole processes, and whether it is reported.

Each run is one `python -m my_submission separate` of a synthetic song, from the start of its process to its end. Its
own statements (its line, its report) are compared with the clock.

    python -m benchmarks.wall_clock --runs 20
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.deadlines import BUSY, write_song

ROOT = Path(__file__).resolve().parents[1]
MIN_SECONDS, MAX_SECONDS = 0.3, 3.0


@dataclass(frozen=True)
class Run:
    """One process.

    Attributes:
        budget: in seconds.
        seconds: from before its start to after its end.
        reported: lateness according to its report, in seconds.
        is_consistent: whether its printed lines and its exit code agree with its report.
        share: of the song that was estimated, the mean over the stems.
        code: its exit code.
    """

    budget: float
    seconds: float
    reported: float
    is_consistent: bool
    share: float
    code: int

    @property
    def late(self) -> float:
        return max(0.0, self.seconds - self.budget)

    @property
    def is_unreported(self) -> bool:
        """Whether the process was late without reporting it."""
        return self.late > self.process_allowance and not (self.reported and self.is_consistent)

    process_allowance = 0.15
    """Seconds to start and end a process, which it cannot measure itself."""


def run_once(song: Path, out: Path, budget: float, words: Sequence[str]) -> Run:
    report = out / "report.json"
    command = [sys.executable, "-m", "my_submission", "separate", str(song), "-o", str(out), "--report", str(report)]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--budget", f"{budget:.3f}", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    seconds = time.monotonic() - began
    entry = json.loads(report.read_text(encoding="utf-8"))["songs"][0]
    reported, shares = entry["late_by_seconds"], entry["separated_shares"].values()
    is_consistent = ("late by" in done.stdout) == (reported > 0) and ("not separated" in done.stdout) == (
        not entry["separated"]
    )
    is_right = done.returncode == (0 if entry["separated"] else 1) and "Traceback" not in done.stderr
    return Run(budget, seconds, reported, is_consistent and is_right, sum(shares) / len(shares), done.returncode)


def print_row(run: Run) -> None:
    unreported = run.seconds - run.budget - run.reported if run.reported else 0.0
    print(
        f"| {run.budget:.2f} | {run.seconds:.2f} | {run.late:.3f} | {run.reported:.3f} | {1000 * unreported:.0f} | "
        f"{run.share:.0%} | {run.code} | {'**unreported**' if run.is_unreported else ''} |",
        flush=True,
    )


def main() -> int:
    """Run all time limits; returns 1 if a late run did not report it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--song-seconds", type=float, default=10.0)
    parser.add_argument("--busy", type=int, default=1, help="busy processes beside (default: %(default)s)")
    parser.add_argument("words", nargs="*", help="more arguments of `separate`, after --")
    options = parser.parse_args()
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    busy = [subprocess.Popen([sys.executable, "-c", BUSY], env=environment) for _ in range(options.busy)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            song = Path(folder) / "song.wav"
            write_song(song, options.song_seconds)
            print("| budget s | wall s | late s | reported s | unreported ms | estimated | exit | |")
            print("|---|---|---|---|---|---|---|---|")
            runs = []
            for budget in np.linspace(MIN_SECONDS, MAX_SECONDS, options.runs):
                runs.append(run_once(song, Path(folder) / "out", float(budget), options.words))
                print_row(runs[-1])
    finally:
        for one in busy:
            one.kill()
            one.wait()
    n_late, n_unreported = sum(run.late > 0 for run in runs), sum(run.is_unreported for run in runs)
    unreported = sorted(run.seconds - run.budget - run.reported for run in runs if run.reported)
    print(f"\n{len(runs)} runs, {n_late} late, {n_unreported} of them unreported")
    if unreported:
        median, most = 1000 * unreported[len(unreported) // 2], 1000 * unreported[-1]
        print(f"late beyond the report: {median:.0f} ms median, {most:.0f} most")
    return int(n_unreported > 0)


if __name__ == "__main__":
    sys.exit(main())
