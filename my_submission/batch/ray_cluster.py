"""Workers as Ray actors, and the cluster they run on; the only file that imports Ray."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psutil

from my_submission.batch.scheduling import PoolEvent, StartRefused, TaskRaised, TaskReturned, WorkerLost, WorkerReady
from my_submission.errors import MdxError
from terminal import process
from terminal.extras import command_for

Task = TypeVar("Task")
Result = TypeVar("Result")

OBJECT_STORE_BYTES = 128 << 20
"""Ray's shared memory on a local cluster; only names and reports of songs pass through it."""

LOCAL_STARTS = 3
"""Attempts to start a local cluster: Ray allows 30 s, which a busy machine can exceed."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerNeeds:
    """Resources of one worker, as Ray counts them.

    Attributes:
        cpus: processors; fractions let several workers share one.
        gpus: graphics processors; fractions let several workers share one.
        memory_bytes: reserved for it, or None.
        threads: number of threads of its libraries; as many as it has processors by default.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int | None = None
    threads: int | None = None

    @property
    def n_threads(self) -> int:
        """Number of threads of its libraries."""
        return self.threads or max(1, int(self.cpus))


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        cpus: processors of all its machines.
        gpus: GPUs of all its machines.
        n_nodes: number of machines.
        is_local: whether it is this machine only, started for this run.
    """

    cpus: float
    gpus: float
    n_nodes: int
    is_local: bool

    def n_workers(self, needs: WorkerNeeds) -> int:
        """Return how many workers fit at once, by the total resources of all machines."""
        limits = [amount / need for amount, need in ((self.cpus, needs.cpus), (self.gpus, needs.gpus)) if need]
        return int(min(limits, default=1))


@contextmanager
def connected(address: str | None = None, *, is_verbose: bool = False) -> Iterator[Cluster]:
    """Connect to a running cluster, or start one on this machine that ends with the block.

    A process that is connected already keeps its connection and ignores the address. Usage statistics are off, and a
    local cluster is protected by a random secret.

    Args:
        address: such as "auto", "host:6379" or "ray://host:10001"; None starts a local cluster.
        is_verbose: show the log of the workers.

    Raises:
        MdxError: Ray is not installed, or no cluster answers.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield _described(ray, is_local=False)
        return
    _connect(ray, address, is_verbose=is_verbose)
    try:
        yield _described(ray, is_local=address is None)
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None, *, is_verbose: bool) -> None:
    settings: dict[str, Any] = {
        "address": address or "local",
        "log_to_driver": is_verbose,
        "logging_level": logging.INFO if is_verbose else logging.ERROR,
    }
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    n_tries = LOCAL_STARTS if address is None else 1
    for number in range(1, n_tries + 1):
        before = set(psutil.Process().children(recursive=True))
        try:
            ray.init(**settings)
        except Exception as error:  # Ray raises a bare Exception if one of its own processes is late
            ray.shutdown()
            _end(set(psutil.Process().children(recursive=True)) - before)
            if number == n_tries:
                where = address or "this machine"
                hint = "start one with `ray start --head`, or leave --address out" if address else "try again"
                raise MdxError(f"no Ray cluster is available ({_first_line(error)})", where=where, hint=hint) from error
            _logger.warning("Ray did not start (%s); trying again", _first_line(error))
        else:
            process.listen_again()  # Ray ends a terminated process with a code of its own, and cleans nothing up
            return


def _end(processes: set[psutil.Process]) -> None:
    """End processes that Ray leaves behind when it fails to start, because they would block the next attempt."""
    for left in processes:
        with suppress(psutil.NoSuchProcess):
            left.kill()


class RayPool(Generic[Task, Result]):
    """Actors that do one task at a time, as :class:`my_submission.batch.scheduling.Pool`.

    Args:
        job: called once in every worker, before its first task; its result is called with every task. It and the
            tasks are pickled.
        needs: resources of a worker.
    """

    def __init__(self, job: Callable[[], Callable[[Task], Result]], needs: WorkerNeeds) -> None:
        self._ray = _import_ray()
        threads = dict.fromkeys(process.THREAD_VARIABLES, str(needs.n_threads))
        self._actor = self._ray.remote(_Actor).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory_bytes,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": threads},
        )
        self._job = job
        self._actors: dict[int, Any] = {}
        self._waited: dict[Any, tuple[int, bool]] = {}
        self._n_started = 0

    def start(self) -> int:
        """Ask Ray for an actor; Ray waits for its resources."""
        self._n_started += 1
        actor = self._actor.remote(self._job)
        self._actors[self._n_started] = actor
        self._waited[actor.begin.remote()] = (self._n_started, True)
        return self._n_started

    def submit(self, worker: int, task: Task) -> None:
        """Send a task to an actor."""
        self._waited[self._actors[worker].run.remote(task)] = (worker, False)

    def wait(self, timeout_seconds: float) -> list[PoolEvent[Result]]:
        """Return the events since the last call, oldest first as far as Ray reports it."""
        done, _ = self._ray.wait(list(self._waited), num_returns=1, timeout=timeout_seconds)
        events = []
        for reference in done:
            worker, is_begin = self._waited.pop(reference)
            events.append(self._event(worker, reference, is_begin=is_begin))
        return events

    def end(self, worker: int) -> None:
        """End an actor at once, whatever it does."""
        self._ray.kill(self._actors.pop(worker))
        self._waited = {reference: what for reference, what in self._waited.items() if what[0] != worker}

    def close(self) -> None:
        """End all actors and free their resources."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._waited.clear()

    def _event(self, worker: int, reference: Any, *, is_begin: bool) -> PoolEvent[Result]:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as error:
            reason = _last_line(error)
            return StartRefused(worker, reason) if is_begin else TaskRaised(worker, reason)
        except errors.RayError as error:
            self._actors.pop(worker)
            return WorkerLost(worker, _first_line(error))
        if not is_begin:
            return TaskReturned(worker, answer)
        return WorkerReady(worker) if answer is None else StartRefused(worker, answer)


class _Actor:
    """The object in a worker's process."""

    def __init__(self, job: Callable[[], Callable[[Any], Any]]) -> None:
        self._job = job

    def begin(self) -> str | None:
        """Load the system; return the error message if that fails."""
        try:
            self._work = self._job()
        except MdxError as error:
            return str(error)
        return None

    def run(self, task: Any) -> Any:
        """Do one task."""
        return self._work(task)


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MdxError("Ray is not installed", hint=f"run {command_for('ray')}") from error
    return ray


def _described(ray: Any, *, is_local: bool) -> Cluster:
    resources = ray.cluster_resources()
    n_nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Cluster(resources.get("CPU", 0.0), resources.get("GPU", 0.0), n_nodes, is_local)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _last_line(error: Exception) -> str:
    """Return the last line of a remote traceback, which names the error."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
