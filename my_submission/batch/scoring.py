"""Scoring over the cluster: one task per song, computed by the evaluator itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from evaluator.runner import ScoringTask, SongDone, TaskResult, run_task
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds
from my_submission.batch.scheduling import Policy, SongScheduler, outcome_of


@dataclass(frozen=True)
class ScoringJob:
    """Start of a scoring worker, which loads nothing."""

    def __call__(self) -> Callable[[ScoringTask], TaskResult]:
        """Return a function that scores one song."""
        return run_task


def run_jobs_over_cluster(jobs: Sequence[ScoringTask], needs: WorkerNeeds, policy: Policy) -> Iterator[SongDone]:
    """As :func:`evaluator.runner.run_tasks`, over the cluster that this process is connected to.

    Every machine must see the songs under the same paths.

    Args:
        jobs: songs to score.
        needs: resources of a worker.
        policy: number of workers and retries.

    Raises:
        MdxError: no worker can be started.
    """
    pool: RayPool[ScoringTask, TaskResult] = RayPool(ScoringJob(), needs)
    index = 0
    with closing(pool):
        for progress in SongScheduler(pool, jobs, policy, clock=time.monotonic).run():
            if progress.task is None or progress.kind not in {"returned", "failed"}:
                continue
            index += 1
            if progress.kind == "returned":
                yield SongDone(progress.task.name, index, len(jobs), *outcome_of(progress))
            else:
                yield SongDone(progress.task.name, index, len(jobs), {}, (), progress.reason)
