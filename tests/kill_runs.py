"""Kill ``separate`` again and again, and see what the next run makes of it. Run by hand:

    python -m tests.kill_runs SONG FOLDER [--random 40] [--aimed 10] [--seed 0]

Every round begins with the set of one configuration, kills a run of the other one (SIGKILL, at a random moment of its
life or at one of its renames and removals), and runs the same command again to its end. It counts rounds in which the
folder then holds anything but one whole set and its record, and rounds in which the old set was lost before the new one
was complete.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from my_submission.audio_io.writing.stem_sets import RECORD_FILE, files_of, parse_record, settle

CONFIGURATIONS = (["--format", "wav"], ["--format", "flac"])

AIM_VARIABLE = "KILL_AT_CALL"

N_CALLS = 10
"""Renames and removals of a run that replaces four stems of another format: at least so many."""

KILLED_AT_A_CALL = f"""
import os, signal, sys
calls = 0
def fatal(real):
    def call(*arguments, **more):
        global calls
        if str(arguments[0]).startswith(sys.argv[-1]):
            calls += 1
            if calls == int(os.environ[{AIM_VARIABLE!r}]):
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    return call
os.replace, os.unlink = fatal(os.replace), fatal(os.unlink)
from my_submission.cli import main
sys.exit(main(sys.argv[1:-1]))
"""


def main() -> int:
    """Run all rounds; 1 when any left something mixed behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--random", type=int, default=40)
    parser.add_argument("--aimed", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    folder = options.folder / options.song.stem
    usual = timed(options, 0)
    counts: Counter[str] = Counter()
    chosen = 0
    while counts["killed at a random moment"] < options.random or counts["killed at a rename"] < options.aimed:
        chosen = 1 - chosen
        if counts["killed at a random moment"] < options.random:
            killed = separate(options, chosen, kill_after=rng.uniform(0.2, 1.0) * usual)
            counts["killed at a random moment" if killed else "ended before it was killed"] += 1
        else:
            killed = separate(options, chosen, kill_at=1 + counts["killed at a rename"] % N_CALLS)
            counts["killed at a rename"] += 1
        counts["part files and journals that kills left"] += len(hidden(folder))
        settle(folder)
        counts["neither set whole after a kill"] += not is_whole(folder)
        usual = timed(options, chosen)
        counts["mixed or incomplete after the next run"] += not is_whole(folder)
        counts["hidden files after the next run"] += len(hidden(folder))
    print(json.dumps(counts, indent=1))
    return int(any(counts[name] for name in counts if "after" in name))


def timed(options: argparse.Namespace, configuration: int) -> float:
    """Run the command to its end; its seconds."""
    began = time.monotonic()
    separate(options, configuration)
    return time.monotonic() - began


def separate(
    options: argparse.Namespace, configuration: int, *, kill_after: float | None = None, kill_at: int | None = None
) -> bool:
    """Run the command, killed or not; whether it was killed."""
    words = ["separate", str(options.song), "-o", str(options.folder), *CONFIGURATIONS[configuration]]
    if kill_at is None:
        command = [sys.executable, "-m", "my_submission", *words]
    else:
        command = [sys.executable, "-c", KILLED_AT_A_CALL, *words, str(options.folder)]
    environment = {**os.environ, AIM_VARIABLE: str(kill_at)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    code = process.wait()
    if code not in {0, -signal.SIGKILL}:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return code != 0


def hidden(folder: Path) -> list[str]:
    """Names of hidden files in a folder."""
    return [path.name for path in folder.glob(".*")] if folder.is_dir() else []


def is_whole(folder: Path) -> bool:
    """Whether a folder holds one record and exactly the files that it lists, by their hashes."""
    record_file = folder / RECORD_FILE
    record = parse_record(record_file.read_bytes()) if record_file.is_file() else None
    if record is None:
        return False
    listed = {file.file: file.sha256 for file in files_of(record)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    found.pop(RECORD_FILE)
    return found == listed


if __name__ == "__main__":
    sys.exit(main())
