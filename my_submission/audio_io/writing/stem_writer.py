"""Writing the stems of one song, all of them or none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from my_submission.audio_io.writing.audio_format import WAV_16, AudioFormat
from my_submission.audio_io.writing.common_gain import CommonGain, NoGain, common_gain
from my_submission.audio_io.writing.encoders import file_shape, require_encoder
from my_submission.audio_io.writing.encoders.encoder import N_CHANNELS
from my_submission.audio_io.writing.file_names import StemFileNames
from my_submission.audio_io.writing.stem_sets import SetFile, notes_before, replace_set, settle
from my_submission.audio_io.writing.tags import SongTags
from my_submission.audio_io.writing.tags.song_tags import MAX_TAG_BYTES
from my_submission.audio_io.writing.written_stem import StemLevels, WrittenStem
from my_submission.dsp.resampling import resampled_length
from my_submission.errors import OutputError
from my_submission.files.folders import make_directory, output_error, remove_empty_directories
from my_submission.files.hashing import sha256_of
from my_submission.files.part_files import refuse_folder
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform

WAV_LIMIT_BYTES = 2**32 - 2**16
"""Largest WAV file, because sizes in its header have 32 bits; larger files are RF64."""

T = TypeVar("T")

Describe = Callable[[Mapping[str, SetFile]], Mapping[str, Any]]
"""Returns the record of a set from its files by stem."""


class StemFolderWriter:
    """Writes ``directory/<name>.<format>`` for every name, in consecutive blocks, as a context manager.

    Samples are written to hidden part files in the folder. On a clean exit all of them are completed, checked and
    flushed to disk before the first is renamed, and an existing set is replaced completely
    (:mod:`~my_submission.audio_io.writing.stem_sets`). On an exception they are removed, existing files are unchanged,
    and new folders are removed again. The next run removes the files of a killed process. Levels are changed only by
    ``audio_format.clip``; PCM clips values beyond full scale, as ``soundfile.write`` in the challenge did.

    Args:
        directory: folder of the stems; created if missing.
        names: names of the stems.
        sample_rate: rate of the song, in Hz; that of the files unless their codec cannot hold it.
        samples: exact length of the song, at that rate.
        audio_format: format of the files.
        source_rate: rate of the blocks given to ``write``, in Hz; they are resampled if it differs.
        describe: called with the files of the complete stems; returns the content of ``separation.json``. When not
            given, the folder has no such file.
        tags: stem to its tags; default: none.
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
        tags: Mapping[str, SongTags] | None = None,
        file_names: StemFileNames | None = None,
    ) -> None:
        require_encoder(audio_format)
        self._file_names = file_names or StemFileNames.plain(names)
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
        self._shape, self._source_rate = file_shape(audio_format, sample_rate, samples), source_rate
        self._expected = resampled_length(samples, sample_rate, source_rate)
        self._taken = self._written = 0
        self._is_finished = False
        self.audio_format = audio_format
        # one thread per stem, and one that hands the blocks of all stems from step to step
        self._pool = ThreadPoolExecutor(1 + len(self._names), thread_name_prefix="mdx-stem")
        self._writing: Future[None] | None = None
        self._gain: CommonGain = NoGain()
        self._new_directories: list[Path] = []
        self._stems: dict[str, WrittenStem] = {}
        self._describe = describe
        self._tags = dict(tags or {})
        self._notes = self._shape.notes

    @property
    def paths(self) -> dict[str, Path]:
        """Final path of each stem."""
        return {
            name: self._directory / f"{self._file_names.files[name]}{self.audio_format.suffix}" for name in self._names
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the format of the files and, after entering, on files that were in the folder before."""
        return self._notes

    @property
    def gain_db(self) -> float:
        """The smallest gain in dB that ``audio_format.clip`` applied to all stems; complete after leaving."""
        return self._gain.gain_db

    @property
    def gain_notes(self) -> tuple[str, ...]:
        """A note on that gain, if there was one."""
        if not self.gain_db:
            return ()
        much = f"{-self.gain_db:.1f} dB quieter"
        if self.audio_format.clip == "rescale":
            return (f"all stems are {much}, because they would exceed full scale",)
        return (f"all stems are up to {much} around samples that would exceed full scale",)

    @property
    def levels(self) -> dict[str, StemLevels]:
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
        self._writing = self._pool.submit(self._process, [stems[name] for name in self._names])
        self._taken += shape[1]
        if waits:
            self._wait()

    def finish(self) -> Iterator[float]:
        """Write the rest of every stem, and the samples that a common gain holds back until the end.

        Leaving the with block does it as well; a caller that does it before can show its progress.

        Yields:
            The share of every file that is written, 0 … 1.
        """
        if self._is_finished:
            return
        self._wait()
        if self._taken != self._expected:
            raise ValueError(f"only {self._taken} of {self._expected} samples were written")
        rest = self._for_every_stem(WrittenStem.resampled_rest, self._stems.values())
        self._append(self._gain.push(rest))
        for blocks in self._gain.finish():
            self._append(blocks)
            self._written += blocks[0].shape[1]
            yield min(1.0, self._written / self._shape.samples)
        self._is_finished = True

    def __enter__(self) -> Self:
        self._new_directories = make_directory(self._directory)
        try:
            settle(self._directory, tuple(self._file_names.files.values()))
            if self._describe is not None:
                record_file = self._file_names.record_file
                refuse_folder(self._directory / record_file)
                self._notes += notes_before(self._directory, [path.name for path in self.paths.values()], record_file)
            self._gain = common_gain(
                self.audio_format.clip,
                n_stems=len(self._names),
                sample_rate=self._shape.sample_rate,
                samples=self._shape.samples,
                directory=self._directory,
            )
            self._check_space()
            is_large = self.audio_format.file_format == "wav" and self._stem_bytes + self._tag_bytes > WAV_LIMIT_BYTES
            for name, path in self.paths.items():
                self._stems[name] = WrittenStem(
                    path,
                    name,
                    self.audio_format,
                    self._shape,
                    source_rate=self._source_rate,
                    is_rf64=is_large,
                    tags=self._tags.get(name),
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
            for _ in self.finish():
                pass
            self._for_every_stem(WrittenStem.complete, self._stems.values())
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

        return dict(zip(self._names, self._for_every_stem(described, self._names), strict=True))

    def _wait(self) -> None:
        """Wait until the current block of all stems is written, and raise the first failure."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _process(self, blocks: Sequence[Waveform]) -> None:
        """Resample, level and encode a block of every stem."""
        resampled = self._for_every_stem(WrittenStem.resampled, self._stems.values(), blocks)
        ready = self._gain.push(resampled)
        self._written += ready[0].shape[1]
        self._append(ready)

    def _append(self, blocks: Sequence[Waveform]) -> None:
        self._for_every_stem(WrittenStem.append, self._stems.values(), blocks)

    def _for_every_stem(self, function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
        """Call a function for all stems at the same time; when all calls have ended, raise the first failure.

        Converting samples takes most of the time; libsndfile, FFmpeg and numpy release the interpreter lock during it.
        """
        calls = [self._pool.submit(function, *each) for each in zip(*arguments, strict=True)]
        wait(calls)
        return [call.result() for call in calls]

    @property
    def _stem_bytes(self) -> int:
        """Return the size in bytes of one stem without compression."""
        return self._shape.samples * N_CHANNELS * self.audio_format.sample_bytes

    @property
    def _tag_bytes(self) -> int:
        """Return an upper bound of the size in bytes of a stem's tags."""
        return MAX_TAG_BYTES if any(self._tags.values()) else 0

    def _check_space(self) -> None:
        """Refuse a disk that is too small; the size of compressed files is not known in advance."""
        need = self._stem_bytes * len(self._names)
        free = shutil.disk_usage(self._directory).free
        if self.audio_format.file_format != "flac" and free < need:
            raise OutputError(
                f"{need} bytes are needed for {len(self._names)} stems, but only {free} are free",
                where=self._directory,
                hint="free some space there, or choose another output folder or --format flac",
            )

    def _discard(self) -> None:
        self._gain.close()
        for stem in self._stems.values():
            stem.discard()
        remove_empty_directories(self._new_directories)


def _is_file_name(name: str) -> bool:
    return name not in {"", ".."} and Path(name).name == name
