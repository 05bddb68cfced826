"""A whole run: compare the catalogue with the output, and separate the remaining songs over the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

from my_submission.batch.earlier_results import HIDDEN_FOLDER, SCRATCH_PREFIX, EarlierResult, earlier_result
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds
from my_submission.batch.recipe import CatalogueRecipe
from my_submission.batch.remote_paths import RemotePath, Storage
from my_submission.batch.scheduling import Policy, SongScheduler, WorkerProgress, outcome_of
from my_submission.batch.separation import SeparationJob
from my_submission.files.scratch import remove_abandoned

SongProgress = WorkerProgress[CatalogueSong, SongOutcome]

LOOKUPS_AT_A_TIME = 32
"""Concurrent lookups of songs; each is three small requests, and an object store answers many at once."""


@dataclass(frozen=True)
class CataloguePlan:
    """The songs of a run and the outcomes that are known before it.

    Attributes:
        songs: the whole catalogue, in its order.
        waiting: songs for the workers; some may turn out to be done when their content is read.
        known: outcomes of the other songs: existing stems, and files known to be broken.
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
    """Compare a catalogue with the output; of the songs only their stamps are read.

    Args:
        songs: the catalogue.
        output: where stems go.
        recipe: system and options.
        storage: access to the songs.
        retries_failed: whether to try songs again that an earlier run found broken.

    Raises:
        StorageError: the output or a song cannot be reached.
    """

    def look_up(song: CatalogueSong) -> EarlierResult:
        return earlier_result(song, output, recipe, storage.place(song.url).state())

    plan = CataloguePlan(songs)
    with ThreadPoolExecutor(LOOKUPS_AT_A_TIME) as threads:
        everything = list(threads.map(look_up, songs))
    for song, known in zip(songs, everything, strict=True):
        if known.is_current and known.record is not None:
            plan.known.append(SongOutcome(song, "reused", record=known.record))
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
    """Separate the waiting songs over the connected cluster; yield one outcome per song, as they finish.

    Args:
        plan: see :func:`make_plan`.
        job: the work of a worker.
        needs: resources of a worker.
        policy: number of workers and retries.
        show: called with every step.

    Raises:
        MdxError: no worker can be started.
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
    """Return outcomes in the order of the catalogue, those of the plan included; songs without one are left out."""
    by_name = {outcome.song.name: outcome for outcome in (*plan.known, *outcomes)}
    return [by_name[song.name] for song in plan.songs if song.name in by_name]
