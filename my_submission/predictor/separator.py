"""Separation in one call: files, arrays or tensors in; paths, arrays and a report out."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np

from my_submission.audio_io import DEFAULT_READ_OPTIONS, WAV_16, AudioFormat, ReadOptions, read_blocks, song_name
from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES, checked_blocks, open_decoder
from my_submission.audio_io.writing.file_names import template_for
from my_submission.errors import InputError
from my_submission.events import EventStream, Finished, Note
from my_submission.predictor.loading import LoadOptions, load, stem_names
from my_submission.predictor.separation_record import RecordRequest
from my_submission.progress import Progress, ProgressMeter
from my_submission.reports import SeparationReport
from my_submission.stems import Stems, Waveform
from my_submission.systems import DEFAULT_SYSTEM

logger = logging.getLogger(__name__)

Song: TypeAlias = Any
"""A path (str or PathLike), or an array or torch tensor, float (channels, samples) or (samples,)."""

DEFAULT_OUTPUT = Path("stems")
"""Folder of all stems, relative to the working directory, as on the command line."""

DEFAULT_PLACE: Any = object()
"""Default output: ``DEFAULT_OUTPUT`` for files, and no files for arrays."""


@dataclass(frozen=True)
class Separation:
    """The stems of one song.

    Attributes:
        stems: name to float32 (2, samples), at ``sample_rate``; tensors on the CPU if the song was a tensor. Stems in
            files are read when they are first asked for, as they were written.
        sample_rate: sample rate of song and stems, in Hz.
        report: how the song was separated: seconds, levels, notes.
        paths: name to file; empty if no files were written.
    """

    stems: Mapping[str, Any]
    sample_rate: int
    report: SeparationReport
    paths: Mapping[str, Path]

    def _repr_html_(self) -> str:
        """Return the stems for a notebook: a waveform and a player each."""
        from my_submission.predictor.notebook_view import stems_html

        report = self.report
        title = f"{report.system}, {report.seconds:.1f} s, {report.realtime_factor:.1f} x real time"
        return stems_html(self.stems, self.sample_rate, title=title)


class Separator:
    """Separates songs with one system, which is loaded once.

    Args:
        system: a name that ``mdx systems`` lists.
        stems: stems to make, such as ``["vocals", "instrumental"]``; default: all sources of the system.
        options: further arguments of :func:`my_submission.load`: ``device``, ``precision``, ``threads``, …

    Raises:
        UnknownNameError: there is no such system, stem or device.
        WeightsError: weights are missing or damaged; the message says how to get them.
        DeviceError: the device is not available.
    """

    def __init__(
        self, system: str = DEFAULT_SYSTEM, *, stems: Sequence[str] = (), **options: Unpack[LoadOptions]
    ) -> None:
        self.predictor = load(system, stems=stems, **options)

    @property
    def system(self) -> str:
        """Name of the system."""
        return self.predictor.system.recipe.name

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources that the system estimates for the stems."""
        return self.predictor.system.recipe.sources

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that it makes."""
        return self.predictor.stems

    def separate(
        self,
        song: Song,
        output: str | PathLike[str] | None = DEFAULT_PLACE,
        *,
        sample_rate: int | None = None,
        audio_format: AudioFormat = WAV_16,
        filename: str | None = None,
        budget_seconds: float | None = None,
        refine: bool | None = None,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Separation:
        """Separate one song.

        Args:
            song: an audio file, or float samples (channels, samples) or (samples,) as an array or a torch tensor, with
                one or two channels.
            output: folder of the stems of all songs; default: ``stems`` for a file, and no files for samples. None
                writes no files and keeps the stems in memory.
            sample_rate: sample rate of samples, in Hz; a file states its own.
            audio_format: format of the files.
            filename: template of the files' names, such as ``"{song}/{song} - {stem}.{ext}"``, the default.
            budget_seconds: time limit; default: none.
            refine: whether to go beyond the published work; default: with spare time of a budget.
            reading: track of the file to read, and whether more than two channels are mixed down.
            on_progress: called with the share done and the remaining time, several times per second of work.

        Raises:
            InputError: the song cannot be separated, or the sample rate of samples is missing.
            OutputError: the stems cannot be written.
        """
        meter = ProgressMeter(time.monotonic, budget_seconds)
        events = self.stream(
            song,
            output,
            sample_rate=sample_rate,
            audio_format=audio_format,
            filename=filename,
            budget_seconds=budget_seconds,
            refine=refine,
            reading=reading,
            emit_stretches=False,
        )
        for event in events:
            if isinstance(event, Finished):
                for text in event.report.warnings():
                    logger.warning(text)
                return event.result
            progress = meter.take(event)
            if on_progress is not None:
                on_progress(progress)
        raise AssertionError("a stream ends with Finished")

    def stream(
        self,
        song: Song,
        output: str | PathLike[str] | None = DEFAULT_PLACE,
        *,
        sample_rate: int | None = None,
        audio_format: AudioFormat = WAV_16,
        filename: str | None = None,
        budget_seconds: float | None = None,
        refine: bool | None = None,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
        emit_stretches: bool = True,
    ) -> EventStream[Separation]:
        """Separate one song as :meth:`separate` does; the last event is ``Finished(separation, report)``.

        Args beyond those of :meth:`separate`:
            emit_stretches: yield every finished stretch of the stems as ``StretchDone``, arrays float32 (2, n) at the
                song's rate. Without a budget, small systems (``predictor.is_streamable``) go through the song from
                start to end, so that the first stretch comes early; the stems are the same.
        """
        limits: dict[str, Any] = {
            "budget_seconds": budget_seconds,
            "refine": refine,
            "emit_stretches": emit_stretches,
        }
        is_file = isinstance(song, str | PathLike)
        folder = (DEFAULT_OUTPUT if is_file else None) if output is DEFAULT_PLACE else output
        if not is_file:
            if folder is not None:
                raise InputError("samples have no name for files", hint="omit output, and write the files yourself")
            yield from self._stream_samples(song, sample_rate, limits)
            return
        if sample_rate is not None:
            raise InputError("sample_rate is for samples; a file states its own", where=song, hint="leave it out")
        if folder is None:
            yield from self._stream_to_memory(Path(song), reading, limits)
            return
        path, name = Path(song), song_name(song)
        template = template_for(path, filename)
        directory = Path(folder) / template.folder(song=name, system=self.system)
        events = self.predictor.stream_file(
            path,
            directory,
            audio_format=audio_format,
            reading=reading,
            record=RecordRequest(song=name),
            file_names=template.names(self.stems, song=name, system=self.system),
            **limits,
        )
        for event in events:
            yield _with_files(event.report) if isinstance(event, Finished) else event

    def _stream_samples(
        self, samples: Any, sample_rate: int | None, limits: Mapping[str, Any]
    ) -> EventStream[Separation]:
        if sample_rate is None:
            raise InputError("the sample rate of these samples is not known", hint="give sample_rate=44_100, in Hz")
        torch = sys.modules.get("torch")
        is_tensor = torch is not None and isinstance(samples, torch.Tensor)
        mixture = samples.detach().cpu().numpy() if is_tensor else np.asarray(samples)
        for event in self.predictor.stream(mixture, sample_rate=sample_rate, **limits):
            if isinstance(event, Finished):
                stems: Mapping[str, Any] = event.result
                if torch is not None and is_tensor:
                    stems = {name: torch.from_numpy(stem) for name, stem in stems.items()}
                yield Finished(Separation(stems, sample_rate, event.report, {}), event.report)
            else:
                yield event

    def _stream_to_memory(self, path: Path, reading: ReadOptions, limits: Mapping[str, Any]) -> EventStream[Separation]:
        with open_decoder(path, reading) as decoder:
            rate, mixture = decoder.info.sample_rate, np.concatenate([*checked_blocks(decoder, BLOCK_SAMPLES)], axis=1)
            notes = decoder.notes
        yield from map(Note, notes)
        for event in self.predictor.stream(mixture, sample_rate=rate, **limits):
            if isinstance(event, Finished):
                all_notes = (*notes, *event.report.notes)
                report = replace(event.report, input_path=str(path), input_notes=notes, notes=all_notes)
                yield Finished(Separation(event.result, rate, report, {}), report)
            else:
                yield event


def separate(
    song: Song,
    output: str | PathLike[str] | None = DEFAULT_PLACE,
    *,
    system: str = DEFAULT_SYSTEM,
    stems: Sequence[str] = (),
    sample_rate: int | None = None,
    audio_format: AudioFormat = WAV_16,
    filename: str | None = None,
    budget_seconds: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[LoadOptions],
) -> Separation:
    """Separate one song with the system that was loaded last, if it is the same one.

    Args:
        song: as for :meth:`Separator.separate`; likewise the arguments that are not described here.
        output: folder of the stems of all songs.
        system: a name that ``mdx systems`` lists.
        stems: stems to make, such as ``["vocals", "instrumental"]``; default: all sources of the system.
        sample_rate: sample rate of samples, in Hz.
        audio_format: format of the files.
        filename: template of the files' names.
        budget_seconds: time limit; default: none.
        on_progress: called with the progress.
        options: further arguments of :func:`my_submission.load`: ``device``, ``precision``, ``threads``, …
    """
    separator = _separator(system, stem_names(stems), tuple(sorted(options.items())))
    return separator.separate(
        song,
        output,
        sample_rate=sample_rate,
        audio_format=audio_format,
        filename=filename,
        budget_seconds=budget_seconds,
        on_progress=on_progress,
    )


@lru_cache(maxsize=1)
def _separator(system: str, stems: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> Separator:
    return Separator(system, stems=stems, **dict(options))


class _StemFiles(Mapping[str, Waveform]):
    """Stems in files, each read when it is first asked for."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._read: Stems = {}

    def __getitem__(self, name: str) -> Waveform:
        if name not in self._read:
            self._read[name] = np.concatenate([*read_blocks(self._paths[name])], axis=1)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _with_files(report: SeparationReport) -> Finished[Separation]:
    paths = {name: Path(path) for name, path in report.outputs.items()}
    return Finished(Separation(_StemFiles(paths), report.source_rate, report, paths), report)
