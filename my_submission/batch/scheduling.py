"""Schedule of tasks over workers: one task per worker at a time, lost workers replaced, failures tried again.

:class:`Pool` is the interface of the workers; this module is independent of Ray.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from my_submission.errors import MdxError

Task = TypeVar("Task")
Result = TypeVar("Result")
PoolTask_contra = TypeVar("PoolTask_contra", contravariant=True)
PoolResult = TypeVar("PoolResult")

WAKE_SECONDS = 1.0
"""Longest wait for an event of the pool, so that a display can show the time that passes."""


@dataclass(frozen=True)
class WorkerReady:
    """A worker has loaded what it needs."""

    worker: int


@dataclass(frozen=True)
class StartRefused:
    """A worker could not load what it needs, for a reason that the user can fix."""

    worker: int
    reason: str


@dataclass(frozen=True)
class TaskReturned(Generic[Result]):
    """A worker has done its task."""

    worker: int
    result: Result


@dataclass(frozen=True)
class TaskRaised:
    """A task ended in an unexpected error; the worker is still there."""

    worker: int
    reason: str


@dataclass(frozen=True)
class WorkerLost:
    """A worker is gone, with the task that it ran."""

    worker: int
    reason: str


PoolEvent = WorkerReady | StartRefused | TaskReturned[Result] | TaskRaised | WorkerLost


class Pool(Protocol[PoolTask_contra, PoolResult]):
    """Workers that do one task at a time."""

    def start(self) -> int:
        """Begin to start a worker and return its number; a :class:`WorkerReady` event follows."""

    def submit(self, worker: int, task: PoolTask_contra) -> None:
        """Give a task to an idle worker."""

    def end(self, worker: int) -> None:
        """End a worker at once, with the task that it runs; no event of it follows."""

    def wait(self, timeout_seconds: float) -> list[PoolEvent[PoolResult]]:
        """Return the events since the last call; an empty list after ``timeout_seconds`` without any."""


@dataclass(frozen=True)
class WorkerProgress(Generic[Task, Result]):
    """One step of a run, for displays.

    Attributes:
        kind: "ready", "started", "returned", "retried", "failed", "lost" or "tick" (no event).
        worker: number of the worker concerned, if any.
        task: the task concerned, if any.
        result: result of a task that returned.
        reason: reason of a failure or loss.
        attempts: how often the task was begun.
    """

    kind: Literal["ready", "started", "returned", "retried", "failed", "lost", "tick"]
    worker: int | None = None
    task: Task | None = None
    result: Result | None = None
    reason: str | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Policy:
    """Number of workers and limits on retries.

    Attributes:
        n_workers: largest number of workers at a time.
        n_retries: how often a task is repeated after a temporary failure or a lost worker.
        start_seconds: time limit until the first worker is ready.
        n_lost_starts: the run ends after so many workers in a row were lost before they were ready.
        task_seconds: time limit per task; its worker is ended and the task fails, without another attempt.
    """

    n_workers: int
    n_retries: int = 2
    start_seconds: float = 600.0
    n_lost_starts: int = 3
    task_seconds: float = math.inf

    def __post_init__(self) -> None:
        seconds = min(self.start_seconds, self.task_seconds)
        if self.n_workers < 1 or self.n_retries < 0 or seconds <= 0 or self.n_lost_starts < 1:
            raise ValueError(f"{self} allows no work")


class SongScheduler(Generic[Task, Result]):
    """One run of tasks over a pool.

    No more tasks are in flight than there are workers, so the only queue is here. A task that is repeated goes to the
    end of the queue.

    Args:
        pool: the workers.
        tasks: the tasks, in order.
        policy: number of workers and retries.
        clock: monotonic seconds.
        retry_reason: returns why a task should be repeated after this result, or None.
    """

    def __init__(
        self,
        pool: Pool[Task, Result],
        tasks: Sequence[Task],
        policy: Policy,
        *,
        clock: Callable[[], float],
        retry_reason: Callable[[Result], str | None] = lambda result: None,
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._clock = clock
        self._retry_reason = retry_reason
        self._waiting: deque[tuple[Task, int]] = deque((task, 1) for task in tasks)
        self._running: dict[int, tuple[Task, int]] = {}
        self._began: dict[int, float] = {}
        self._idle: set[int] = set()
        self._starting: set[int] = set()
        self._n_lost_starts = 0
        self._has_started = False

    def run(self) -> Iterator[WorkerProgress[Task, Result]]:
        """Run all tasks; every one of them ends in "returned" or "failed".

        Raises:
            MdxError: no worker can be started, so the remaining tasks cannot run.
        """
        began = self._clock()
        self._start_workers()
        while self._waiting or self._running:
            events = self._pool.wait(WAKE_SECONDS)
            if not events:
                if not self._has_started and self._clock() - began > self._policy.start_seconds:
                    raise MdxError(
                        f"no worker was ready after {self._policy.start_seconds:.0f} s",
                        hint="check `ray status` for missing resources, or request less per worker",
                    )
                yield WorkerProgress("tick")
            for event in events:
                yield from self._react(event)
            yield from self._end_overdue()
            self._start_workers()
            yield from self._assign_tasks()

    def _react(self, event: PoolEvent[Result]) -> Iterator[WorkerProgress[Task, Result]]:
        worker = event.worker
        self._starting.discard(worker)
        if isinstance(event, WorkerReady):
            self._has_started = True
            self._n_lost_starts = 0
            self._idle.add(worker)
            yield WorkerProgress("ready", worker)
        elif isinstance(event, StartRefused):
            raise MdxError(event.reason)
        elif isinstance(event, TaskReturned):
            task, attempts = self._running.pop(worker)
            self._idle.add(worker)
            reason = self._retry_reason(event.result)
            if reason is not None and attempts <= self._policy.n_retries:
                yield self._requeue(worker, task, attempts, reason)
            else:
                yield WorkerProgress("returned", worker, task, event.result, reason, attempts)
        elif isinstance(event, TaskRaised):
            self._idle.add(worker)
            yield self._retry_or_fail(worker, event.reason)
        else:
            yield WorkerProgress("lost", worker, reason=event.reason)
            if worker in self._running:
                yield self._retry_or_fail(worker, f"its worker was lost ({event.reason})")
            elif worker in self._idle:
                self._idle.remove(worker)
            else:
                self._count_lost_start(event.reason)

    def _end_overdue(self) -> Iterator[WorkerProgress[Task, Result]]:
        """End workers whose task takes longer than allowed; other workers take their place."""
        limit = self._policy.task_seconds
        for worker in [worker for worker in self._running if self._clock() - self._began[worker] > limit]:
            self._pool.end(worker)
            task, attempts = self._running.pop(worker)
            reason = f"not done after {limit:g} s, so its worker was ended"
            yield WorkerProgress("lost", worker, reason=reason)
            yield WorkerProgress("failed", worker, task, reason=reason, attempts=attempts)

    def _retry_or_fail(self, worker: int, reason: str) -> WorkerProgress[Task, Result]:
        task, attempts = self._running.pop(worker)
        if attempts <= self._policy.n_retries:
            return self._requeue(worker, task, attempts, reason)
        return WorkerProgress("failed", worker, task, reason=f"{reason}; tried {attempts} times", attempts=attempts)

    def _requeue(self, worker: int, task: Task, attempts: int, reason: str) -> WorkerProgress[Task, Result]:
        self._waiting.append((task, attempts + 1))
        return WorkerProgress("retried", worker, task, reason=reason, attempts=attempts)

    def _count_lost_start(self, reason: str) -> None:
        self._n_lost_starts += 1
        if self._n_lost_starts >= self._policy.n_lost_starts:
            raise MdxError(
                f"{self._n_lost_starts} workers in a row were lost before they were ready ({reason})",
                hint="they may need more memory: use fewer --workers or more --cpus-per-worker",
            )

    def _start_workers(self) -> None:
        """Start workers up to the number of unfinished tasks or the limit of the policy."""
        wanted = min(self._policy.n_workers, len(self._waiting) + len(self._running))
        for _ in range(wanted - len(self._running) - len(self._idle) - len(self._starting)):
            self._starting.add(self._pool.start())

    def _assign_tasks(self) -> Iterator[WorkerProgress[Task, Result]]:
        while self._waiting and self._idle:
            worker = min(self._idle)
            self._idle.remove(worker)
            task, attempts = self._waiting.popleft()
            self._running[worker], self._began[worker] = (task, attempts), self._clock()
            self._pool.submit(worker, task)
            yield WorkerProgress("started", worker, task, attempts=attempts)


def outcome_of(progress: WorkerProgress[Any, Result]) -> Result:
    """Return the result of a "returned" step."""
    if progress.result is None:
        raise ValueError(f"no result in {progress}")
    return progress.result
