"""Which worker does what and when: one task a worker at a time, lost workers replaced, failures tried again.

Nothing here knows what a worker is; :class:`Pool` says what it must be able to do.
"""

from __future__ import annotations

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
"""How long a pool is waited for at a time; a display may want to show the time that passes."""


@dataclass(frozen=True)
class Ready:
    """A worker has loaded what it needs."""

    worker: int


@dataclass(frozen=True)
class Refused:
    """A worker could not load what it needs, for a reason that someone can mend."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Returned(Generic[Result]):
    """A worker has done its task."""

    worker: int
    result: Result


@dataclass(frozen=True)
class Raised:
    """A task ended in an error that its code does not foresee; the worker is still there."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and with it whatever it did."""

    worker: int
    reason: str


PoolEvent = Ready | Refused | Returned[Result] | Raised | Lost


class Pool(Protocol[PoolTask_contra, PoolResult]):
    """Workers that do one task at a time."""

    def start(self) -> int:
        """Begin to start a worker; its number. It is :class:`Ready` some time later."""

    def submit(self, worker: int, task: PoolTask_contra) -> None:
        """Give a ready and idle worker something to do."""

    def wait(self, timeout_seconds: float) -> list[PoolEvent[PoolResult]]:
        """What has happened since; empty after ``timeout_seconds`` without anything."""


@dataclass(frozen=True)
class WorkerProgress(Generic[Task, Result]):
    """What a run tells about itself as it goes on.

    Attributes:
        kind: "ready", "started", "returned", "retried", "failed", "lost" or "tick" (nothing has happened).
        worker: which worker, where one is concerned.
        task: which task, where one is concerned.
        result: of a task that returned.
        reason: why something failed or was lost.
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
    """How much patience a run has.

    Attributes:
        n_workers: as many at a time.
        n_retries: how often a task is begun again after a failure that another try may mend, or a lost worker.
        start_seconds: how long the first worker may take to be ready.
        n_lost_starts: how many workers in a row may be lost before they are ready.
    """

    n_workers: int
    n_retries: int = 2
    start_seconds: float = 600.0
    n_lost_starts: int = 3

    def __post_init__(self) -> None:
        if self.n_workers < 1 or self.n_retries < 0 or self.start_seconds <= 0 or self.n_lost_starts < 1:
            raise ValueError(f"{self} allows no work")


class SongScheduler(Generic[Task, Result]):
    """One run of tasks over a pool.

    As many tasks are in flight as there are workers, so that a catalogue of any length keeps no queue anywhere but
    here. A task that is tried again goes to the end of the line.

    Args:
        pool: the workers.
        tasks: what is to be done.
        policy: how many workers, how many tries.
        clock: monotonic seconds.
        retry_reason: why a result is worth another try; None when it is not.
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
        self._idle: set[int] = set()
        self._starting: set[int] = set()
        self._n_lost_starts = 0
        self._has_started = False

    def run(self) -> Iterator[WorkerProgress[Task, Result]]:
        """Do all tasks; every one of them ends in "returned" or "failed".

        Raises:
            MdxError: no worker can be had, so that the rest cannot be done.
        """
        began = self._clock()
        self._hire()
        while self._waiting or self._running:
            events = self._pool.wait(WAKE_SECONDS)
            if not events:
                if not self._has_started and self._clock() - began > self._policy.start_seconds:
                    raise MdxError(
                        f"no worker was ready after {self._policy.start_seconds:.0f} s",
                        hint="look at `ray status` for what is missing, or ask for less a worker",
                    )
                yield WorkerProgress("tick")
            for event in events:
                yield from self._react(event)
            self._hire()
            yield from self._deal()

    def _react(self, event: PoolEvent[Result]) -> Iterator[WorkerProgress[Task, Result]]:
        worker = event.worker
        self._starting.discard(worker)
        if isinstance(event, Ready):
            self._has_started = True
            self._n_lost_starts = 0
            self._idle.add(worker)
            yield WorkerProgress("ready", worker)
        elif isinstance(event, Refused):
            raise MdxError(event.reason)
        elif isinstance(event, Returned):
            task, attempts = self._running.pop(worker)
            self._idle.add(worker)
            reason = self._retry_reason(event.result)
            if reason is not None and attempts <= self._policy.n_retries:
                yield self._again(worker, task, attempts, reason)
            else:
                yield WorkerProgress("returned", worker, task, event.result, reason, attempts)
        elif isinstance(event, Raised):
            self._idle.add(worker)
            yield self._after_accident(worker, event.reason)
        else:
            yield WorkerProgress("lost", worker, reason=event.reason)
            if worker in self._running:
                yield self._after_accident(worker, f"its worker was lost ({event.reason})")
            elif worker in self._idle:
                self._idle.remove(worker)
            else:
                self._count_lost_start(event.reason)

    def _after_accident(self, worker: int, reason: str) -> WorkerProgress[Task, Result]:
        task, attempts = self._running.pop(worker)
        if attempts <= self._policy.n_retries:
            return self._again(worker, task, attempts, reason)
        return WorkerProgress("failed", worker, task, reason=f"{reason}; tried {attempts} times", attempts=attempts)

    def _again(self, worker: int, task: Task, attempts: int, reason: str) -> WorkerProgress[Task, Result]:
        self._waiting.append((task, attempts + 1))
        return WorkerProgress("retried", worker, task, reason=reason, attempts=attempts)

    def _count_lost_start(self, reason: str) -> None:
        self._n_lost_starts += 1
        if self._n_lost_starts >= self._policy.n_lost_starts:
            raise MdxError(
                f"{self._n_lost_starts} workers in a row were lost before they were ready ({reason})",
                hint="they may need more memory: use fewer --workers or more --cpus-per-worker",
            )

    def _hire(self) -> None:
        """Have as many workers as there is work for."""
        wanted = min(self._policy.n_workers, len(self._waiting) + len(self._running))
        for _ in range(wanted - len(self._running) - len(self._idle) - len(self._starting)):
            self._starting.add(self._pool.start())

    def _deal(self) -> Iterator[WorkerProgress[Task, Result]]:
        while self._waiting and self._idle:
            worker = min(self._idle)
            self._idle.remove(worker)
            task, attempts = self._waiting.popleft()
            self._running[worker] = (task, attempts)
            self._pool.submit(worker, task)
            yield WorkerProgress("started", worker, task, attempts=attempts)


def outcome_of(progress: WorkerProgress[Any, Result]) -> Result:
    """The result of a "returned" progress."""
    if progress.result is None:
        raise ValueError(f"no result in {progress}")
    return progress.result
