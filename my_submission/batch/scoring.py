"""Scoring over the cluster: the evaluator's own jobs, a song a task, with the evaluator's own numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from evaluator.runner import Job, Outcome, SongDone, run_job
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds
from my_submission.batch.scheduling import Policy, Schedule, outcome_of


@dataclass(frozen=True)
class ScoringJob:
    """What a worker needs to know before its first song: nothing."""

    def __call__(self) -> Callable[[Job], Outcome]:
        """A function that scores one song."""
        return run_job


def run_jobs_over_cluster(jobs: Sequence[Job], needs: WorkerNeeds, policy: Policy) -> Iterator[SongDone]:
    """As :func:`evaluator.runner.run_jobs`, over the cluster that this process is connected to.

    Every machine must see the songs under the same paths.

    Args:
        jobs: songs to score.
        needs: what a worker takes.
        policy: how many workers, how many tries.

    Raises:
        MdxError: no worker can be had.
    """
    pool: RayPool[Job, Outcome] = RayPool(ScoringJob(), needs)
    index = 0
    with closing(pool):
        for progress in Schedule(pool, jobs, policy, clock=time.monotonic).run():
            if progress.task is None or progress.kind not in {"returned", "failed"}:
                continue
            index += 1
            if progress.kind == "returned":
                yield SongDone(progress.task.name, index, len(jobs), *outcome_of(progress))
            else:
                yield SongDone(progress.task.name, index, len(jobs), {}, (), progress.reason)
