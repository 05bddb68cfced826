"""One stem that is written: resampled, measured, encoded, and checked on completion."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from my_submission.audio_io.decoding.decode import probe
from my_submission.audio_io.writing.audio_format import AudioFormat
from my_submission.audio_io.writing.encoders import EncodingError, FileShape, StemFile, open_encoder
from my_submission.audio_io.writing.encoders.encoder import N_CHANNELS
from my_submission.audio_io.writing.tags import SongTags
from my_submission.dsp.resampling import StreamResampler
from my_submission.errors import InputError, OutputError
from my_submission.files.part_files import PartFile
from my_submission.stems import Waveform
from terminal.names import system_name


@dataclass(frozen=True)
class StemLevels:
    """Levels of one stem as written; 1 is full scale.

    Attributes:
        peak: largest absolute value before conversion.
        clipped_samples: number of values beyond ±1 over both channels, which PCM clips, and players of lossy files.
        rms: root of the mean square, over both channels.
    """

    peak: float
    clipped_samples: int
    rms: float


class WrittenStem:
    """One stem that is written to its part file.

    Args:
        final: path of the complete file.
        name: name of the stem.
        audio_format: format of the file.
        shape: rate, length and bit rate of the file.
        source_rate: rate of the blocks, in Hz.
        is_rf64: whether a WAV is too large for sizes of 32 bits.
        tags: tags of the stem; None writes none.

    Raises:
        OutputError: the file cannot be opened for writing.
    """

    def __init__(
        self,
        final: Path,
        name: str,
        audio_format: AudioFormat,
        shape: FileShape,
        *,
        source_rate: int,
        is_rf64: bool = False,
        tags: SongTags | None = None,
    ) -> None:
        self._format, self._shape = audio_format, shape
        self._peak, self._clipped, self._squares, self._count = 0.0, 0, 0.0, 0
        rate, samples = shape.sample_rate, shape.samples
        self._resampler = StreamResampler(source_rate, rate, channels=N_CHANNELS, samples=samples)
        self.part = PartFile(final)
        try:
            self._encoder = open_encoder(
                StemFile(
                    path=self.part.path, name=name, audio_format=audio_format, shape=shape, is_rf64=is_rf64, tags=tags
                )
            )
        except EncodingError as error:
            self.part.discard()
            raise OutputError(
                f"a {audio_format.file_format.upper()} file of {rate} Hz cannot be opened for writing ({error})",
                where=final,
                hint="choose another output folder, or --format wav",
            ) from error
        except BaseException:
            self.part.discard()
            raise

    @property
    def levels(self) -> StemLevels:
        """Levels of the samples so far."""
        return StemLevels(self._peak, self._clipped, math.sqrt(self._squares / max(1, self._count)))

    def resampled(self, block: Waveform) -> Waveform:
        """Return the samples (2, m) at the file's rate that are ready after this block (2, n) at the source's rate."""
        return self._finite(self._resampler.push(block))

    def resampled_rest(self) -> Waveform:
        """Return the last samples (2, m) at the file's rate."""
        return self._finite(self._resampler.finish())

    def append(self, block: Waveform) -> None:
        """Measure and encode a block (2, n) at the file's rate."""
        peak = max(-float(block.min(initial=0.0)), float(block.max(initial=0.0)))
        self._peak = max(self._peak, peak)
        self._squares += sum(float(np.vdot(samples, samples)) for samples in block)
        self._count += block.size
        if self._format.can_clip and peak > 1:
            self._clipped += int(np.count_nonzero(np.abs(block) > 1))
        try:
            self._encoder.write(block)
        except EncodingError as error:
            raise self._failed(str(error)) from error

    def complete(self) -> None:
        """Close the file, check its length, and flush it to disk."""
        try:
            self._encoder.close()
            n_found = self._found_samples()
        except (EncodingError, InputError) as error:
            raise self._failed(str(error)) from error
        if n_found != self._shape.samples:
            raise self._failed(f"{n_found} of {self._shape.samples} samples arrived on the disk")
        self.part.sync()

    def discard(self) -> None:
        """Close and remove the part file; a stem with its final name is kept."""
        self._encoder.abandon()
        self.part.discard()

    def _found_samples(self) -> int:
        """Return the length that the complete file states; lossy files are read from end to end for it."""
        if not self._format.is_lossy:
            with soundfile.SoundFile(system_name(self.part.path)) as file:
                return int(file.frames)
        info = probe(self.part.path)
        return round((info.declared_seconds or 0.0) * info.sample_rate)

    def _finite(self, block: Waveform) -> Waveform:
        """Return a block; OutputError if it contains NaN or infinity."""
        low, high = float(block.min(initial=0.0)), float(block.max(initial=0.0))  # NaN if there is one
        if not math.isfinite(low) or not math.isfinite(high):
            raise OutputError(
                "the separated stem contains NaN or infinity, so it was not written",
                where=self.part.final,
                hint="separate with --precision fp32 or --device cpu",
            )
        return block

    def _failed(self, detail: str) -> OutputError:
        free = shutil.disk_usage(self.part.final.parent).free
        return OutputError(
            f"the stem could not be written completely ({detail}); {free} bytes are free in its folder",
            where=self.part.final,
            hint="free some space there, or choose another output folder",
        )
