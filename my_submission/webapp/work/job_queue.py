"""The job queue: separates one song at a time, in order of arrival, with one loaded system."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from my_submission.audio_io import WAV_FLOAT, decode_to_wav, interleave
from my_submission.audio_io.writing.stem_sets import read_record
from my_submission.errors import InputError, MdxError
from my_submission.events import Finished
from my_submission.pictures import view_song
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.separation_record import RecordRequest
from my_submission.progress import Progress, ProgressMeter
from my_submission.webapp.songs.browser_sessions import SessionSong

State = Literal["waiting", "running", "done", "stopped", "failed"]

LoadPredictor = Callable[[str, tuple[str, ...]], Predictor]
"""Loads the predictor of a system by name, for some stems."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeparationRequest:
    """A request to separate a song.

    Attributes:
        system: name of the system.
        stems: names of the stems to make.
        budget_seconds: time limit of the separation, without waiting time; None for no limit.
    """

    system: str
    stems: tuple[str, ...]
    budget_seconds: float | None = None


class _StoppedError(Exception):
    """The job was stopped from the page."""


class QueuedJob:
    """A song in the queue; ``error`` says why it failed."""

    def __init__(self, song: SessionSong, request: SeparationRequest) -> None:
        self.song, self.request = song, request
        self.state: State = "waiting"
        self.progress = Progress("Waiting")
        self.error = ""
        self._stop = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.state in {"done", "stopped", "failed"}

    def stop(self) -> None:
        """Request an end after the current chunk."""
        self._stop.set()

    def check(self) -> None:
        """Raise _StoppedError if a stop was requested or the song was discarded; called between chunks."""
        if self._stop.is_set() or self.song.is_discarded:
            raise _StoppedError


class JobQueue:
    """Separates one song at a time in its own thread; a system stays loaded until another one is requested.

    Args:
        load: loads the predictor of a system by name, for some stems.
        max_seconds: longest song allowed.
        max_waiting: number of jobs that may wait.
    """

    def __init__(
        self,
        load: LoadPredictor,
        *,
        max_seconds: float,
        max_waiting: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._max_seconds, self._max_waiting, self._clock = load, max_seconds, max_waiting, clock
        self._loaded: tuple[SeparationRequest, Predictor] | None = None
        self._waiting: deque[QueuedJob] = deque()
        self._running: QueuedJob | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="mdx-page", daemon=True)
        self._thread.start()

    def submit(self, song: SessionSong, request: SeparationRequest) -> QueuedJob:
        """Add a song to the queue; MdxError if the queue is full."""
        with self._changed:
            self._drop_stopped()
            if len(self._waiting) >= self._max_waiting:
                raise MdxError(f"{len(self._waiting)} songs are waiting already", hint="try again in a few minutes")
            job = QueuedJob(song, request)
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def n_ahead(self, job: QueuedJob) -> int:
        """Return the number of songs before this one."""
        with self._changed:
            self._drop_stopped()
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def wait(self, job: QueuedJob, timeout_seconds: float) -> bool:
        """Wait until a job ends, and return whether it did."""
        with self._changed:
            return self._changed.wait_for(lambda: job.is_over, timeout_seconds)

    def close(self) -> None:
        """Stop all jobs and the queue."""
        with self._changed:
            self._is_closed = True
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.stop()
            self._changed.notify_all()

    def _drop_stopped(self) -> None:
        """Remove stopped jobs from the queue; called with the lock held."""
        for job in list(self._waiting):
            try:
                job.check()
            except _StoppedError:
                job.state = "stopped"
                self._waiting.remove(job)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            try:
                state, error = self._outcome(job)
            finally:
                with self._changed:
                    self._running = None
            with self._changed:
                job.error, job.state = error, state
                self._changed.notify_all()

    def _next(self) -> QueuedJob | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return None
            self._running = self._waiting.popleft()
            self._running.state = "running"
            return self._running

    def _outcome(self, job: QueuedJob) -> tuple[State, str]:
        try:
            job.check()
            with job.song.in_use():
                self._do(job)
        except _StoppedError:
            return "stopped", ""
        except InputError as error:
            return "failed", str(InputError(error.problem, where=job.song.name, hint=error.hint))
        except MdxError as error:
            return "failed", str(error)
        except Exception:
            logger.exception("%s: internal error during the separation", job.song.name)
            return "failed", "Internal error; see the server's log."
        return "done", ""

    def _do(self, job: QueuedJob) -> None:
        predictor = self._predictor(job)
        song, began = job.song, self._clock()
        mixture = song.folder / "mixture.wav"

        def on_progress(seconds: float) -> None:
            job.check()
            job.progress = replace(job.progress, part_seconds=seconds, song_seconds=song.seconds or 0.0)

        job.progress = Progress("Reading")
        notes = decode_to_wav(song.path, mixture, max_seconds=self._max_seconds, on_progress=on_progress)
        report = self._separate(job, predictor, self._clock() - began)
        report = replace(report, notes=(*notes, *report.notes), input_notes=notes)
        job.check()
        job.progress = Progress("Measuring the stems", share=1.0, notes=job.progress.notes)
        record = read_record(song.folder / "stems")
        view = view_song(report, mixture=mixture)
        interleave({track.name: track.path for track in view.tracks[1:]}, song.folder / "mixer.wav")
        song.report, song.view, song.record = report, view, record

    def _predictor(self, job: QueuedJob) -> Predictor:
        wanted = replace(job.request, budget_seconds=None)
        if self._loaded is None or self._loaded[0] != wanted:
            job.progress = Progress(f"Loading {wanted.system}")
            self._loaded = None  # two systems at once may not fit into memory
            self._loaded = (wanted, self._load(wanted.system, wanted.stems))
        return self._loaded[1]

    def _separate(self, job: QueuedJob, predictor: Predictor, spent_seconds: float) -> SeparationReport:
        budget = job.request.budget_seconds
        meter = ProgressMeter(self._clock, None if budget is None else max(0.0, budget - spent_seconds))
        events = predictor.stream_file(
            job.song.folder / "mixture.wav",
            job.song.folder / "stems",
            audio_format=WAV_FLOAT,
            budget_seconds=budget,
            spent_seconds=spent_seconds,
            record=RecordRequest(song=job.song.name, original=job.song.path),
        )
        with contextlib.closing(events):
            for event in events:
                job.check()
                if isinstance(event, Finished):
                    report = event.result
                else:
                    job.progress = meter.take(event)
        return report
