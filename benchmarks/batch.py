"""Throughput of `batch` with one and two workers, measured in turn on one Ray cluster.

Usage: python -m benchmarks.batch [--system NAME] [--models-dir DIR] [--songs 12] [--seconds 20] [--rounds 3]

The time is measured from when all workers have loaded the system until the last song is done.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.memory import write_song
from benchmarks.processes import circumstances, ratios
from my_submission.batch.catalogue import find_catalogue
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds, connected
from my_submission.batch.recipe import CatalogueRecipe, weights_by_content
from my_submission.batch.remote_paths import Storage
from my_submission.batch.scheduling import Policy, PoolEvent, SongScheduler, WorkerReady
from my_submission.batch.separation import SeparationJob
from my_submission.systems import DEFAULT_SYSTEM
from terminal.quantities import counted


class GatedPool(RayPool[CatalogueSong, SongOutcome]):
    """A pool that waits until all workers are ready."""

    gate = 1

    def wait(self, timeout_seconds: float) -> list[PoolEvent[SongOutcome]]:
        """Start the pool and wait for all workers."""
        events = super().wait(timeout_seconds)
        while self.gate and any(isinstance(event, WorkerReady) for event in events) and len(events) < self.gate:
            events += super().wait(timeout_seconds)
        if self.gate and len(events) == self.gate:
            self.gate = 0
            self.began, self.began_cpu = time.monotonic(), worker_cpu_seconds()
        return events


@dataclass(frozen=True)
class Throughput:
    """Result of one run."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_songs(songs: Sequence[CatalogueSong], job: SeparationJob, n_workers: int) -> Throughput:
    """Separate all songs with a number of workers."""
    pool = GatedPool(job, WorkerNeeds(1))
    pool.gate = n_workers
    peak = 0
    with closing(pool):
        for progress in SongScheduler(pool, songs, Policy(n_workers), clock=time.monotonic).run():
            if progress.kind == "failed" or (progress.result is not None and progress.result.status != "done"):
                raise SystemExit(f"{progress.task}: {progress.reason or progress.result}")
            if progress.result is not None:
                peak = max(peak, progress.result.peak_memory_bytes)
        return Throughput(time.monotonic() - pool.began, worker_cpu_seconds() - pool.began_cpu, peak)


def worker_cpu_seconds() -> float:
    """Return the processor time of all workers so far."""
    times = [process.cpu_times() for process in _family() if _is_worker(process)]
    return sum(time.user + time.system for time in times)


def ray_megabytes() -> float:
    """Return the resident memory of this process and of Ray's own processes."""
    return sum(process.memory_info().rss / 1e6 for process in _family() if not _is_worker(process))


def _family() -> list[psutil.Process]:
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] != [] and process.cmdline()[0].startswith("ray::_Actor")
    except psutil.NoSuchProcess:
        return False


def main() -> int:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default=DEFAULT_SYSTEM)
    parser.add_argument("--models-dir", default="models")
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = {"models_dir": str(Path(options.models_dir).resolve()), "device": "cpu", "threads": 1}
    settings["allow_unverified"] = False
    recipe = CatalogueRecipe(
        system=options.system,
        load_settings=settings,
        settings={},
        weights=weights_by_content(options.system, settings),
    )
    storage = Storage()
    results: dict[int, list[Throughput]] = {1: [], 2: []}
    music = options.songs * options.seconds
    print(f"{options.system}, {options.songs} songs of {options.seconds:g} s, {circumstances()}", flush=True)
    with tempfile.TemporaryDirectory() as folder, connected():
        for number in range(options.songs):
            (Path(folder) / "in").mkdir(exist_ok=True)
            write_song(Path(folder) / "in" / f"{number}.wav", options.seconds / 60)
        songs = find_catalogue([f"{folder}/in"], [], storage=storage)
        for number in range(options.rounds):
            for n_workers in (1, 2):
                output = storage.place(f"{folder}/out-{number}-{n_workers}")
                results[n_workers].append(run_songs(songs, SeparationJob(recipe, output.url, storage), n_workers))
                latest = results[n_workers][-1]
                print(
                    f"round {number + 1}, {counted(n_workers, 'worker')}: {music / latest.seconds:.1f} x real time, "
                    f"{latest.cpu_seconds / music:.4f} CPU s per second of music",
                    flush=True,
                )
        ray_memory = ray_megabytes()
    print("| workers | x real time, median | over one worker | CPU s per second of music | peak MB of a worker |")
    print("|---|---|---|---|---|")
    for n_workers, runs in results.items():
        speeds = [music / run.seconds for run in runs]
        gain = ratios(speeds, [music / run.seconds for run in results[1]])
        cpu = statistics.median(run.cpu_seconds / music for run in runs)
        peak = max(run.peak_bytes for run in runs) / 1e6
        print(f"| {n_workers} | {statistics.median(speeds):.1f} | {gain} | {cpu:.4f} | {peak:.0f} |")
    print(f"driver and Ray beside the workers: {ray_memory:.0f} MB; {circumstances()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
