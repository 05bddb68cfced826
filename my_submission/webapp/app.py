"""State shared by all visitors: settings, weights, the job queue, uploads and songs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from weakref import WeakValueDictionary

from my_submission.audio_io import SongInput, find_songs
from my_submission.errors import MdxError
from my_submission.systems import DEFAULT_SYSTEM, SystemRecipe, find_system, systems_of
from my_submission.systems.loaded_system import TOGETHER_BYTES
from my_submission.systems.mdx_net import FAMILY
from my_submission.webapp.serving.uploads import UploadStore
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.songs.expected_song import Arrival, ExpectedSong
from my_submission.webapp.songs.song import Song
from my_submission.webapp.songs.song_library import SongLibrary
from my_submission.webapp.work.job_queue import JobQueue
from my_submission.webapp.work.loaded_systems import LoadedSystems, LoadPredictor
from my_submission.webapp.work.separation_job import SeparationJob, SeparationRequest
from my_submission.weights import ModelsFolder
from terminal.program import program_name

logger = logging.getLogger(__name__)


class App:
    """State of one server, shared by all sessions.

    Args:
        settings: settings of the server.
        load: loads the predictor of a system by name, for some stems.
        default_system: name of the system that makes previews, and stays loaded.

    Raises:
        MdxError: the models folder has no manifest, samples are missing, or no temporary folder can be created.
    """

    def __init__(self, settings: PageSettings, load: LoadPredictor, *, default_system: str = DEFAULT_SYSTEM) -> None:
        self.settings = settings
        self.models = ModelsFolder(settings.models_dir)
        self.samples = find_samples(settings.sample_inputs)
        self.songs = SongLibrary(
            settings.scratch_dir, keep_seconds=settings.keep_seconds, max_seconds=settings.max_song_seconds
        )
        self.uploads = UploadStore(self.songs.uploads_folder, settings.upload_limits)
        self._default_system = default_system
        systems = LoadedSystems(load, default=default_system, is_small=self._is_small)
        self.queue = JobQueue(systems, max_seconds=settings.max_song_seconds, max_waiting=settings.max_waiting)
        self._expected: WeakValueDictionary[str, ExpectedSong] = WeakValueDictionary()

    def prepare(self) -> None:
        """Load the default system, so that the first song starts sooner."""
        default = find_system(self._default_system)
        if not self.models.missing(default.artefacts):
            self.queue.prepare(default.name, default.stems)

    def expect(self, page: str, song: ExpectedSong | None) -> None:
        """Set what happens to the next upload of a page; None: nothing, or not known yet.

        Args:
            page: id of the page's session.
            song: only the page keeps it alive; it ends with the page.
        """
        self._expected.pop(page, None)
        if song is not None:
            self._expected[page] = song

    def receive(self, page: str, file_id: str) -> None:
        """Open and separate the song that a page expects, if it expects one; called when its upload is complete."""
        expected = self._expected.get(page)
        if expected is not None and expected.arrival is None:
            visit = expected.visit
            self.open(expected, lambda: self.songs.add(self.uploads.take(page, file_id), visit=visit))

    def open(self, expected: ExpectedSong, add: Callable[[], Song]) -> None:
        """Open a song and separate it as expected; ``expected.arrival`` tells the outcome."""
        try:
            song = add()
        except MdxError as error:
            expected.arrival = Arrival("", str(error))
            return
        problem = expected.remark
        if expected.request is not None:
            try:
                self.separate(song, expected.request)
            except MdxError as error:
                problem = str(error)
        expected.arrival = Arrival(song.token, problem)

    def separate(self, song: Song, request: SeparationRequest) -> SeparationJob:
        """Put a song into the queue; its earlier result stays until the new one is complete.

        Raises:
            MdxError: the queue is full, or the song is being separated already.
        """
        if song.job is not None and not song.job.is_over:
            raise MdxError("this song is already being separated", hint="stop the separation first")
        job = SeparationJob(song.files, request)
        self.queue.submit(job)
        song.job = job
        return job

    def systems(self) -> list[tuple[SystemRecipe, bool]]:
        """Return the systems and whether their weights are present, present ones first.

        Of the public graphs only those that are present are returned, because they are many.
        """
        rows = [(system, not self.models.missing(system.artefacts)) for system in systems_of(self.models).values()]
        shown = [(system, is_ready) for system, is_ready in rows if is_ready or not system.name.startswith(FAMILY)]
        return sorted(shown, key=lambda row: not row[1])

    def _is_small(self, name: str) -> bool:
        """Return whether a system loads quickly, judged by the size of its weights; True if they are missing."""
        system = systems_of(self.models).get(name)
        if system is None or self.models.missing(system.artefacts):
            return True
        return sum(self.models.path(one).stat().st_size for one in system.artefacts) <= TOGETHER_BYTES

    def close(self) -> None:
        """Stop the queue and delete all songs."""
        self.queue.close()
        self.songs.close()


_apps: list[App] = []
"""The application of this process, because Streamlit runs its script without arguments for every session and click."""


def open_app(settings: PageSettings, load: LoadPredictor, *, default_system: str = DEFAULT_SYSTEM) -> App:
    """Create the application that :func:`current_app` returns from now on."""
    _apps[:] = [App(settings, load, default_system=default_system)]
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
