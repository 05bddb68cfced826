"""``separate``: write the stems of songs to folders."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from my_submission.audio_io import InputFiles, OutputPlaces, SongInput, find_songs, refuse_own_folder
from my_submission.audio_io.writing.file_names import StemFileNames
from my_submission.audio_io.writing.stem_sets import RECORD_FILE, add_pictures
from my_submission.budget import Budget
from my_submission.cli.expectation import durations_of, expectation
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.network_options import NetworkGroup
from my_submission.cli.option_values import choice
from my_submission.cli.options import EngineOptions, InputOptions, ReportFile, SystemOption, TimeOptions, settings_of
from my_submission.cli.panels import OUTPUT
from my_submission.cli.progress import RunProgress
from my_submission.cli.run_reports import write_run_report
from my_submission.cli.standard_input import (
    DEFAULT_NAME,
    STANDARD_INPUT,
    GivenInputs,
    inputs_as_files,
    refuse_terminal,
)
from my_submission.cli.stem_options import ChoiceOptions, StemOptions
from my_submission.errors import MdxError, UnknownNameError
from my_submission.pictures import AXES, require_matplotlib, write_pictures
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.separation_record import RecordRequest, is_separated_already
from terminal import process
from terminal.lines import complain
from terminal.quantities import songs


@dataclass(frozen=True)
class OutputOptions:
    """Location of stems, and files written beside them."""

    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=OUTPUT,
            help="Output folder; songs with the same name are told apart by their folders' names.",
        ),
    ] = Path("stems")
    name: Annotated[
        str,
        typer.Option("--name", metavar="NAME", rich_help_panel=OUTPUT, help="Name of the song on standard input."),
    ] = DEFAULT_NAME
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            rich_help_panel=OUTPUT,
            help="Skip songs whose separation.json records the same song, system, weights and options.",
        ),
    ] = False
    report: ReportFile = None
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            rich_help_panel=OUTPUT,
            help="Also write a PNG of every track and report.html, after the time limit (needs the extra plot).",
        ),
    ] = False
    frequency_axis: Annotated[
        Literal["log", "linear"],
        choice("--frequency-axis", of=AXES, panel=OUTPUT, help_text="Frequency axis of the spectrograms"),
    ] = "log"


@dataclass
class _Run:
    """A run: its options, its predictor, and the outcome of its songs.

    Attributes:
        files: the inputs; no output replaces one.
        start_seconds: seconds from the start of the process to the first song, which its time limit includes.
    """

    predictor: Predictor
    output: OutputOptions
    choice: ChoiceOptions
    reading: InputOptions
    limits: TimeOptions
    stems: StemOptions
    settings: dict[str, Any]
    files: InputFiles
    start_seconds: float
    places: OutputPlaces = field(default_factory=OutputPlaces)
    reports: list[SeparationReport] = field(default_factory=list)
    failures: list[tuple[SongInput, MdxError]] = field(default_factory=list)
    n_skipped: int = 0

    def separate_all(self, songs: Sequence[SongInput], progress: RunProgress, given: GivenInputs) -> None:
        """Separate every song, even if others fail; the report of the run is written after each."""
        for song in songs:
            try:
                self._separate(song, progress)
            except MdxError as error:
                self.failures.append((song, given.restated(error)))
                progress.failed(song.name, error)
            failed = [{"song": song.name, "path": str(song.path), "error": str(why)} for song, why in self.failures]
            write_run_report(self.output.report, [report.as_json() for report in self.reports], failed)

    def _separate(self, song: SongInput, progress: RunProgress) -> None:
        directory, names = self._names(song)
        place = directory if names.record_file == RECORD_FILE else directory / names.record_file
        is_first = not self.reports and not self.failures
        started = time.monotonic() - (self.start_seconds if is_first else 0.0)
        refuse_own_folder(song.path, directory)
        self.files.refuse_as_stems(directory, names.files.values())
        self.places.refuse_taken(place, song.name)
        recipe = self.predictor.recipe(self.settings, self.stems.audio_format)
        if self.output.skip_existing and is_separated_already(song.path, directory, recipe, names):
            self.n_skipped += 1
            progress.skipped(song.name)
        else:
            limit = self.limits.seconds(song.path, self.reading.reading)
            budget = Budget(math.inf if limit is None else limit, started=started)
            report = self._stems(song, directory, names, progress, budget)
            self.reports.append(report)
            progress.done(song.name, report)
        self.places.take(place, song.name)

    def _names(self, song: SongInput) -> tuple[Path, StemFileNames]:
        """Return the folder of a song's stems, and the names of its files."""
        template, system = self.choice.template_for(song.path), self.predictor.system.recipe.name
        names = template.names(self.predictor.stems, song=song.name, system=system)
        return self.output.output / template.folder(song=song.name, system=system), names

    def _stems(
        self, song: SongInput, directory: Path, names: StemFileNames, progress: RunProgress, budget: Budget
    ) -> SeparationReport:
        """Write the stems of a song, and pictures if they are requested; the time limit is for the stems."""
        events = self.predictor.stream_file(
            song.path,
            directory,
            audio_format=self.stems.audio_format,
            budget_seconds=budget.seconds if budget.is_limited else None,
            spent_seconds=budget.elapsed(),
            refine=self.limits.refines,
            reading=self.reading.reading,
            record=RecordRequest(song=song.name, settings=self.settings),
            file_names=names,
        )
        report = progress.follow(song.name, events, budget_seconds=budget.remaining() if budget.is_limited else None)
        if self.output.pictures:
            pictures = write_pictures(report, directory, song=song.name, axis=self.output.frequency_axis)
            add_pictures(directory, list(pictures.values()))
        return report

    def conclude(self, progress: RunProgress) -> int:
        """Show the end of the run and return the exit code."""
        for song, reason in self.failures:
            complain(f"error: {song.name}: {reason}")
        if self.failures:
            complain(f"{songs(len(self.failures))} failed, {len(self.reports)} done, {self.n_skipped} skipped")
        n_unseparated = sum(not report.is_separated for report in self.reports)
        if n_unseparated:
            complain(
                f"error: {songs(n_unseparated)} not separated because the time was too short; "
                "the stems are equal shares of the mixture. Give more time with --budget or --budget-factor."
            )
        if len(self.reports) > 1:
            progress.ended(self.output.output, self.reports)
        return 1 if self.failures or n_unseparated else 0


def separate(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            callback=refuse_terminal,
            help="Audio files, folders that are searched for songs, or - for standard input.",
        ),
    ],
    system: SystemOption,
    output: OutputOptions,
    choice: ChoiceOptions,
    stems: StemOptions,
    limits: TimeOptions,
    engine: EngineOptions,
    reading: InputOptions,
    network: NetworkGroup,
    messages: Messages,
) -> int:
    """Separate songs. The first song's time limit begins with the process."""
    began = process.began()
    if output.pictures:
        require_matplotlib()
    _refuse_unused_name(inputs, output.name)
    with inputs_as_files(inputs, output.name) as given:
        notes: list[str] = []
        songs = find_songs(given.paths, output=output.output, on_note=notes.append)
        _refuse_shared_names(songs, choice, output)
        files = InputFiles(song.path for song in songs)
        files.refuse_as_outputs([output.report] if output.report else [])
        predictor = engine.load(system.system, choice.names, network)
        durations = durations_of([song.path for song in songs], reading.reading)
        run = _Run(
            predictor,
            output,
            choice,
            reading,
            limits,
            stems,
            settings=settings_of(limits, engine, reading, choice, network),
            files=files,
            start_seconds=time.monotonic() - began,
        )
        with RunProgress(durations, is_quiet=messages.quiet) as progress:
            progress.begin(expectation(songs, durations, predictor, limits, draws_pictures=output.pictures))
            progress.notes((*notes, *predictor.setup_notes))
            run.separate_all(songs, progress, given)
        return run.conclude(progress)


def _refuse_unused_name(inputs: Sequence[Path], name: str) -> None:
    """Refuse ``--name`` without standard input, whose song it names."""
    if name != DEFAULT_NAME and STANDARD_INPUT not in inputs:
        raise UnknownNameError(
            "--name is the name of the song on standard input, but no input is -",
            hint="choose the names of the files with --filename",
        )


def _refuse_shared_names(songs: Sequence[SongInput], choice: ChoiceOptions, output: OutputOptions) -> None:
    """Refuse a template by which songs would have common files.

    Raises:
        UnknownNameError: it is such a template.
    """
    templates = [choice.template_for(song.path) for song in songs]
    if len(songs) > 1 and not all(template.has_song for template in templates):
        raise UnknownNameError("several songs would have the same file names", hint="add {song} to --filename")
    if output.pictures and not all(template.has_song_folders for template in templates):
        raise UnknownNameError("pictures need a folder per song", hint="add {song}/ to --filename")


command = command_of(
    separate,
    "separate",
    "Separate songs into stems.",
    epilog="Examples: separate song.mp3 · separate music/ -o stems -n kuielab-a · separate - --name demo < song.mp3",
)
