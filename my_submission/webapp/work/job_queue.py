"""The job queue: separates one song at a time, in order of arrival."""

from __future__ import annotations

import logging
import threading
from collections import deque

from my_submission.errors import MdxError
from my_submission.webapp.work.loaded_systems import LoadedSystems
from my_submission.webapp.work.separation_job import SeparationJob

logger = logging.getLogger(__name__)


class JobQueue:
    """Runs one job at a time in its own thread.

    Args:
        systems: the systems that stay loaded between jobs.
        max_seconds: longest song allowed.
        max_waiting: number of jobs that may wait.
    """

    def __init__(self, systems: LoadedSystems, *, max_seconds: float, max_waiting: int = 8) -> None:
        self._systems, self._max_seconds, self._max_waiting = systems, max_seconds, max_waiting
        self._waiting: deque[SeparationJob] = deque()
        self._running: SeparationJob | None = None
        self._is_closed = False
        self._to_prepare: tuple[str, tuple[str, ...]] | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="mdx-page", daemon=True)
        self._thread.start()

    def prepare(self, system: str, stems: tuple[str, ...]) -> None:
        """Load a system and run it once while no song waits, so that the first one is heard sooner."""
        with self._changed:
            self._to_prepare = system, stems
            self._changed.notify_all()

    def submit(self, job: SeparationJob) -> None:
        """Add a job to the queue; MdxError if the queue is full."""
        with self._changed:
            self._drop_stopped()
            if len(self._waiting) >= self._max_waiting:
                raise MdxError(
                    f"the queue is full: {self._max_waiting} songs are waiting",
                    hint="start this song again in a few minutes",
                )
            self._waiting.append(job)
            self._changed.notify_all()

    def n_ahead(self, job: SeparationJob) -> int:
        """Return the number of songs ahead of this one."""
        with self._changed:
            self._drop_stopped()
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def wait(self, job: SeparationJob, timeout_seconds: float) -> bool:
        """Wait until a job ends, and return whether it did."""
        with self._changed:
            return self._changed.wait_for(lambda: job.is_over, timeout_seconds)

    def close(self) -> None:
        """Stop all jobs and the queue."""
        with self._changed:
            self._is_closed = True
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.stop()
            self._waiting.clear()
            self._changed.notify_all()

    def _drop_stopped(self) -> None:
        """Remove stopped jobs from the queue; called with the lock held."""
        for job in [job for job in self._waiting if job.is_over]:
            self._waiting.remove(job)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.run(self._systems, max_seconds=self._max_seconds)
            with self._changed:
                self._running = None
                self._changed.notify_all()
            del job  # so that an ended job can be freed

    def _next(self) -> SeparationJob | None:
        """Return the next job; None when the queue is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed or self._to_prepare)
                if self._is_closed:
                    return None
                self._drop_stopped()
                if self._waiting:
                    self._running = self._waiting.popleft()
                    return self._running
                wanted, self._to_prepare = self._to_prepare, None
            if wanted is not None:
                self._load(*wanted)

    def _load(self, system: str, stems: tuple[str, ...]) -> None:
        try:
            self._systems.prepare(system, stems)
        except Exception as error:  # the next job tells its visitor
            logger.info("%s could not be loaded beforehand: %s", system, error)
