"""All songs of the server, each in a folder with a secret name, until some time after their last use."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from my_submission.audio_io import check_song, folder_name, song_name
from my_submission.errors import InputError, OutputError
from my_submission.files.folders import output_error
from my_submission.files.scratch import scratch_folder
from my_submission.webapp.serving.uploads import Upload
from my_submission.webapp.songs.song import Song
from my_submission.webapp.tokens import is_same_secret, new_token
from terminal.names import shown

FOLDER_PREFIX = "mdx-page-"
UPLOADS_FOLDER = "uploads"
"""Folder of uploads that are not songs yet, beside the songs' folders so that a file is moved by renaming."""

UPLOAD_FOLDER = "upload"
MAX_NAME_LETTERS = 60
"""Characters kept of a file name, from its end; file systems allow 255 bytes."""

MAX_SWEEP_SECONDS = 30.0
"""Longest time between two checks for expired songs."""

logger = logging.getLogger(__name__)


class SongLibrary:
    """All songs of a server, in one folder that is deleted when the server ends.

    The server holds a lock on the folder. Folders of killed servers have no lock holder and are deleted when the next
    server starts.

    Args:
        scratch_dir: parent of the folder; by default the system's temporary folder.
        keep_seconds: time from the last use of a song to its deletion.
        max_seconds: longest song.
        clock: monotonic seconds.

    Attributes:
        uploads_folder: for uploads that are not songs yet.

    Raises:
        OutputError: the folder cannot be created.
    """

    def __init__(
        self,
        scratch_dir: Path | None = None,
        *,
        keep_seconds: float,
        max_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parent = Path(tempfile.gettempdir() if scratch_dir is None else scratch_dir)
        self._resources = contextlib.ExitStack()
        self.folder = self._resources.enter_context(scratch_folder(parent, prefix=FOLDER_PREFIX))
        self.uploads_folder = self.folder / UPLOADS_FOLDER
        self.uploads_folder.mkdir(mode=0o700)
        self.keep_seconds = keep_seconds
        self._max_seconds, self._clock = max_seconds, clock
        self._lock = threading.Lock()
        self._songs: dict[str, Song] = {}
        self._is_closed = threading.Event()
        threading.Thread(target=self._sweep_until_closed, name="mdx-songs", daemon=True).start()

    def add(self, upload: Upload, *, visit: str) -> Song:
        """Make an upload a song of a visit.

        Args:
            upload: an upload taken from the store; the song releases it.
            visit: token of the visit.

        Raises:
            InputError: the file is too long, has too many channels or is not audio; it is deleted.
            OutputError: the disk is full or not writable.
        """
        file_name = _file_name(upload.name)
        try:
            folder = self._new_folder()
            try:
                _move(upload, folder / UPLOAD_FOLDER / file_name)
                seconds = self._checked(upload.path)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        except BaseException:
            upload.release()
            raise
        name = shown(song_name(Path("/") / file_name))  # a mixture.wav is not named after a folder of the server
        return self._keep(Song(folder, name, upload.path, seconds, upload=upload, visit=visit))

    def add_sample(self, name: str, path: Path, *, visit: str) -> Song:
        """Make a sample a song of a visit, read in place; errors as for :meth:`add`."""
        seconds = self._checked(path)
        return self._keep(Song(self._new_folder(), name, path, seconds, upload=None, visit=visit))

    def find(self, token: str) -> Song | None:
        """Return the song with that token, which counts as its use; None if there is none or it has expired."""
        self.sweep()
        with self._lock:
            song = next((song for song in self._songs.values() if is_same_secret(song.token, token)), None)
            if song is not None:
                song.used_at = self._clock()
            return song

    def of_visit(self, visit: str) -> list[Song]:
        """Return the songs of a visit, the newest first; listing them does not count as a use."""
        self.sweep()
        with self._lock:
            return [song for song in reversed(self._songs.values()) if is_same_secret(song.visit, visit)]

    def remove(self, song: Song) -> None:
        """Delete a song."""
        with self._lock:
            self._songs.pop(song.token, None)
        song.discard()

    def sweep(self) -> None:
        """Delete the songs that have expired."""
        horizon = self._clock() - self.keep_seconds
        with self._lock:
            expired = [song for song in self._songs.values() if song.used_at < horizon]
            for song in expired:
                del self._songs[song.token]
        for song in expired:
            song.discard()

    def close(self) -> None:
        """Delete all songs and the folder."""
        self._is_closed.set()
        with self._lock:
            songs = list(self._songs.values())
            self._songs.clear()
        for song in songs:
            song.discard()
        self._resources.close()

    def _keep(self, song: Song) -> Song:
        self.sweep()
        with self._lock:
            song.used_at = self._clock()
            self._songs[song.token] = song
        return song

    def _sweep_until_closed(self) -> None:
        while not self._is_closed.wait(min(MAX_SWEEP_SECONDS, max(0.1, self.keep_seconds / 4))):
            try:
                self.sweep()
            except Exception:
                logger.exception("expired songs could not be deleted")

    def _checked(self, path: Path) -> float | None:
        """Return a song's length from its header, if it has one; errors hide the path on the server."""
        try:
            return check_song(path, max_seconds=self._max_seconds)
        except InputError as error:
            raise InputError(error.problem, where=path.name, hint=error.hint) from error

    def _new_folder(self) -> Path:
        folder = self.folder / new_token()
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise output_error(error, self.folder) from error
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
