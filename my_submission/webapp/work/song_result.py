"""The result of one separation for the studio: it grows stretch by stretch, and stays as it is when the work ends."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from my_submission.audio_io import WAV_FLOAT, StemFolderWriter, read_tags
from my_submission.events import StretchDone
from my_submission.files.folders import make_directory
from my_submission.pictures.song import MIXTURE
from my_submission.predictor import SeparationReport
from my_submission.webapp.work.measurements import Measurements
from my_submission.webapp.work.shared_use import SharedUse
from my_submission.webapp.work.tracks import GrowingTrack, MixtureTrack, Track

STRETCH_SECONDS = 5
"""Length of one file for playback."""

_BLOCK_SAMPLES = 262_144


class SongResult:
    """The mixture and the stems of one separation, as far as they are done.

    Args:
        version: part of its addresses.
        folder: folder of its files; made here.
        mixture: the decoded song.
        system: name of the system.
        stems: names of the stems.
        is_preview: whether the result of another system follows.
        is_live: whether stems can be played while they grow; if not, they appear when they are complete. With a time
            limit it is known only at the end whether the stems are more than shares of the mixture.
        cutoffs_hz: stem to the frequency above which its network outputs nothing.

    Attributes:
        is_over: whether nothing more will come.
        is_complete: whether the stems cover the whole song.
        report: report of the separation, once it is complete.
        record: content of ``separation.json``, once it is complete.
        gains_db: folder of copies in another format to the gain that was applied to them against clipping.

    Raises:
        OutputError: the folder has too little space.
    """

    def __init__(
        self,
        version: str,
        folder: Path,
        mixture: MixtureTrack,
        *,
        system: str,
        stems: Sequence[str],
        is_preview: bool = False,
        is_live: bool = True,
        cutoffs_hz: Mapping[str, float] | None = None,
    ) -> None:
        self.version, self.folder, self.system, self.is_preview = version, folder, system, is_preview
        self.is_live = is_live
        self.sample_rate, self.samples = mixture.mixture.source_rate, mixture.ready_samples
        self.cutoffs_hz = dict(cutoffs_hz or {})
        self.is_over = self.is_complete = False
        self.report: SeparationReport | None = None
        self.record: Mapping[str, Any] | None = None
        self.gains_db: dict[str, float] = {}
        self.stems_folder = folder / "stems"
        self.measurements = Measurements(self)
        self._mixture = mixture
        self._use = SharedUse(self._remove)
        self._growing: dict[str, GrowingTrack] = {}
        make_directory(folder)
        try:
            for name in stems:
                self._growing[name] = GrowingTrack(name, self.samples, folder)
        except BaseException:
            self.discard()
            raise

    @property
    def is_separated(self) -> bool:
        """Whether the stems are more than shares of the mixture."""
        return self.report is None or self.report.is_separated

    @property
    def stretch_samples(self) -> int:
        """Length of one file for playback, at the song's rate."""
        return STRETCH_SECONDS * self.sample_rate

    @property
    def ready_samples(self) -> int:
        """Samples of every stem that can be played: whole stretches, and the rest once nothing more will come."""
        ready = self._separated_samples
        if self.is_over:
            return ready
        return ready - ready % self.stretch_samples if self.is_live else 0

    @property
    def stems(self) -> dict[str, Track]:
        """Stem to its track; empty if nothing was separated."""
        return dict(self._growing) if self.is_separated else {}

    @property
    def tracks(self) -> dict[str, Track]:
        """Every track by name, the mixture first."""
        return {MIXTURE: self._mixture, **self.stems}

    @property
    def stem_files(self) -> dict[str, Path]:
        """Stem to its WAV of 32-bit float; empty until nothing more will come."""
        return {name: self.stems_folder / f"{name}.wav" for name in self.stems} if self.is_over else {}

    @property
    def mixture_file(self) -> Path:
        """The decoded song as a WAV, which is written at the first use; OutputError if the disk is full."""
        return self._mixture.path

    def playable_samples(self, name: str) -> int:
        """Return the samples of a track that can be played; KeyError if there is no such track."""
        track = self.tracks[name]
        return track.ready_samples if name == MIXTURE else self.ready_samples

    def append(self, stretch: StretchDone) -> None:
        """Add the next stretch of all stems; OutputError if the disk is full."""
        for name, track in self._growing.items():
            track.append(stretch.stems[name])

    def complete(self, report: SeparationReport, record: Mapping[str, Any] | None) -> None:
        """Take the complete stems, which the predictor wrote to ``stems_folder``.

        Raises:
            RuntimeError: the stretches are not the whole song.
        """
        if self._separated_samples != self.samples:
            raise RuntimeError(f"{self._separated_samples} of {self.samples} samples were emitted as stretches")
        self.report, self.record = report, record
        self._settle()
        self.is_complete = self.is_over = True

    def keep_part(self, song: Path) -> None:
        """Write what is separated so far to ``stems_folder``, with the tags of the song's file.

        Raises:
            OutputError: the disk is full; then no stem is left.
        """
        try:
            if self.is_live and self._separated_samples:
                self._write_part(song, self._separated_samples)
            else:
                self._drop_stems()
        except BaseException:
            self._drop_stems()
            raise
        finally:
            self.is_over = True

    def in_use(self) -> AbstractContextManager[None]:
        """Return a context that keeps all files; it raises DiscardedError if the result was discarded."""
        return self._use.in_use()

    def discard(self) -> None:
        """Delete all files, now or when they are no longer in use."""
        self._use.discard()

    def _remove(self) -> None:
        self._drop_stems()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _separated_samples(self) -> int:
        return min((track.ready_samples for track in self._growing.values()), default=0)

    def _write_part(self, song: Path, samples: int) -> None:
        tags, _ = read_tags(song)
        writer = StemFolderWriter(
            self.stems_folder,
            tuple(self._growing),
            sample_rate=self.sample_rate,
            samples=samples,
            audio_format=WAV_FLOAT,
            source_rate=self.sample_rate,
            tags={name: tags.for_stem(name) for name in self._growing},
        )
        with writer:
            for start in range(0, samples, _BLOCK_SAMPLES):
                stop = min(start + _BLOCK_SAMPLES, samples)
                writer.write({name: track.read(start, stop) for name, track in self._growing.items()})
        self._settle()

    def _drop_stems(self) -> None:
        dropped, self._growing = self._growing, {}
        for track in dropped.values():
            track.close()

    def _settle(self) -> None:
        for name, track in self._growing.items():
            track.move_to(self.stems_folder / f"{name}.wav")
