"""Peak resident memory of `separate` by length of the song, each in its own process.

Usage: python benchmarks/memory.py [--system NAME] [--models-dir DIR] [--minutes 3 30] [-- OPTIONS OF SEPARATE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from my_submission.systems import DEFAULT_SYSTEM

RATE = 44_100


def write_song(path: Path, minutes: float) -> None:
    """Write noise with a beat, block by block."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as file:
        left = round(minutes * 60 * RATE)
        while left:
            n = min(left, 10 * RATE)
            noise = np.cumsum(rng.standard_normal((n, 2)), axis=0)
            noise -= noise.mean(axis=0)
            file.write(0.2 * noise / np.abs(noise).max())
            left -= n


def peak_megabytes(arguments: list[str]) -> float:
    """Run a command and return its peak resident memory."""
    pid = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024


def main() -> int:
    """Measure every length and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default=DEFAULT_SYSTEM)
    parser.add_argument("--models-dir", default="models")
    parser.add_argument("--minutes", nargs="+", type=float, default=[3, 30])
    parser.add_argument("options", nargs="*", help="after --, given to separate")
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            song = Path(folder) / "song.wav"
            write_song(song, minutes)
            command = ["-m", "my_submission", "separate", str(song), "-o", f"{folder}/out"]
            command += ["--system", options.system, "--models-dir", options.models_dir, *options.options]
            peaks.append(peak_megabytes(command))
            print(
                f"{options.system}: {minutes:g} min: {peaks[-1]:.0f} MB, {peaks[-1] / peaks[0]:.3f} x the first",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
