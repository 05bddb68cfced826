"""Visitors and their songs: a folder each, known by a token nobody can guess, gone when the visit is."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from my_submission.audio_io import check_song, folder_name, song_name
from my_submission.errors import InputError, OutputError
from my_submission.files.folders import output_error
from my_submission.files.scratch import scratch_folder
from my_submission.pictures import SongView
from my_submission.predictor import SeparationReport
from my_submission.webapp.tokens import is_same_secret, new_token
from my_submission.webapp.uploads import Upload
from terminal.names import shown

FOLDER_PREFIX = "mdx-page-"
UPLOADS_FOLDER = "uploads"
"""Files that no song has been made of yet; beside the songs' folders, so that moving one is renaming it."""

UPLOAD_FOLDER = "upload"
MAX_NAME_LETTERS = 60
"""Of a file's name, its end: file systems take 255 bytes."""

logger = logging.getLogger(__name__)


class SessionSong:
    """A song of one visitor and what became of it.

    Attributes:
        token: part of the addresses its files are served under.
        folder: everything of the song lies here.
        name: what the visitor calls it.
        path: the file that was given.
        seconds: its length, where the header tells it.
        upload: the file's place among all uploads, to be released with the song; None for a sample.
        record: what the stems were made of.
    """

    def __init__(
        self, folder: Path, name: str, path: Path, seconds: float | None, upload: Upload | None = None
    ) -> None:
        self.token = folder.name
        self.folder, self.name, self.path, self.seconds, self.upload = folder, name, path, seconds, upload
        self.report: SeparationReport | None = None
        self.view: SongView | None = None
        self.record: Mapping[str, Any] | None = None
        self.lock = threading.Lock()
        self._state = threading.Lock()
        self._n_users = 0
        self._is_given_up = False

    @property
    def is_given_up(self) -> bool:
        """Whether the visitor has left or chosen another song."""
        return self._is_given_up

    @property
    def stems(self) -> dict[str, Path]:
        """Source to its file in 32-bit float, as far as the visitor wanted it; empty before the separation."""
        view = self.view
        return {} if view is None else {track.name: track.path for track in view.tracks[1:]}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the files for as long as someone works on them.

        Raises:
            InputError: the song was given up.
        """
        with self._state:
            if self._is_given_up:
                raise InputError("this song is no longer here", where=self.name, hint="upload it again")
            self._n_users += 1
        try:
            yield
        finally:
            with self._state:
                self._n_users -= 1
                is_last = self._is_given_up and not self._n_users
            if is_last:
                self._remove()

    def give_up(self) -> None:
        """Remove all files, now or when the work on them has stopped."""
        with self._state:
            is_idle = not self._n_users and not self._is_given_up
            self._is_given_up = True
        if is_idle:
            self._remove()

    def _remove(self) -> None:
        self.report = self.view = self.record = None
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.upload is not None:
            self.upload.release()
        if self.folder.exists():
            logger.error("%s could not be removed", self.folder)


class BrowserSession:
    """One visitor's stay: at most one song at a time.

    Attributes:
        token: what the visitor's session knows it by.
        song: the song in hand.
    """

    def __init__(self, folder: Path) -> None:
        self.token = new_token()
        self.song: SessionSong | None = None
        self._folder = folder

    def take(self, upload: Upload, *, max_seconds: float) -> SessionSong:
        """Make an upload the song in hand; the one before is given up.

        Args:
            upload: taken from the store of uploads; from now on it is this visit's to release.
            max_seconds: of its audio.

        Raises:
            InputError: too long, too many channels, or no audio; nothing of it is kept.
            OutputError: the disk cannot take it.
        """
        file_name = _file_name(upload.name)
        try:
            folder = _new_folder(self._folder)
            try:
                _move(upload, folder / UPLOAD_FOLDER / file_name)
                seconds = _checked(upload.path, max_seconds=max_seconds)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        except BaseException:
            upload.release()
            raise
        self.give_up_song()
        name = shown(song_name(Path("/") / file_name))  # no folder of this machine lends its name to a mixture.wav
        self.song = SessionSong(folder, name, upload.path, seconds, upload)
        return self.song

    def take_sample(self, name: str, path: Path, *, max_seconds: float) -> SessionSong:
        """Make a song of the server's the song in hand; it is read where it is, errors as for :meth:`take`."""
        seconds = _checked(path, max_seconds=max_seconds)
        self.give_up_song()
        self.song = SessionSong(_new_folder(self._folder), name, path, seconds)
        return self.song

    def renew(self) -> SessionSong:
        """The song in hand once more, as it was given: under a new token, with nothing of what became of it.

        Raises:
            InputError: there is no song in hand.
            OutputError: the disk cannot take it.
        """
        old = self.song
        if old is None:
            raise InputError("there is no song in hand", hint="upload it again")
        folder = _new_folder(self._folder)
        path, upload = old.path, old.upload
        if upload is not None:
            path = folder / path.relative_to(old.folder)
            _move(upload, path)
            old.upload = None
        self.song = SessionSong(folder, old.name, path, old.seconds, upload)
        old.give_up()
        return self.song

    def give_up_song(self) -> None:
        """Remove the song in hand, if there is one."""
        if self.song is not None:
            self.song.give_up()
            self.song = None


class BrowserSessions:
    """All visits of a server, below one folder that is removed with it.

    The folder is locked for as long as the server lives. Those of servers that were killed are found by their open
    locks and removed when the next one starts.

    Args:
        scratch_dir: where the folder is made; the system's temporary folder when None.
        grace_seconds: how long a visitor whose connection broke may come back.

    Raises:
        OutputError: no folder can be made there.
    """

    def __init__(self, scratch_dir: Path | None = None, *, grace_seconds: float = 30.0) -> None:
        parent = Path(tempfile.gettempdir() if scratch_dir is None else scratch_dir)
        self._resources = contextlib.ExitStack()
        self.folder = self._resources.enter_context(scratch_folder(parent, prefix=FOLDER_PREFIX))
        self.uploads_folder = self.folder / UPLOADS_FOLDER
        self.uploads_folder.mkdir(mode=0o700)
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._visits: dict[str, BrowserSession] = {}
        self._leaving: dict[str, threading.Timer] = {}

    def enter(self, token: str | None = None) -> BrowserSession:
        """The visit of that token if it may still be continued, else a new one."""
        with self._lock:
            timer = self._leaving.pop(token or "", None)
            if timer is not None:
                timer.cancel()
            if token in self._visits:
                return self._visits[token]
            visit = BrowserSession(self.folder)
            self._visits[visit.token] = visit
            return visit

    def leave(self, visit: BrowserSession) -> None:
        """The visitor's connection is gone: remove everything, unless the visitor is back in time."""
        timer = threading.Timer(self._grace_seconds, self._close, (visit,))
        timer.daemon = True
        with self._lock:
            self._leaving[visit.token] = timer
        timer.start()

    def song(self, token: str) -> SessionSong | None:
        """The song of a token, as long as it is anybody's."""
        with self._lock:
            songs = [visit.song for visit in self._visits.values()]
        return next((song for song in songs if song is not None and is_same_secret(song.token, token)), None)

    def close(self) -> None:
        """Remove everything of everyone."""
        with self._lock:
            timers, visits = list(self._leaving.values()), list(self._visits.values())
            self._leaving.clear()
            self._visits.clear()
        for timer in timers:
            timer.cancel()
        for visit in visits:
            visit.give_up_song()
        self._resources.close()

    def _close(self, visit: BrowserSession) -> None:
        with self._lock:
            if self._leaving.pop(visit.token, None) is None:
                return
            self._visits.pop(visit.token, None)
        visit.give_up_song()


def _new_folder(parent: Path) -> Path:
    folder = parent / new_token()
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise output_error(error, parent) from error
    return folder


def _file_name(given: str) -> str:
    """The end of a file's name, as visitors' machines call it: no folders, nothing a file system refuses."""
    letters = (letter if letter.isprintable() else "_" for letter in Path(given.replace("\\", "/")).name)
    return folder_name("".join(letters)[-MAX_NAME_LETTERS:])


def _move(upload: Upload, path: Path) -> None:
    """Move an upload's file into a folder that does not exist yet."""
    try:
        path.parent.mkdir()
        upload.path.replace(path)
    except OSError as error:
        raise OutputError(
            f"the upload cannot be kept ({error.strerror})", hint="rename the file, or try again later"
        ) from error
    upload.path = path


def _checked(path: Path, *, max_seconds: float) -> float | None:
    """What the header tells of a song's length; errors name the file without its place on the server."""
    try:
        return check_song(path, max_seconds=max_seconds)
    except InputError as error:
        raise InputError(error.problem, where=path.name, hint=error.hint) from error
