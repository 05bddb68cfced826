"""Browser sessions and their songs; each song has a folder with a secret name, deleted when the session ends."""

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
from my_submission.webapp.serving.uploads import Upload
from my_submission.webapp.tokens import is_same_secret, new_token
from terminal.names import shown

FOLDER_PREFIX = "mdx-page-"
UPLOADS_FOLDER = "uploads"
"""Folder of uploads that are not songs yet, beside the songs' folders so that a file is moved by renaming."""

UPLOAD_FOLDER = "upload"
MAX_NAME_LETTERS = 60
"""Characters kept of a file name, from its end; file systems allow 255 bytes."""

logger = logging.getLogger(__name__)


class SessionSong:
    """A song of one browser session and the result of its separation.

    Attributes:
        token: secret part of the URLs of its files.
        seconds: length from the header, if it has one.
        upload: the upload to release with the song; None for a sample.
        record: contents of the stems' separation.json.
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
        self._is_discarded = False

    @property
    def is_discarded(self) -> bool:
        """Whether the session ended or chose another song."""
        return self._is_discarded

    @property
    def stems(self) -> dict[str, Path]:
        """Source to its file in 32-bit float, for the requested stems; empty before the separation."""
        view = self.view
        return {} if view is None else {track.name: track.path for track in view.tracks[1:]}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the files during the body of a ``with``; InputError if the song was discarded."""
        with self._state:
            if self._is_discarded:
                raise InputError("this song was deleted", where=self.name, hint="upload it again")
            self._n_users += 1
        try:
            yield
        finally:
            with self._state:
                self._n_users -= 1
                is_last = self._is_discarded and not self._n_users
            if is_last:
                self._remove()

    def discard(self) -> None:
        """Delete all files, now or when they are no longer in use."""
        with self._state:
            is_idle = not self._n_users and not self._is_discarded
            self._is_discarded = True
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
    """One browser session, with at most one song at a time."""

    def __init__(self, folder: Path) -> None:
        self.token = new_token()
        self.song: SessionSong | None = None
        self._folder = folder

    def take(self, upload: Upload, *, max_seconds: float) -> SessionSong:
        """Make an upload the current song and discard the previous one.

        Args:
            upload: an upload taken from the store; this session releases it.
            max_seconds: longest audio allowed.

        Raises:
            InputError: the file is too long, has too many channels or is not audio; it is deleted.
            OutputError: the disk is full or not writable.
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
        self.discard_song()
        name = shown(song_name(Path("/") / file_name))  # a mixture.wav is not named after a folder of the server
        self.song = SessionSong(folder, name, upload.path, seconds, upload)
        return self.song

    def take_sample(self, name: str, path: Path, *, max_seconds: float) -> SessionSong:
        """Make a sample the current song, read in place; errors as for :meth:`take`."""
        seconds = _checked(path, max_seconds=max_seconds)
        self.discard_song()
        self.song = SessionSong(_new_folder(self._folder), name, path, seconds)
        return self.song

    def renew(self) -> SessionSong:
        """Return the current song under a new token and without results, to separate it again.

        Raises:
            InputError: there is no current song.
            OutputError: the disk is full or not writable.
        """
        old = self.song
        if old is None:
            raise InputError("this page has no song", hint="upload it again")
        folder = _new_folder(self._folder)
        path, upload = old.path, old.upload
        if upload is not None:
            path = folder / path.relative_to(old.folder)
            _move(upload, path)
            old.upload = None
        self.song = SessionSong(folder, old.name, path, old.seconds, upload)
        old.discard()
        return self.song

    def discard_song(self) -> None:
        """Discard the current song, if there is one."""
        if self.song is not None:
            self.song.discard()
            self.song = None


class BrowserSessions:
    """All browser sessions of a server, in one folder that is deleted when the server ends.

    The server holds a lock on the folder. Folders of killed servers have no lock holder and are deleted when the next
    server starts.

    Args:
        scratch_dir: parent of the folder; by default the system's temporary folder.
        grace_seconds: time to reconnect after a lost connection.

    Raises:
        OutputError: the folder cannot be created.
    """

    def __init__(self, scratch_dir: Path | None = None, *, grace_seconds: float = 30.0) -> None:
        parent = Path(tempfile.gettempdir() if scratch_dir is None else scratch_dir)
        self._resources = contextlib.ExitStack()
        self.folder = self._resources.enter_context(scratch_folder(parent, prefix=FOLDER_PREFIX))
        self.uploads_folder = self.folder / UPLOADS_FOLDER
        self.uploads_folder.mkdir(mode=0o700)
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._sessions: dict[str, BrowserSession] = {}
        self._leaving: dict[str, threading.Timer] = {}

    def enter(self, token: str | None = None) -> BrowserSession:
        """Return the session with that token if it has not ended, else a new one."""
        with self._lock:
            timer = self._leaving.pop(token or "", None)
            if timer is not None:
                timer.cancel()
            if token in self._sessions:
                return self._sessions[token]
            session = BrowserSession(self.folder)
            self._sessions[session.token] = session
            return session

    def leave(self, session: BrowserSession) -> None:
        """End a session after the grace time, unless the browser reconnects before."""
        timer = threading.Timer(self._grace_seconds, self._close, (session,))
        timer.daemon = True
        with self._lock:
            self._leaving[session.token] = timer
        timer.start()

    def song(self, token: str) -> SessionSong | None:
        """Return the song with that token, or None."""
        with self._lock:
            songs = [session.song for session in self._sessions.values()]
        return next((song for song in songs if song is not None and is_same_secret(song.token, token)), None)

    def close(self) -> None:
        """End all sessions and delete their files."""
        with self._lock:
            timers, sessions = list(self._leaving.values()), list(self._sessions.values())
            self._leaving.clear()
            self._sessions.clear()
        for timer in timers:
            timer.cancel()
        for session in sessions:
            session.discard_song()
        self._resources.close()

    def _close(self, session: BrowserSession) -> None:
        with self._lock:
            if self._leaving.pop(session.token, None) is None:
                return
            self._sessions.pop(session.token, None)
        session.discard_song()


def _new_folder(parent: Path) -> Path:
    folder = parent / new_token()
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise output_error(error, parent) from error
    return folder


def _file_name(given: str) -> str:
    """Return the end of an uploaded file's name, without folders and characters that file systems refuse."""
    letters = (letter if letter.isprintable() else "_" for letter in Path(given.replace("\\", "/")).name)
    return folder_name("".join(letters)[-MAX_NAME_LETTERS:])


def _move(upload: Upload, path: Path) -> None:
    """Move an upload's file into a new folder."""
    try:
        path.parent.mkdir()
        upload.path.replace(path)
    except OSError as error:
        problem = f"the upload cannot be stored ({error.strerror})"
        raise OutputError(problem, hint="rename the file, or try again later") from error
    upload.path = path


def _checked(path: Path, *, max_seconds: float) -> float | None:
    """Return a song's length from its header, if it has one; errors hide the path on the server."""
    try:
        return check_song(path, max_seconds=max_seconds)
    except InputError as error:
        raise InputError(error.problem, where=path.name, hint=error.hint) from error
