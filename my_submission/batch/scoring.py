"""Scoring over the cluster: the evaluator's own jobs, a song a task, with the evaluator's own numbers."""

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
    """What a worker needs to know before its first song: nothing."""

    def __call__(self) -> Callable[[ScoringTask], TaskResult]:
        """A function that scores one song."""
        return run_task


def run_jobs_over_cluster(jobs: Sequence[ScoringTask], needs: WorkerNeeds, policy: Policy) -> Iterator[SongDone]:
    """As :func:`evaluator.runner.run_tasks`, over the cluster that this process is connected to.

    Every machine must see the songs under the same paths.

    Args:
        jobs: songs to score.
        needs: what a worker takes.
        policy: how many workers, how many tries.

    Raises:
        MdxError: no worker can be had.
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
