"""Writing the stems of one song, all of them or none."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile

from my_submission.audio_io.audio_format import SUBTYPE_BYTES, WAV_16, AudioFormat
from my_submission.audio_io.file_names import StemFileNames
from my_submission.audio_io.stem_sets import SetFile, notes_before, replace_set, settle
from my_submission.dsp.interleaving import interleaved
from my_submission.dsp.pcm import pcm_frames
from my_submission.dsp.resampling import StreamResampler, resampled_length
from my_submission.errors import OutputError, UnknownNameError
from my_submission.files.folders import make_directory, output_error, remove_empty_directories
from my_submission.files.hashing import sha256_of
from my_submission.files.part_files import PartFile, refuse_folder
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from terminal.names import system_name

WAV_LIMIT_BYTES = 2**32 - 2**16
"""Largest WAV file, because sizes in its header have 32 bits; larger files are RF64."""

N_CHANNELS = 2

Describe = Callable[[Mapping[str, SetFile]], Mapping[str, Any]]
"""Returns the record of a set from its files by stem."""


@dataclass(frozen=True)
class StemLevels:
    """Levels of one stem as written; 1 is full scale.

    Attributes:
        peak: largest absolute value before conversion.
        clipped_samples: number of values beyond ±1, which PCM clips, over both channels.
        rms: root of the mean square, over both channels.
    """

    peak: float
    clipped_samples: int
    rms: float


class StemFolderWriter:
    """Writes ``directory/<name>.<format>`` for every name, in consecutive blocks, as a context manager.

    Samples are written to hidden part files in the folder. On a clean exit all of them are completed, checked and
    flushed to disk before the first is renamed, and an existing set is replaced completely
    (:mod:`~my_submission.audio_io.stem_sets`). On an exception they are removed, existing files are unchanged, and
    new folders are removed again. The next run removes the files of a killed process. Levels are never changed; PCM
    clips values beyond full scale, as ``soundfile.write`` in the challenge did.

    Args:
        directory: folder of the stems; made when missing.
        names: names of the stems.
        sample_rate: rate of the files, in Hz.
        samples: exact length of the files, at that rate.
        audio_format: format of the files.
        source_rate: rate of the blocks given to ``write``, in Hz; they are resampled where it differs.
        describe: called with the files of the complete stems; returns the content of ``separation.json``. When not
            given, the folder has no such file.
        file_names: names of the files and of the record; default: the names of the stems, and ``separation.json``.

    Raises:
        OutputError: on entering, writing or leaving: the folder cannot be written, or the disk is full.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        names: Sequence[str],
        *,
        sample_rate: int,
        samples: int,
        audio_format: AudioFormat = WAV_16,
        source_rate: int = SAMPLE_RATE,
        describe: Describe | None = None,
        file_names: StemFileNames | None = None,
    ) -> None:
        if audio_format.is_lossy:
            raise UnknownNameError(f"{audio_format.file_format} files cannot be written yet", hint="choose wav or flac")
        self._file_names = file_names or StemFileNames({name: name for name in names})
        files = self._file_names.files
        if (
            not names
            or len({files[name] for name in names}) != len(names)
            or not all(map(_is_file_name, files.values()))
        ):
            raise ValueError(f"{tuple(files.values())} cannot be used as file names")
        if samples < 1:
            raise ValueError(f"samples={samples} must be at least 1")
        self._directory, self._names = Path(directory), tuple(names)
        self._sample_rate, self._samples, self._source_rate = sample_rate, samples, source_rate
        self._expected = resampled_length(samples, sample_rate, source_rate)
        self._taken = 0
        self._format = audio_format
        self._pool = ThreadPoolExecutor(len(self._names), thread_name_prefix="mdx-stem")
        self._writing: list[Future[None]] = []
        self._new_directories: list[Path] = []
        self._stems: dict[str, _StemFile] = {}
        self._describe = describe
        self._notes: tuple[str, ...] = ()

    @property
    def paths(self) -> dict[str, Path]:
        """Final path of each stem."""
        return {name: self._directory / f"{self._file_names.files[name]}{self._format.suffix}" for name in self._names}

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on files that were in the folder before; available after entering."""
        return self._notes

    @property
    def report(self) -> dict[str, StemLevels]:
        """Levels of each stem so far; complete after leaving."""
        return {name: stem.levels for name, stem in self._stems.items()}

    def write(self, stems: Mapping[str, Waveform], *, waits: bool = False) -> None:
        """Append the next block float32 (2, n) of every stem, all of the same n, at ``source_rate``.

        The block is written in the background: the arrays must not be changed any more, and errors are raised by the
        next call or on leaving.
        """
        if not self._stems:
            raise ValueError("a StemFolderWriter can be written to only inside its with block")
        if set(stems) != set(self._names):
            raise ValueError(f"stems {sorted(stems)} where {sorted(self._names)} are expected")
        shapes = {stem.shape for stem in stems.values()}
        shape = next(iter(shapes))
        if len(shapes) > 1 or len(shape) != 2 or shape[0] != N_CHANNELS:
            raise ValueError(f"blocks of shapes {sorted(shapes)} where one shape ({N_CHANNELS}, samples) is expected")
        if self._taken + shape[1] > self._expected:
            raise ValueError(f"{self._taken + shape[1]} samples given where the song has {self._expected}")
        self._wait()
        # Converting samples takes most of the time; libsndfile and numpy release the interpreter lock meanwhile.
        self._writing = [self._pool.submit(self._stems[name].write, stems[name]) for name in self._names]
        self._taken += shape[1]
        if waits:
            self._wait()

    def __enter__(self) -> Self:
        self._new_directories = make_directory(self._directory)
        try:
            settle(self._directory, tuple(self._file_names.files.values()))
            if self._describe is not None:
                record_file = self._file_names.record_file
                refuse_folder(self._directory / record_file)
                self._notes = notes_before(self._directory, [path.name for path in self.paths.values()], record_file)
            self._check_space()
            is_large = self._format.file_format == "wav" and self._stem_bytes > WAV_LIMIT_BYTES
            container = "RF64" if is_large else self._format.file_format.upper()
            for name, path in self.paths.items():
                self._stems[name] = _StemFile(
                    path,
                    container,
                    audio_format=self._format,
                    sample_rate=self._sample_rate,
                    samples=self._samples,
                    source_rate=self._source_rate,
                )
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise output_error(error, self._directory) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._pool.shutdown()
            self._discard()
            return
        try:
            self._wait()
            if self._taken != self._expected:
                raise ValueError(f"only {self._taken} of {self._expected} samples were written")
            for stem in self._stems.values():
                stem.complete()
            record = None if self._describe is None else self._describe(self._files())
            parts = [stem.part for stem in self._stems.values()]
            replace_set(self._directory, parts, record, self._file_names.record_file)
        except BaseException as failure:
            self._discard()
            if isinstance(failure, OSError):
                raise output_error(failure, self._directory) from failure
            raise
        finally:
            self._pool.shutdown()

    def _files(self) -> dict[str, SetFile]:
        """Return the complete stems with size and hash."""

        def described(name: str) -> SetFile:
            path = self._stems[name].part.path
            return SetFile(self.paths[name].name, path.stat().st_size, sha256_of(path))

        return dict(zip(self._names, self._pool.map(described, self._names), strict=True))

    def _wait(self) -> None:
        """Wait until the current block of all stems is written, and raise the first failure."""
        writing, self._writing = self._writing, []
        wait(writing)
        for one in writing:
            one.result()

    @property
    def _stem_bytes(self) -> int:
        """Return the size in bytes of one stem without compression."""
        return self._samples * N_CHANNELS * self._format.sample_bytes

    def _check_space(self) -> None:
        """Refuse a disk that is too small; the size of FLAC is unknown beforehand."""
        need = self._stem_bytes * len(self._names)
        free = shutil.disk_usage(self._directory).free
        if self._format.file_format != "flac" and free < need:
            raise OutputError(
                f"{need} bytes are needed for {len(self._names)} stems and {free} are free",
                where=self._directory,
                hint="free some space there, or choose another output folder or --format flac",
            )

    def _discard(self) -> None:
        for stem in self._stems.values():
            stem.discard()
        remove_empty_directories(self._new_directories)


class _StemFile:
    """One stem that is written to its part file."""

    def __init__(
        self,
        final: Path,
        container: str,
        *,
        audio_format: AudioFormat,
        sample_rate: int,
        samples: int,
        source_rate: int,
    ) -> None:
        self._samples = samples
        self._peak, self._clipped, self._squares, self._count = 0.0, 0, 0.0, 0
        subtype = audio_format.subtype
        self._can_clip = audio_format.can_clip
        self._wav_bits = 8 * SUBTYPE_BYTES[subtype] if self._can_clip and container != "FLAC" else None
        self._resampler = StreamResampler(source_rate, sample_rate, channels=N_CHANNELS, samples=samples)
        self.part = PartFile(final)
        name = system_name(self.part.path)
        try:
            self._file = soundfile.SoundFile(name, "w", sample_rate, N_CHANNELS, subtype, format=container)
        except soundfile.LibsndfileError as error:
            self.part.discard()
            raise OutputError(
                f"a {container} file of {sample_rate} Hz cannot be opened for writing ({error.error_string})",
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

    def write(self, block: Waveform) -> None:
        """Append a block (2, n) at the source's rate."""
        self._append(self._resampler.push(block))

    def complete(self) -> None:
        """Write the rest, close the file, check its length, and flush it to disk."""
        self._append(self._resampler.finish())
        self._file.close()
        _clear_timestamp(self.part.path)
        with soundfile.SoundFile(system_name(self.part.path)) as file:
            if file.frames != self._samples:
                raise self._failed(f"{file.frames} of {self._samples} samples arrived on the disk")
        self.part.sync()

    def discard(self) -> None:
        """Close and remove the part file; a stem with its final name is kept."""
        with contextlib.suppress(soundfile.LibsndfileError):  # it may be closed because it could not be written
            self._file.close()
        self.part.discard()

    def _append(self, block: Waveform) -> None:
        low, high = float(block.min(initial=0.0)), float(block.max(initial=0.0))  # NaN where there is one
        if not math.isfinite(low) or not math.isfinite(high):
            raise OutputError(
                "the separated stem holds NaN or infinity, so it was not written",
                where=self.part.final,
                hint="separate with --precision fp32 or --device cpu",
            )
        peak = max(-low, high)
        self._peak = max(self._peak, peak)
        self._squares += sum(float(np.vdot(samples, samples)) for samples in block)
        self._count += block.size
        if self._can_clip and peak > 1:
            self._clipped += int(np.count_nonzero(np.abs(block) > 1))
        try:
            self._file.write(pcm_frames(block, bits=self._wav_bits) if self._wav_bits else interleaved(block))
        except (
            soundfile.LibsndfileError,
            OSError,
            AssertionError,
        ) as error:  # soundfile asserts the number of samples written
            raise self._failed(str(error).strip() or "write failed") from error

    def _failed(self, detail: str) -> OutputError:
        free = shutil.disk_usage(self.part.final.parent).free
        return OutputError(
            f"the stem could not be written completely ({detail}); {free} bytes are free in its folder",
            where=self.part.final,
            hint="free some space there, or choose another output folder",
        )


def _is_file_name(name: str) -> bool:
    return name not in {"", ".."} and Path(name).name == name


def _clear_timestamp(path: Path) -> None:
    """Set the time stamp that libsndfile writes into float WAV files to zero, so that equal stems are equal files."""
    with path.open("r+b") as file:
        head = file.read(256)
        position = head.find(b"PEAK")
        if head[:4] == b"RIFF" and 0 < position < head.find(b"data"):
            file.seek(position + 12)  # after the name, the size and the version, of four bytes each
            file.write(bytes(4))
