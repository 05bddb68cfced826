"""Does a second worker double the throughput of `batch`? One worker and two, in turn, on one Ray cluster.

Usage: python -m benchmarks.batch [--system NAME] [--models-dir DIR] [--songs 12] [--seconds 20] [--rounds 3]

Timed from when all workers are ready to when the last song is through; songs that had begun before do not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.memory import write_song
from benchmarks.processes import circumstances, ratios
from my_submission.batch.catalogue import find_catalogue
from my_submission.batch.places import Storage
from my_submission.batch.ray_cluster import WorkerNeeds, connected
from my_submission.batch.recipe import Recipe, weights_by_content
from my_submission.batch.run import SongProgress, make_plan, run_plan
from my_submission.batch.scheduling import Policy
from my_submission.batch.separation import SeparationJob


@dataclass
class Clock:
    """Notes when workers were ready and what came back after that."""

    n_workers: int
    n_ready: int = 0
    began: float = 0.0
    ended: float = 0.0
    counted: int = 0

    def __post_init__(self) -> None:
        self._fresh: set[str] = set()

    def note(self, progress: SongProgress) -> None:
        """Take in one event of a run."""
        if progress.kind == "ready":
            self.n_ready += 1
            self.began = time.monotonic()
        elif progress.kind == "started" and progress.task is not None and self.n_ready == self.n_workers:
            self._fresh.add(progress.task.name)
        elif progress.kind == "returned" and progress.task is not None and progress.task.name in self._fresh:
            self.counted += 1
            self.ended = time.monotonic()


def ray_megabytes() -> float:
    """Resident memory of this process and of all that Ray runs beside the workers."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(
        process.memory_info().rss / 1e6 for process in family if not process.cmdline()[0].startswith("ray::_Actor")
    )


def main() -> int:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default="starter")
    parser.add_argument("--models-dir", default="models")
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = {"models_dir": str(Path(options.models_dir).resolve()), "device": "cpu", "threads": 1}
    settings["allow_unverified"] = False
    recipe = Recipe(
        system=options.system,
        load_settings=settings,
        settings={},
        weights=weights_by_content(options.system, settings),
    )
    storage, speeds, peak = Storage(), {1: list[float](), 2: list[float]()}, 0
    print(f"{options.system}, {options.songs} songs of {options.seconds:g} s, {circumstances()}", flush=True)
    with tempfile.TemporaryDirectory() as folder, connected():
        for number in range(options.songs):
            (Path(folder) / "in").mkdir(exist_ok=True)
            write_song(Path(folder) / "in" / f"{number}.wav", options.seconds / 60)
        songs = find_catalogue([f"{folder}/in"], [], storage=storage)
        for number in range(options.rounds):
            for n_workers in (1, 2):
                output = storage.place(f"{folder}/out-{number}-{n_workers}")
                plan = make_plan(songs, output, recipe, storage)
                clock = Clock(n_workers)
                job = SeparationJob(recipe, output.url, storage)
                for outcome in run_plan(plan, job, WorkerNeeds(1), Policy(n_workers), show=clock.note):
                    if outcome.status != "done":
                        raise SystemExit(f"{outcome.song.name}: {outcome.error}")
                    peak = max(peak, outcome.peak_memory_bytes)
                speeds[n_workers].append(clock.counted * options.seconds / (clock.ended - clock.began))
                print(f"round {number + 1}, {n_workers} worker(s): {speeds[n_workers][-1]:.1f} x real time", flush=True)
        ray_memory = ray_megabytes()
    print("| workers | x real time, median | over one worker |\n|---|---|---|")
    for n_workers, found in speeds.items():
        print(f"| {n_workers} | {statistics.median(found):.1f} | {ratios(found, speeds[1])} |")
    print(f"peak of a worker {peak / 1e6:.0f} MB; driver and Ray beside the workers {ray_memory:.0f} MB")
    print(circumstances())
    return 0


if __name__ == "__main__":
    sys.exit(main())
