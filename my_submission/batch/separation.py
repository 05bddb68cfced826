"""The work of one worker: load the predictor once, then fetch, separate and publish song after song."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from my_submission.audio_io import InputFiles, refuse_own_folder
from my_submission.audio_io.writing.stem_sets import read_record, settle
from my_submission.batch.earlier_results import (
    HIDDEN_FOLDER,
    SCRATCH_PREFIX,
    content_of,
    earlier_result,
    forget_failure,
    note_failure,
    publish,
    renew_stamp,
)
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.recipe import CatalogueRecipe
from my_submission.batch.remote_paths import RemotePath, Storage
from my_submission.errors import InputError, MdxError, OutputError
from my_submission.files.scratch import scratch_folder
from my_submission.predictor import Predictor, time_limit_seconds
from my_submission.predictor.peak_memory import peak_memory_bytes
from my_submission.predictor.separation_record import RecordRequest


@dataclass(frozen=True)
class SeparationJob:
    """Everything that a worker needs before its first song; calling it loads the system.

    Attributes:
        recipe: system and options.
        output: URL of the folder of all stems.
        storage: access to songs and output.
        scratch_dir: folder for copies of remote songs; the system's temporary folder by default.
        retries_failed: whether songs that were found broken before are tried again.
    """

    recipe: CatalogueRecipe
    output: str
    storage: Storage
    scratch_dir: str | None = None
    retries_failed: bool = False

    def __call__(self) -> Callable[[CatalogueSong], SongOutcome]:
        """Return a function that separates one song."""
        return _SongSeparator(self, self.recipe.open())


class _SongSeparator:
    def __init__(self, job: SeparationJob, predictor: Predictor) -> None:
        self._job = job
        self._predictor = predictor
        self._output = job.storage.place(job.output)

    def __call__(self, song: CatalogueSong) -> SongOutcome:
        """Separate a song unless it is done; an :class:`MdxError` is returned as a failed outcome."""
        began = time.monotonic()
        facts: dict[str, Any]
        try:
            facts = self._song(song)
        except MdxError as error:
            facts = {"status": "failed", "error": str(error), "is_final": isinstance(error, InputError)}
        return SongOutcome(
            song,
            **facts,
            seconds=time.monotonic() - began,
            peak_memory_bytes=peak_memory_bytes(),
            node=platform.node(),
        )

    def _song(self, song: CatalogueSong) -> dict[str, Any]:
        place = self._job.storage.place(song.url)
        folder = self._output.child(song.name)
        if place.is_local and folder.is_local:
            refuse_own_folder(place.local, folder.local)
            names = self._job.recipe.file_names(song.name, self._predictor.stems)
            InputFiles([place.local]).refuse_as_stems(folder.local, names.files.values())
        with scratch_folder(self._scratch_base(), prefix=SCRATCH_PREFIX) as scratch:
            state = place.state()
            path = self._fetched(place, scratch)
            content = content_of(song, state, path)
            if folder.is_local:
                settle(folder.local)
            known = earlier_result(song, self._output, self._job.recipe, state)
            if known.record is not None and known.record["input"]["sha256"] == content["sha256"]:
                return {"status": "reused", "record": renew_stamp(folder, known.record, content)}
            if known.failure is not None:
                is_same = known.failure["input"]["sha256"] == content["sha256"]
                if is_same and not self._job.retries_failed:
                    raise InputError(known.failure["error"])
            try:
                record = self._separate(song, path, scratch / "stems", content)
            except InputError as error:
                note_failure(self._output, song, self._job.recipe, content, str(error))
                raise
            publish(folder, scratch / "stems", record)
            if known.failure is not None:
                forget_failure(self._output, song)
        return {"status": "done", "record": record}

    def _scratch_base(self) -> Path:
        """Return the parent of scratch folders: below a local output, where a rename publishes, else local."""
        if self._output.is_local:
            return self._output.child(f"{HIDDEN_FOLDER}/scratch").local
        return Path(self._job.scratch_dir or tempfile.gettempdir())

    def _fetched(self, place: RemotePath, scratch: Path) -> Path:
        """Return the song as a local file under its own name, because its suffix may select the decoder."""
        if place.is_local:
            return place.local
        path = scratch / "song" / (place.file_name or "song")
        path.parent.mkdir()
        place.download(path)
        return path

    def _separate(self, song: CatalogueSong, path: Path, staging: Path, content: dict[str, Any]) -> dict[str, Any]:
        recipe = self._job.recipe
        self._predictor.separate_file(
            path,
            staging,
            audio_format=recipe.audio_format,
            budget_seconds=time_limit_seconds(
                path,
                budget_seconds=recipe.budget_seconds,
                budget_factor=recipe.budget_factor,
                reading=recipe.reading,
            ),
            refine=recipe.refine,
            reading=recipe.reading,
            record=RecordRequest(song=song.name, settings=recipe.settings, content=content),
            file_names=recipe.file_names(song.name, self._predictor.stems),
        )
        record = read_record(staging)
        if record is None:
            raise OutputError("the stems are not as they were written", where=staging, hint="try again")
        return record
