"""A whole run: what there is, what of it is done, and the rest over the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

from my_submission.batch.manifests import HIDDEN_FOLDER, SCRATCH_PREFIX, Known, known_of
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds
from my_submission.batch.recipe import CatalogueRecipe
from my_submission.batch.remote_paths import RemotePath, Storage
from my_submission.batch.scheduling import Policy, SongScheduler, WorkerProgress, outcome_of
from my_submission.batch.separation import SeparationJob
from my_submission.files.scratch import remove_abandoned

SongProgress = WorkerProgress[CatalogueSong, SongOutcome]

LOOKUPS_AT_A_TIME = 32
"""Looking a song up is three small requests; a store answers each after some time, and many at a time."""


@dataclass(frozen=True)
class CataloguePlan:
    """What is to be done.

    Attributes:
        songs: the whole catalogue, in its order.
        waiting: songs for the workers; of some of them the worker will find that they are done after all.
        known: outcomes of the others: stems that are there, and files known to be broken.
    """

    songs: Sequence[CatalogueSong]
    waiting: list[CatalogueSong] = field(default_factory=list)
    known: list[SongOutcome] = field(default_factory=list)


def make_plan(
    songs: Sequence[CatalogueSong],
    output: RemotePath,
    recipe: CatalogueRecipe,
    storage: Storage,
    *,
    retries_failed: bool = False,
) -> CataloguePlan:
    """Compare a catalogue with what lies in the output; nothing is read of the songs but their stamps.

    Args:
        songs: the catalogue.
        output: where stems go.
        recipe: what is to be done to each.
        storage: how songs are reached.
        retries_failed: try songs again that were found broken before.

    Raises:
        StorageError: the output or a song cannot be reached.
    """

    def look_up(song: CatalogueSong) -> Known:
        return known_of(song, output, recipe, storage.place(song.url).state())

    plan = CataloguePlan(songs)
    with ThreadPoolExecutor(LOOKUPS_AT_A_TIME) as threads:
        everything = list(threads.map(look_up, songs))
    for song, known in zip(songs, everything, strict=True):
        if known.is_current and known.manifest is not None:
            plan.known.append(SongOutcome(song, "reused", manifest=known.manifest))
        elif known.is_current and known.failure is not None and not retries_failed:
            error = f"{known.failure['error']} (known from an earlier run; --retry-failed tries it again)"
            plan.known.append(SongOutcome(song, "failed", error=error, is_final=True))
        else:
            plan.waiting.append(song)
    return plan


def run_plan(
    plan: CataloguePlan,
    job: SeparationJob,
    needs: WorkerNeeds,
    policy: Policy,
    *,
    show: Callable[[SongProgress], None] = lambda progress: None,
) -> Iterator[SongOutcome]:
    """Separate what is waiting, over the cluster that this process is connected to; an outcome a song, as they end.

    Args:
        plan: see :func:`make_plan`.
        job: what a worker does.
        needs: what a worker takes.
        policy: how many workers, how many tries.
        show: is told of every step.

    Raises:
        MdxError: no worker can be had.
    """
    pool: RayPool[CatalogueSong, SongOutcome] = RayPool(job, needs)
    schedule = SongScheduler(
        pool, plan.waiting, policy, clock=time.monotonic, retry_reason=lambda outcome: outcome.retry_reason
    )
    with closing(pool):
        for progress in schedule.run():
            show(progress)
            if progress.task is None:
                continue
            if progress.kind == "returned":
                yield replace(outcome_of(progress), attempts=progress.attempts, worker=progress.worker)
            elif progress.kind == "failed":
                yield SongOutcome(
                    progress.task, "failed", error=progress.reason, attempts=progress.attempts, worker=progress.worker
                )
    output = job.storage.place(job.output)
    if output.is_local:
        remove_abandoned(output.child(f"{HIDDEN_FOLDER}/scratch").local, prefix=SCRATCH_PREFIX)


def in_order(plan: CataloguePlan, outcomes: Sequence[SongOutcome]) -> list[SongOutcome]:
    """Outcomes in the order of the catalogue, those of the plan included; songs without one are left out."""
    by_name = {outcome.song.name: outcome for outcome in (*plan.known, *outcomes)}
    return [by_name[song.name] for song in plan.songs if song.name in by_name]
