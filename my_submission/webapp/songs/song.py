"""A song of the server, under its secret address."""

from __future__ import annotations

from pathlib import Path

from my_submission.webapp.serving.uploads import Upload
from my_submission.webapp.work.separation_job import SeparationJob
from my_submission.webapp.work.song_files import SongFiles


class Song:
    """A song of the server.

    Args:
        folder: folder of its files; its name is the song's token.
        name: display name.
        path: the input.
        seconds: length from the header, if it has one.
        upload: the upload to release with the song; None for a sample.
        visit: token of the visit that lists the song.

    Attributes:
        token: secret part of its addresses.
        files: its files and the result that is shown.
        job: the last separation; None before the first one.
        used_at: time of the last use, in seconds of the library's clock.
    """

    def __init__(
        self, folder: Path, name: str, path: Path, seconds: float | None, *, upload: Upload | None, visit: str
    ) -> None:
        self.token, self.visit = folder.name, visit
        self.files = SongFiles(folder, name, path, seconds)
        self.job: SeparationJob | None = None
        self.used_at = 0.0
        self._upload = upload

    @property
    def name(self) -> str:
        """Display name of the song."""
        return self.files.name

    def discard(self) -> None:
        """Stop its job, and delete all its files now or when they are no longer in use."""
        if self.job is not None:
            self.job.stop()
        self.files.discard()
        if self._upload is not None:
            self._upload.release()
