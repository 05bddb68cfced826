"""One separation of a song: its state for the page, and the work from the input to the result."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from my_submission.audio_io import WAV_FLOAT, Mixture
from my_submission.audio_io.writing.stem_sets import read_record
from my_submission.errors import InputError, MdxError, OutputError, UnknownNameError
from my_submission.events import Finished, StretchDone
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.separation_record import RecordRequest
from my_submission.progress import WRITING, Progress, ProgressMeter
from my_submission.reports import NOT_SEPARATED
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES, Waveform
from my_submission.webapp.work.loaded_systems import LoadedSystems
from my_submission.webapp.work.song_files import SongFiles
from my_submission.webapp.work.song_result import SongResult
from my_submission.webapp.work.tracks import MixtureTrack

State = Literal["waiting", "running", "stopping", "done", "stopped", "failed"]

PREVIEW_SHARE = 0.1
"""Share of the progress bar that the preview takes."""

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
    """The job was stopped, or its song was deleted."""


class SeparationJob:
    """One separation of a song.

    Args:
        files: the song; its ``result`` is replaced.
        request: the system, its stems and the time limit.
        clock: monotonic seconds.

    Attributes:
        text: the current activity, for display.
        share: share of the work done, 0 … 1.
        left_seconds: estimated remaining time; None while it is unknown.
        message: an error or remark with its cure; empty if there is none.
        notes: remarks on the work so far.
    """

    def __init__(
        self, files: SongFiles, request: SeparationRequest, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.files, self.request = files, request
        self.text, self.share, self.message = "Waiting", 0.0, ""
        self.left_seconds: float | None = None
        self.notes: tuple[str, ...] = ()
        self._clock = clock
        self._stop = threading.Event()
        self._state: State = "waiting"
        self._span = (0.0, 1.0)
        self._is_separated = True

    @property
    def state(self) -> State:
        """State of the job; a stopped one is "stopping" until its current chunk is done."""
        if self._state == "waiting" and self._is_to_stop:
            return "stopped"
        return "stopping" if self._state == "running" and self._is_to_stop else self._state

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.state in {"done", "stopped", "failed"}

    def stop(self) -> None:
        """Request an end after the current chunk."""
        self._stop.set()

    def run(self, systems: LoadedSystems, *, max_seconds: float) -> None:
        """Separate the song; errors are reported in ``message``.

        Args:
            systems: the loaded systems.
            max_seconds: longest song allowed.
        """
        self._state = "running"
        self._state, self.message = self._outcome(systems, max_seconds)
        self.left_seconds = None

    @property
    def _is_to_stop(self) -> bool:
        return self._stop.is_set() or self.files.is_discarded

    def _check(self, _: Waveform | None = None) -> None:
        """Raise _StoppedError if the job is to stop; called between chunks and blocks."""
        if self._is_to_stop:
            raise _StoppedError

    def _outcome(self, systems: LoadedSystems, max_seconds: float) -> tuple[State, str]:
        try:
            with self.files.in_use():
                self._work(systems, max_seconds)
        except Exception as error:
            if isinstance(error, _StoppedError) or self.files.is_discarded:
                return "stopped", ""
            return "failed", self._explained(error)
        if self._is_separated:
            return "done", ""
        cure = "Raise or remove the time limit, or choose a faster system."
        return "done", f"{NOT_SEPARATED}. {cure}"

    def _explained(self, error: Exception) -> str:
        """Return an error message for the visitor; if the input is wrong, without paths on the server."""
        if isinstance(error, InputError):
            return str(InputError(error.problem, where=self.files.name, hint=error.hint))
        if isinstance(error, OutputError):
            logger.error("%s: %s", self.files.name, error)
            return f"The server cannot store the stems: {error.problem}. Try again later."
        if isinstance(error, MdxError):
            return str(error)
        logger.error("%s: internal error during the separation", self.files.name, exc_info=error)
        return "Internal error; see the server's log."

    def _work(self, systems: LoadedSystems, max_seconds: float) -> None:
        began = self._clock()
        self._check()
        self.text = "Reading the song"
        mixture = self.files.decoded(max_seconds=max_seconds, on_block=self._check)
        self.notes = mixture.mixture.notes
        request = self.request
        is_unlimited = request.budget_seconds is None
        if is_unlimited and systems.needs_preview(request.system, request.stems):
            self._preview(systems, mixture, began)
        predictor = self._loaded(systems, request.system)
        is_live = predictor.is_streamable and is_unlimited
        self._separate(predictor, mixture, began, is_live=is_live)

    def _loaded(self, systems: LoadedSystems, system: str) -> Predictor:
        self._check()
        if not systems.is_loaded(system, self.request.stems):
            self.text = f"Loading {system}"
        return systems.get(system, self.request.stems)

    def _preview(self, systems: LoadedSystems, mixture: MixtureTrack, began: float) -> None:
        """Show the result of the default system first, if it has these stems; a note says if it cannot be made."""
        try:
            predictor = self._loaded(systems, systems.default)
        except UnknownNameError:
            return
        except MdxError as error:
            self.notes += (f"there is no preview: {error}",)
            return
        self._span = (0.0, PREVIEW_SHARE)
        self._separate(predictor, mixture, began, is_live=predictor.is_streamable, is_preview=True)
        self._span = (PREVIEW_SHARE, 1.0)

    def _separate(
        self, predictor: Predictor, mixture: MixtureTrack, began: float, *, is_live: bool, is_preview: bool = False
    ) -> None:
        files = self.files
        version, folder = files.next_version()
        result = SongResult(
            version,
            folder,
            mixture,
            system=predictor.system.recipe.name,
            stems=predictor.stems,
            is_preview=is_preview,
            is_live=is_live,
            cutoffs_hz=predictor.system.cutoffs_hz,
        )
        try:
            if not self._can_be_heard():
                files.show(result)
            report = self._stems(predictor, result, began, is_preview=is_preview)
            result.complete(report, read_record(result.stems_folder))
        except BaseException:
            self._keep_part(result)
            raise
        self._is_separated = report.is_separated
        self.notes += tuple(text for text in report.warnings() if text not in (NOT_SEPARATED, *self.notes))
        if report.is_separated or not self._can_be_heard():
            files.show(result)
        else:
            result.discard()  # an earlier separation is better than mere shares of the mixture

    def _can_be_heard(self) -> bool:
        """Whether a result with stems is shown."""
        shown = self.files.result
        return shown is not None and shown.ready_samples > 0 and shown.is_separated

    def _keep_part(self, result: SongResult) -> None:
        """Keep what was separated before the end, if it is the only result."""
        if self.files.is_discarded or self.files.result is not result:
            result.discard()
            return
        self.text = "Saving the separated part"
        try:
            result.keep_part(self.files.path)
        except MdxError as error:
            self.notes += (f"the separated part was lost: {error}",)

    def _stems(self, predictor: Predictor, result: SongResult, began: float, *, is_preview: bool) -> SeparationReport:
        """Separate the song into ``result``, and return the report."""
        files, budget = self.files, self.request.budget_seconds
        spent_seconds = self._clock() - began
        meter = ProgressMeter(self._clock, None if budget is None else max(0.0, budget - spent_seconds))
        notes = self.notes
        events = predictor.stream_file(
            files.path,
            result.stems_folder,
            audio_format=WAV_FLOAT,
            budget_seconds=budget,
            spent_seconds=spent_seconds,
            record=RecordRequest(song=files.name),
            emit_stretches=True,
            mixture=self._decoded_for(predictor),
        )
        with contextlib.closing(events):
            for event in events:
                self._check()
                if isinstance(event, Finished):
                    report = event.result
                    continue
                if isinstance(event, StretchDone):
                    result.append(event)
                progress = meter.take(event)
                self.notes = (*notes, *(note for note in progress.notes if note not in (NOT_SEPARATED, *notes)))
                self.text = "Separating a preview" if is_preview else _activity(progress, is_live=result.is_live)
                start, stop = self._span
                self.share = start + (stop - start) * progress.share
                self.left_seconds = None if is_preview else progress.left_seconds
        return report

    def _decoded_for(self, predictor: Predictor) -> Mixture | None:
        """Return the decoded song if the system can use it as it is.

        With a time limit the song is decoded again, because the reading time predicts the writing time.
        """
        track = self.files.mixture
        if track is None or self.request.budget_seconds is not None:
            return None
        mixture = track.mixture
        return mixture if predictor.system.recipe.working_rate(mixture.source_rate) == mixture.rate else None


def _activity(progress: Progress, *, is_live: bool) -> str:
    """Return the current activity, for display; live work names no single stem."""
    if is_live:
        return "Separating"
    if progress.part == WRITING:
        return "Writing the stems"
    part = progress.part.partition(": ")[2]
    return f"Separating {part}" if part in {*MUSIC_SOURCES, *CINEMA_SOURCES} else "Separating"
