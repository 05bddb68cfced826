"""What all visitors share: settings, weights, the queue, and the list of who is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from my_submission.audio_io import SongInput, find_songs
from my_submission.errors import MdxError
from my_submission.predictor import Predictor
from my_submission.systems import SYSTEMS, SystemRecipe
from my_submission.webapp.browser_sessions import BrowserSessions
from my_submission.webapp.job_queue import JobQueue
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.uploads import UploadStore
from my_submission.weights import ModelsFolder

logger = logging.getLogger(__name__)


class App:
    """One server's page.

    Args:
        settings: of the server.
        load: from a system's name to its predictor.

    Raises:
        MdxError: the models folder has no manifest, samples are missing, or no temporary folder can be made.
    """

    def __init__(self, settings: PageSettings, load: Callable[[str], Predictor]) -> None:
        self.settings = settings
        self.models = ModelsFolder(settings.models_dir)
        self.samples = find_samples(settings.sample_inputs)
        self.visits = BrowserSessions(settings.scratch_dir, grace_seconds=settings.grace_seconds)
        self.uploads = UploadStore(self.visits.uploads_folder, settings.upload_limits)
        self.workshop = JobQueue(load, max_seconds=settings.max_song_seconds, max_waiting=settings.max_waiting)

    def systems(self) -> list[tuple[SystemRecipe, bool]]:
        """Every system, and whether its weights are here; those that are ready come first."""
        rows = [(system, not self.models.missing(system.artefacts)) for system in SYSTEMS.values()]
        return sorted(rows, key=lambda row: not row[1])

    def close(self) -> None:
        """Stop the queue and remove everything of every visitor."""
        self.workshop.close()
        self.visits.close()


_studios: list[App] = []
"""The studio of this process: Streamlit runs its script anew for every visitor and click, with no arguments."""


def open_studio(settings: PageSettings, load: Callable[[str], Predictor]) -> App:
    """Make the studio that :func:`studio` returns from now on."""
    _studios[:] = [App(settings, load)]
    return _studios[0]


def studio() -> App:
    """The studio of this process.

    Raises:
        MdxError: the page was started by other means than its command.
    """
    if not _studios:
        raise MdxError("the page has no settings", hint="start it with: python -m my_submission web")
    return _studios[0]


def find_samples(inputs: Sequence[Path]) -> list[SongInput]:
    """Songs a visitor may choose: those given, or the MUSDB18 excerpt of the package stempeg where it is installed."""
    if inputs:
        return find_songs(inputs)
    package = find_spec("stempeg")
    folders = () if package is None else package.submodule_search_locations or ()
    data = [Path(folder) / "data" for folder in folders]
    return [song for folder in data if any(folder.glob("*.stem.mp4")) for song in find_songs([folder])]
