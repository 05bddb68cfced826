"""Repeated rehearsals of a submission within its time limit, on a busy machine.

Packs the configured submission, builds its environment from its requirements alone, and then, run after run beside busy
processes: measures what its plan needs for a short song (without a limit, nothing refined), and rehearses it under the
2021 runner with that need and a margin as the limit. Every run is a new process with empty caches, as at grading.

Usage: python benchmarks/rehearsal.py [--runs 20] [--busy 1] [--song-seconds 8] [--margin 1.1] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from my_submission.challenge import SongLimit
from my_submission.submission import RehearsalReport, RehearsalSettings, SubmissionTree, pack_submission, rehearse
from my_submission.submission.environment import Environment, fresh_environment
from my_submission.submission.songs import make_song

ROOT = Path(__file__).resolve().parents[1]

MEASURE = """
import json, sys
import my_submission as mdx
separator = mdx.load(sys.argv[1], models_dir="models", device="cpu")
print(json.dumps(separator.separate_file(sys.argv[2], sys.argv[3]).seconds))
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processors busy for the length of a with block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def needed_seconds(tree: SubmissionTree, environment: Environment, song: Path, scratch: Path) -> float:
    """Return the planned seconds of the published schedule, in a new process with an empty cache."""
    system = tree.configuration().system
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        variables = {**os.environ, "MDX_CACHE_DIR": folder}
        command = [environment.python, "-c", MEASURE, system, str(song), f"{folder}/stems"]
        done = subprocess.run(command, cwd=tree.root, env=variables, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def row(index: int, need: float, report: RehearsalReport) -> str:
    """Return one row of the table."""
    [song] = report.songs
    used = float("nan") if song.seconds is None else song.seconds
    verdict = "in time, complete stems" if report.is_passed else song.error or "; ".join(song.stem_faults) or "late"
    share = f"{song.done_share:.0%}"
    peak = f"{report.peak_bytes / 2**20:.0f}"
    figures = f"{os.getloadavg()[0]:.0f} | {need:.2f} | {song.limit_seconds:.2f} | {used:.2f}"
    return f"| {index} | {figures} | {used / song.limit_seconds:.0%} | {share} | {peak} | {verdict} |"


def main() -> int:
    """Measure, print and write; returns 1 unless all runs passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", type=int, default=1, help="busy processes beside it")
    parser.add_argument("--song-seconds", type=float, default=8.0)
    parser.add_argument("--margin", type=float, default=1.1, help="limit over the plan's need")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, busy_processes(options.busy):
        scratch = Path(folder)
        pack_submission(SubmissionTree(ROOT), scratch / "packed")
        tree = SubmissionTree(scratch / "packed")
        environment = fresh_environment(tree.root)
        [song] = make_song(tree.configuration().challenge_track, scratch / "songs", options.song_seconds)
        mixture = scratch / "songs" / song.name / "mixture.wav"
        lines = [
            f"{os.cpu_count()} processors, {options.busy} busy process(es) of our own beside it; a song of "
            f"{options.song_seconds:g} s; limit {options.margin:g} times what the plan needed just before.",
            "",
            "| run | load | plan needs s | limit s | used s | of the limit | work done | peak MiB | result |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        print("\n".join(lines), flush=True)
        n_passed = 0
        for index in range(1, options.runs + 1):
            need = needed_seconds(tree, environment, mixture, scratch)
            limit = SongLimit(seconds=options.margin * need)
            settings = RehearsalSettings(song_seconds=options.song_seconds, limit=limit)
            report = rehearse(tree, tree.configuration(), environment, settings)
            n_passed += report.is_passed
            lines.append(row(index, need, report))
            print(lines[-1], flush=True)
            if index == 1:
                conditions = "; ".join(report.conditions)
        verdict = f"{n_passed} of {options.runs} runs ended in time with complete stems"
        lines += ["", verdict, "", f"Conditions: {conditions}."]
        print(verdict)
    if options.markdown:
        stamp = time.strftime("%Y-%m-%d")
        head = f"# Rehearsals of a submission\n\n`{' '.join(['python', *sys.argv])}`, {stamp}\n\n"
        options.markdown.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return 0 if n_passed == options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
