"""The record of a separation, gathered while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from my_submission.audio_io.writing.stem_sets import SetFile
from my_submission.predictor.run_facts import run_facts, versions
from my_submission.predictor.separation_record import RecordRequest, StemRecipe, content_of, separation_record
from my_submission.reports import SeparationReport
from my_submission.systems import LoadedSystem


class Recorder:
    """Hashes the song in a thread beside the work, and makes the record after the stems are complete.

    Args:
        system: the system that separates.
        recipe: recipe of the stems.
        request: the caller's part of the record.
        path: the song.
        directory: folder of the stems.
        report: returns the report of the separation up to now.
    """

    def __init__(
        self,
        system: LoadedSystem,
        recipe: StemRecipe,
        request: RecordRequest,
        path: Path,
        directory: Path,
        *,
        report: Callable[[], SeparationReport],
    ) -> None:
        self._system, self._recipe, self._request, self._report = system, recipe, request, report
        self._song = request.song or directory.resolve().name
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mdx-record")
        self._content = self._pool.submit(self._gather, request.original or path)

    def record(self, files: Mapping[str, SetFile]) -> dict[str, Any]:
        """Return the record of complete stems.

        Raises:
            InputError: the song could not be read again.
        """
        return separation_record(
            song=self._song,
            recipe=self._recipe,
            content=self._content.result(),
            files=files,
            made_with=run_facts(self._system, self._recipe.settings),
            report=self._report().as_json(),
        )

    def close(self) -> None:
        """Stop the thread without waiting for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _gather(self, path: Path) -> dict[str, Any]:
        versions()  # looked up here once, which takes no time after the stems are complete
        return dict(self._request.content or content_of(path))
