"""The files of one song on the server: the input, the decoded mixture and the results of its separations."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from my_submission.audio_io import decode_to_wav, probe
from my_submission.errors import InputError
from my_submission.pictures.song import MIXTURE
from my_submission.stems import Waveform
from my_submission.webapp.work.song_result import SongResult
from my_submission.webapp.work.tracks import FileTrack, Peaks

logger = logging.getLogger(__name__)


class SongFiles:
    """The folder of one song; it is deleted when the song is discarded and nothing uses it any more.

    Args:
        folder: of all files but a sample's input.
        name: of the song, for people.
        path: the input.
        seconds: length from the header, if it has one.

    Attributes:
        lock: held while a file of the song is made on request.
        mixture: the decoded song; None before it was decoded.
        sample_rate: of the song, in Hz; None before it was decoded.
        result: the result that is shown; None before there is one.
        notes: notes on how the song was read.
    """

    def __init__(self, folder: Path, name: str, path: Path, seconds: float | None) -> None:
        self.folder, self.name, self.path, self.seconds = folder, name, path, seconds
        self.lock = threading.Lock()
        self.mixture: FileTrack | None = None
        self.sample_rate: int | None = None
        self.result: SongResult | None = None
        self.notes: tuple[str, ...] = ()
        self._state = threading.Lock()
        self._n_users = self._n_results = 0
        self._is_discarded = False

    @property
    def mixture_path(self) -> Path:
        """The decoded mixture."""
        return self.folder / f"{MIXTURE}.wav"

    @property
    def is_discarded(self) -> bool:
        """Whether the song was deleted or has expired."""
        return self._is_discarded

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

    def decoded(self, *, max_seconds: float, on_block: Callable[[Waveform], None]) -> FileTrack:
        """Return the mixture, which is decoded on the first call.

        Args:
            max_seconds: longest song allowed.
            on_block: called with every block, float32 (2, n).

        Raises:
            InputError: the song cannot be read or is too long.
            OutputError: the disk is full.
        """
        if self.mixture is None:
            path = self.mixture_path
            peaks_path = self.folder / f"{MIXTURE}.peaks"
            peaks_path.unlink(missing_ok=True)  # of a decoding that was stopped
            peaks = Peaks(peaks_path)

            def take(block: Waveform) -> None:
                peaks.push(block)
                on_block(block)

            self.notes = decode_to_wav(self.path, path, max_seconds=max_seconds, on_block=take)
            peaks.finish()
            info = probe(path)
            self.sample_rate, samples = info.sample_rate, info.samples or 0
            self.seconds = samples / info.sample_rate
            self.mixture = FileTrack(path, samples, peaks)
        return self.mixture

    def next_version(self) -> tuple[str, Path]:
        """Return a new version of the song's result, and its folder."""
        with self._state:
            self._n_results += 1
            version = str(self._n_results)
        return version, self.folder / f"result-{version}"

    def show(self, result: SongResult) -> None:
        """Make a result the one that is shown, and delete the one before."""
        with self.lock:  # nothing is made of the one before
            old, self.result = self.result, result
        if old is not None and old is not result:
            old.discard()

    def _remove(self) -> None:
        result, self.result = self.result, None
        if result is not None:
            result.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            logger.error("%s could not be removed", self.folder)
