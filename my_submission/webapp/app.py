"""State shared by all browser sessions: settings, weights, the job queue, uploads and the sessions themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from my_submission.audio_io import SongInput, find_songs
from my_submission.errors import MdxError
from my_submission.systems import SYSTEMS, SystemRecipe
from my_submission.webapp.serving.uploads import UploadStore
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.songs.browser_sessions import BrowserSessions
from my_submission.webapp.work.job_queue import JobQueue, LoadPredictor
from my_submission.weights import ModelsFolder
from terminal.program import program_name

logger = logging.getLogger(__name__)


class App:
    """The application behind one server.

    Args:
        load: loads the predictor of a system by name, for some stems.

    Raises:
        MdxError: the models folder has no manifest, samples are missing, or no temporary folder can be created.
    """

    def __init__(self, settings: PageSettings, load: LoadPredictor) -> None:
        self.settings = settings
        self.models = ModelsFolder(settings.models_dir)
        self.samples = find_samples(settings.sample_inputs)
        self.sessions = BrowserSessions(settings.scratch_dir, grace_seconds=settings.grace_seconds)
        self.uploads = UploadStore(self.sessions.uploads_folder, settings.upload_limits)
        self.queue = JobQueue(load, max_seconds=settings.max_song_seconds, max_waiting=settings.max_waiting)

    def systems(self) -> list[tuple[SystemRecipe, bool]]:
        """Return every system and whether its weights are present, present ones first."""
        rows = [(system, not self.models.missing(system.artefacts)) for system in SYSTEMS.values()]
        return sorted(rows, key=lambda row: not row[1])

    def close(self) -> None:
        """Stop the queue and delete the files of all sessions."""
        self.queue.close()
        self.sessions.close()


_apps: list[App] = []
"""The application of this process, because Streamlit runs its script without arguments for every session and click."""


def open_app(settings: PageSettings, load: LoadPredictor) -> App:
    """Create the application that :func:`current_app` returns from now on."""
    _apps[:] = [App(settings, load)]
    return _apps[0]


def current_app() -> App:
    """Return the application of this process; MdxError if the page was not started by its command."""
    if not _apps:
        raise MdxError("the page has no settings", hint=f"start it with: {program_name()} web")
    return _apps[0]


def find_samples(inputs: Sequence[Path]) -> list[SongInput]:
    """Return the sample songs: those given, or the MUSDB18 excerpt of the package stempeg if it is installed."""
    if inputs:
        return find_songs(inputs)
    package = find_spec("stempeg")
    folders = () if package is None else package.submodule_search_locations or ()
    data = [Path(folder) / "data" for folder in folders]
    return [song for folder in data if any(folder.glob("*.stem.mp4")) for song in find_songs([folder])]
