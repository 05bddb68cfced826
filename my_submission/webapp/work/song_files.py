"""The files of one song on the server: the input, the decoded mixture and the results of its separations."""

from __future__ import annotations

import contextlib
import itertools
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from my_submission.audio_io import load_mixture
from my_submission.errors import InputError
from my_submission.pictures.song import MIXTURE
from my_submission.stems import Waveform
from my_submission.webapp.work.shared_use import DiscardedError, SharedUse
from my_submission.webapp.work.song_result import SongResult
from my_submission.webapp.work.tracks import MixtureTrack, Peaks

logger = logging.getLogger(__name__)


class SongFiles:
    """The folder of one song; it is deleted when the song is discarded and nothing uses it any more.

    Args:
        folder: folder of all files but a sample's input.
        name: display name of the song.
        path: the input.
        seconds: length from the header, if it has one.

    Attributes:
        lock: held while a file of the song is made on request.
        mixture: the decoded song; None before it was decoded.
        result: the result that is shown; None before there is one.
    """

    def __init__(self, folder: Path, name: str, path: Path, seconds: float | None) -> None:
        self.folder, self.name, self.path, self.seconds = folder, name, path, seconds
        self.lock = threading.Lock()
        self.mixture: MixtureTrack | None = None
        self.result: SongResult | None = None
        self._use = SharedUse(self._remove)
        self._versions = itertools.count(1)

    @property
    def sample_rate(self) -> int | None:
        """Sample rate of the song in Hz; None before it was decoded."""
        return None if self.mixture is None else self.mixture.mixture.source_rate

    @property
    def is_discarded(self) -> bool:
        """Whether the song was deleted or has expired."""
        return self._use.is_discarded

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the files during the body of a ``with``; InputError if the song was discarded."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._use.in_use())
            except DiscardedError as error:
                raise InputError("this song was deleted", where=self.name, hint="upload it again") from error
            yield

    def discard(self) -> None:
        """Delete all files, now or when they are no longer in use."""
        self._use.discard()

    def decoded(self, *, max_seconds: float, on_block: Callable[[Waveform], None]) -> MixtureTrack:
        """Return the mixture, which is decoded on the first call.

        Args:
            max_seconds: longest song allowed.
            on_block: called with every block, float32 (2, n).

        Raises:
            InputError: the song cannot be read or is too long.
            OutputError: the disk is full.
        """
        if self.mixture is None:
            peaks_path = self.folder / f"{MIXTURE}.peaks"
            peaks_path.unlink(missing_ok=True)  # left by a decoding that was stopped
            peaks = Peaks(peaks_path)

            def take(block: Waveform) -> None:
                peaks.push(block)
                on_block(block)

            mixture = load_mixture(
                self.path, scratch_dir=self.folder, keeps_original=True, max_seconds=max_seconds, on_block=take
            )
            try:
                peaks.finish()
            except BaseException:
                mixture.close()
                raise
            self.seconds = mixture.source_samples / mixture.source_rate
            self.mixture = MixtureTrack(mixture, self.folder / f"{MIXTURE}.wav", peaks)
        return self.mixture

    def next_version(self) -> tuple[str, Path]:
        """Return a new version of the song's result, and its folder."""
        version = str(next(self._versions))
        return version, self.folder / f"result-{version}"

    def show(self, result: SongResult) -> None:
        """Show this result from now on, and delete the previous one as soon as none of its files is in use."""
        old, self.result = self.result, result
        if old is not None and old is not result:
            old.discard()

    def _remove(self) -> None:
        result, self.result = self.result, None
        if result is not None:
            result.discard()
        if self.mixture is not None:
            self.mixture.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            logger.error("%s could not be removed", self.folder)
