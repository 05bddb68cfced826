"""The predictor: an audio file or a waveform in, stems out, within a time budget."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.audio_io import (
    DEFAULT_READ_OPTIONS,
    WAV_16,
    AudioFormat,
    DiskStore,
    InputFiles,
    MemoryStore,
    Mixture,
    ReadOptions,
    SongTags,
    StemFolderWriter,
    load_mixture,
    mixture_from_array,
    read_tags,
)
from my_submission.audio_io.mixture import N_CHANNELS
from my_submission.audio_io.writing.encoders import require_encoder
from my_submission.audio_io.writing.file_names import StemFileNames
from my_submission.audio_io.writing.stem_writer import Describe
from my_submission.budget import Budget
from my_submission.engines.device_memory import PeakMemoryMeter, ReadMemory
from my_submission.engines.devices import Device
from my_submission.engines.processors import available_cpus
from my_submission.events import EventStream, Finished, Note, StretchDone, last_event
from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import NewStore
from my_submission.planning import Calibration, CostModel
from my_submission.planning.calibration import part_key
from my_submission.predictor.file_output import finish_writer, nearest_folder, separate_to_writer, unless_empty
from my_submission.predictor.outputs import StemOutputs
from my_submission.predictor.recorder import Recorder
from my_submission.predictor.separation_record import RecordRequest, StemRecipe
from my_submission.predictor.song_report import report_of
from my_submission.predictor.song_separation import SongSeparation
from my_submission.predictor.stretches import Stretches
from my_submission.predictor.write_cost import WriteCost, cost_kind
from my_submission.reports import SeparationReport
from my_submission.stems import Stems, complemented_source
from my_submission.systems import LoadedSystem

logger = logging.getLogger(__name__)

WRITING_SECONDS_PER_SECOND, WRITING_SHARE = 0.01, 3.0
"""Seconds to blend and write a second of four stems before it was measured, and the duration added for the disk,
relative to that of reading the song. Measured on a busy machine: 0.007 to 0.013 s, 1 to 7 times the reading."""

MIN_WRITING_SECONDS = 0.25
"""Opening, flushing and renaming files take this long for the shortest song."""

BLENDING_SECONDS_PER_SECOND = 0.005
"""Cost of blending a second of audio before it was measured."""

MIN_MEASURED_SECONDS = 15.0
"""Songs shorter than this do not predict the duration of longer ones: their cost is mostly that of each file."""


class Predictor:
    """Separates songs with one system, built once.

    Args:
        system: the system, opened.
        clock: monotonic seconds, for budgets; tests inject their own.
        notes: notes of every report, such as why the CPU was chosen.
        calibration: costs of earlier runs; by default only those that this predictor measures.
        read_device_memory: reads the GPU's memory, for the report; None on the CPU.
        settings: the options of its loading that can change a sample, as plain values, for ``separation.json``.
        device: device that networks run on.
        n_threads: number of threads of a run on the CPU; None if unknown.
    """

    def __init__(
        self,
        system: LoadedSystem,
        *,
        clock: Callable[[], float] | None = None,
        notes: tuple[str, ...] = (),
        calibration: Calibration | None = None,
        read_device_memory: ReadMemory | None = None,
        settings: Mapping[str, Any] | None = None,
        device: Device | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.system = system
        self.device = device or Device("cpu")
        self.n_threads = n_threads
        self.setup_notes = notes
        self.settings = dict(settings or {})
        self.calibration = calibration if calibration is not None else Calibration()
        self._clock = clock
        self._read_device_memory = read_device_memory

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that it writes: sources, or the mixture without one of them."""
        return self.system.recipe.stems

    @property
    def is_streamable(self) -> bool:
        """Whether a song without a budget can be separated from start to end, so that its first stretch comes early."""
        return self.system.is_streamable

    def expected_seconds(self, song_seconds: float) -> float | None:
        """Return the likely duration of a separation without a deadline, in seconds.

        It follows from earlier runs on this machine, else from the usual costs of the system's networks on a CPU.

        Returns:
            None if neither is known.
        """
        if known := self.calibration.get(self._song_key):
            return known.typical * song_seconds
        n_threads = self._n_cpu_threads
        return None if n_threads is None else self.system.usual_seconds(song_seconds, n_threads)

    @property
    def _n_cpu_threads(self) -> int | None:
        """Number of threads of the networks on the CPU, one if unknown; None on a GPU."""
        return (self.n_threads or 1) if self.device.kind == "cpu" else None

    @property
    def _song_key(self) -> str:
        """Key of the cost of a whole song, from reading to the last byte."""
        place = {"device": str(self.device), "threads": self.n_threads, "settings": self.settings}
        return part_key("song", system=self.system.recipe.name, fingerprint=self.system.fingerprint, **place)

    def recipe(self, settings: Mapping[str, Any], audio_format: AudioFormat) -> StemRecipe:
        """Return the recipe of stems: everything but the song that they depend on.

        Args:
            settings: the options that can change a sample, as plain values.
            audio_format: format of the stems.
        """
        return StemRecipe(
            system=self.system.recipe.name,
            weights=self.system.weight_digests,
            settings=settings,
            audio_format=audio_format,
        )

    def separate(
        self,
        mixture: npt.ArrayLike,
        *,
        sample_rate: int = SAMPLE_RATE,
        budget_seconds: float | None = None,
        refine: bool | None = None,
    ) -> Stems:
        """Separate a waveform.

        Args:
            mixture: float (channels, samples) or (samples,), one or two channels; it is not changed.
            sample_rate: sample rate in Hz.
            budget_seconds: time limit; default: none.
            refine: whether to go beyond the published work (overlapped chunks, averaged shifted passes). Default: False
                without a limit; with a limit, time that is left over is spent on it.

        Returns:
            Stem to float32 (2, samples), at the input's rate and length; a mono input gives two equal channels.

        Raises:
            InputError: the waveform is empty, not finite, or of another shape.
        """
        stream = self.stream(mixture, sample_rate=sample_rate, budget_seconds=budget_seconds, refine=refine)
        finished = last_event(stream)
        for text in finished.report.warnings():
            logger.warning(text)
        return finished.result

    def stream(
        self,
        mixture: npt.ArrayLike,
        *,
        sample_rate: int = SAMPLE_RATE,
        budget_seconds: float | None = None,
        refine: bool | None = None,
        emit_stretches: bool = False,
    ) -> EventStream[Stems]:
        """Separate a waveform as :meth:`separate` does; the last event is ``Finished(stems, report)``.

        Args beyond those of :meth:`separate`:
            emit_stretches: yield every finished stretch of the stems as ``StretchDone``. Where :attr:`is_streamable`
                is True and there is no budget, the work goes through the song from start to end, so that the first
                stretch comes early; the stems are the same.
        """
        budget = self._budget(budget_seconds)
        working_rate = self.system.recipe.working_rate(sample_rate)
        with contextlib.ExitStack() as stack:
            meter = stack.enter_context(PeakMemoryMeter(self._read_device_memory))
            song_mixture = stack.enter_context(
                mixture_from_array(mixture, sample_rate, working_rate=working_rate, keeps_original=self._needs_original)
            )
            samples = song_mixture.samples
            write_cost = WriteCost(
                self._write_key("memory", sample_rate, samples / SAMPLE_RATE), BLENDING_SECONDS_PER_SECOND, 0.0
            )

            def new_store(channels: int = N_CHANNELS, samples: int = samples) -> MemoryStore:
                return MemoryStore(channels=channels, samples=samples)

            song = self._song(song_mixture, budget, write_cost, new_store, refine=refine, emit_stretches=emit_stretches)
            outputs = StemOutputs(self.stems, song_mixture, working_rate)
            stretches = Stretches(self.stems, song_mixture, rate=outputs.rate)
            stems = {stem: np.empty((2, song_mixture.source_samples), np.float32) for stem in self.stems}
            with song:
                yield from song.work()
                for block in song.blocks():
                    if isinstance(block, dict):
                        yield from _put(stretches.push(outputs.push(block)), stems, is_emitted=emit_stretches)
                    else:
                        yield block
            began = budget.elapsed()
            yield from _put(stretches.finish(outputs.finish()), stems, is_emitted=emit_stretches)
            self._learn(song, write_cost, budget.elapsed() - began)
            yield Finished(stems, report_of(song, peak_device_bytes=meter.peak_bytes))

    def separate_file(
        self,
        path: str | Path,
        directory: str | Path,
        *,
        audio_format: AudioFormat = WAV_16,
        budget_seconds: float | None = None,
        spent_seconds: float = 0.0,
        refine: bool | None = None,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
        record: RecordRequest | None = None,
        file_names: StemFileNames | None = None,
        keeps_tags: bool = True,
    ) -> SeparationReport:
        """Separate an audio file into ``directory/<source>.<format>``, from disk to disk.

        A set of stems that is already there is replaced as a whole.

        Args:
            path: anything libsndfile or FFmpeg can read, one or two channels, any rate.
            directory: created if missing; files in it are replaced only after every stem is complete.
            audio_format: format of the stems.
            budget_seconds: time limit for reading, separating and writing together; default: none.
            spent_seconds: part of the budget that is already spent, such as on loading the system.
            refine: as for :meth:`separate`.
            reading: track of the file to read, and whether more than two channels are mixed down.
            record: contents of the ``separation.json`` beside the stems; None writes no such file.
            file_names: names of the files; default: ``<stem>.<format>``.
            keeps_tags: whether title, artist, album, cover, tempo and other tags are copied from the song, or from
                ``record.original``.

        Returns:
            Report of the separation.

        Raises:
            InputError: the file cannot be separated.
            OutputError: the stems cannot be written, or one of them would replace the song itself.
        """
        events = self.stream_file(
            path,
            directory,
            audio_format=audio_format,
            budget_seconds=budget_seconds,
            spent_seconds=spent_seconds,
            refine=refine,
            reading=reading,
            record=record,
            file_names=file_names,
            keeps_tags=keeps_tags,
        )
        return last_event(events).report

    def stream_file(
        self,
        path: str | Path,
        directory: str | Path,
        *,
        audio_format: AudioFormat = WAV_16,
        budget_seconds: float | None = None,
        spent_seconds: float = 0.0,
        refine: bool | None = None,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
        record: RecordRequest | None = None,
        file_names: StemFileNames | None = None,
        keeps_tags: bool = True,
        emit_stretches: bool = False,
        mixture: Mixture | None = None,
    ) -> EventStream[SeparationReport]:
        """Separate a file as :meth:`separate_file` does; the last event is ``Finished(report, report)``.

        Args beyond those of :meth:`separate_file`:
            emit_stretches: as for :meth:`stream`. Stretches are the samples before a common gain of the format.
            mixture: the song of ``path`` if it is decoded already, at the system's working rate and with its original
                samples; the caller closes it. Default: it is decoded here.
        """
        require_encoder(audio_format)
        budget = self._budget(budget_seconds, spent_seconds)
        path, directory = Path(path), Path(directory)
        file_names = file_names or StemFileNames.plain(self.stems)
        InputFiles([path]).refuse_as_stems(directory, file_names.files.values())
        with contextlib.ExitStack() as stack:
            meter = stack.enter_context(PeakMemoryMeter(self._read_device_memory))

            def report() -> SeparationReport:
                return report_of(
                    song,
                    path,
                    writer,
                    startup_seconds=spent_seconds,
                    reading_seconds=reading_seconds,
                    peak_device_bytes=meter.peak_bytes,
                )

            describe = None
            if record is not None:
                given = record.settings
                settings = self._settings(budget_seconds, refine, reading) if given is None else given
                recipe = self.recipe(settings, audio_format)
                recorder = Recorder(self.system, recipe, record, path, directory, report=report)
                describe = stack.enter_context(contextlib.closing(recorder)).record
            scratch = nearest_folder(directory)
            began = budget.elapsed()
            mixture = mixture or stack.enter_context(self._decoded(path, scratch, reading))
            outputs = self._outputs(mixture)
            stretches = Stretches(self.stems, mixture, rate=outputs.rate) if emit_stretches else None
            tags, tag_notes = _tags_of(path, record) if keeps_tags else (SongTags(), ())
            reading_seconds = budget.elapsed() - began
            writer = stack.enter_context(
                self._writer(directory, mixture, outputs, audio_format, file_names, tags, describe)
            )

            def new_store(channels: int = N_CHANNELS, samples: int = mixture.samples) -> DiskStore:
                return stack.enter_context(DiskStore(channels, samples, directory=scratch))

            write_cost = self._write_cost(audio_format, mixture, reading_seconds)
            song = self._song(mixture, budget, write_cost, new_store, refine=refine, emit_stretches=emit_stretches)
            notes = (*tag_notes, *writer.notes)
            song.notes.extend(notes)
            yield from separate_to_writer(song, outputs, writer, notes=notes, stretches=stretches)
            began = budget.elapsed()
            yield from finish_writer(song, writer)
        self._learn(song, write_cost, budget.elapsed() - began, startup_seconds=spent_seconds)
        yield from map(Note, writer.gain_notes)
        done = report()
        yield Finished(done, done)

    def _writer(
        self,
        directory: Path,
        mixture: Mixture,
        outputs: StemOutputs,
        audio_format: AudioFormat,
        file_names: StemFileNames,
        tags: SongTags,
        describe: Describe | None,
    ) -> StemFolderWriter:
        """Return the writer of a song's stems, not entered yet."""
        return StemFolderWriter(
            directory,
            self.stems,
            sample_rate=mixture.source_rate,
            samples=mixture.source_samples,
            audio_format=audio_format,
            source_rate=outputs.rate,
            describe=describe,
            file_names=file_names,
            tags={stem: tags.for_stem(stem) for stem in self.stems},
        )

    def _decoded(self, path: Path, scratch: Path, reading: ReadOptions) -> Mixture:
        """Decode a song at the system's working rate, with its original samples if a stem needs them."""
        rate, keeps_original = self.system.recipe.working_rate, self._needs_original
        return load_mixture(
            path, scratch_dir=scratch, working_rate=rate, options=reading, keeps_original=keeps_original
        )

    def _outputs(self, mixture: Mixture) -> StemOutputs:
        """Return the chosen stems of a song; ValueError if it is not at the system's working rate."""
        if mixture.rate != self.system.recipe.working_rate(mixture.source_rate):
            raise ValueError(f"a mixture at {mixture.rate} Hz, which is not the working rate of the system")
        return StemOutputs(self.stems, mixture, mixture.rate)

    def _write_cost(self, audio_format: AudioFormat, mixture: Mixture, reading_seconds: float) -> WriteCost:
        """Return the cost of writing a song's stems; until it is measured, it follows from that of reading the song."""
        return WriteCost(
            self._write_key(cost_kind(audio_format), mixture.source_rate, mixture.samples / SAMPLE_RATE),
            WRITING_SECONDS_PER_SECOND + WRITING_SHARE * reading_seconds * SAMPLE_RATE / mixture.samples,
            MIN_WRITING_SECONDS,
        ).with_encoding(audio_format, n_stems=len(self.stems), n_cpus=available_cpus())

    @property
    def _needs_original(self) -> bool:
        """Whether a stem is the mixture minus an estimate."""
        return any(complemented_source(stem) for stem in self.stems)

    def _settings(self, budget_seconds: float | None, refine: bool | None, reading: ReadOptions) -> dict[str, Any]:
        """Return the options of a separation, for the record of a library call."""
        return {**self.settings, "budget": budget_seconds, "refine": refine, **vars(reading)}

    def _budget(self, seconds: float | None, spent_seconds: float = 0.0) -> Budget:
        limit = math.inf if seconds is None else seconds
        clock = self._clock or time.monotonic
        return Budget(limit, clock, clock() - spent_seconds)

    def _song(
        self,
        mixture: Mixture,
        budget: Budget,
        write_cost: WriteCost,
        new_store: NewStore,
        *,
        refine: bool | None,
        emit_stretches: bool,
    ) -> SongSeparation:
        return SongSeparation(
            system=self.system,
            mixture=mixture,
            budget=budget,
            costs=CostModel(self.calibration),
            write_cost=write_cost,
            new_store=new_store,
            refines=budget.is_limited if refine is None else refine,
            prefers_streaming=emit_stretches,
            n_threads=self._n_cpu_threads,
            notes=[*self.setup_notes, *mixture.notes],
        )

    def _write_key(self, kind: str, sample_rate: int, song_seconds: float) -> str:
        """Return the key of the cost of writing; a subset of stems is cheaper to blend and encode than all of them.

        Short songs have a key of their own, because opening and flushing a file take the same time for any length.
        """
        name, length = self.system.recipe.name, {"length": "short"} if song_seconds < MIN_MEASURED_SECONDS else {}
        return part_key("finish", system=name, stems=list(self.stems), kind=kind, sample_rate=sample_rate, **length)

    def _learn(
        self, song: SongSeparation, write_cost: WriteCost, seconds: float, *, startup_seconds: float = 0.0
    ) -> None:
        """Store the costs of this song's stages; ``seconds`` were spent after the last block."""
        closing_seconds = max(0.0, seconds - write_cost.min_seconds)
        song.costs.observe(write_cost.closing_key, song.seconds, closing_seconds, is_network=False)
        if not song.budget.is_limited and not song.refines and song.seconds >= MIN_MEASURED_SECONDS:
            song_seconds = song.budget.elapsed() - startup_seconds
            song.costs.observe(self._song_key, song.seconds, song_seconds, is_network=False)
        song.costs.keep()


def _tags_of(path: Path, record: RecordRequest | None) -> tuple[SongTags, tuple[str, ...]]:
    """Return the tags of a song, and notes on them; if this file is a copy, those of the original file."""
    return read_tags(path if record is None or record.original is None else record.original)


def _put(stretch: StretchDone, stems: Stems, *, is_emitted: bool) -> Iterator[StretchDone]:
    """Write a stretch into the stems of the whole song, and yield it if stretches are requested and it is not empty."""
    for stem, block in stretch.stems.items():
        stems[stem][:, stretch.start : stretch.stop] = block
    if is_emitted:
        yield from unless_empty(stretch)
