"""``separate``: write the stems of songs to folders."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from my_submission.audio_io import InputFiles, OutputPlaces, SongInput, find_songs, refuse_own_folder
from my_submission.audio_io.file_names import StemFileNames
from my_submission.audio_io.stem_sets import RECORD_FILE, add_pictures
from my_submission.budget import Budget
from my_submission.cli.grouped_options import command_of
from my_submission.cli.option_values import choice
from my_submission.cli.options import (
    OUTPUT,
    ChoiceOptions,
    EngineOptions,
    InputOptions,
    StemOptions,
    SystemOption,
    TimeOptions,
    settings_of,
    write_run_report,
)
from my_submission.cli.progress import SongProgress
from my_submission.errors import MdxError, UnknownNameError
from my_submission.pictures import AXES, require_matplotlib, write_pictures
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.separation_record import RecordRequest, is_separated_already
from terminal import process
from terminal.lines import complain

Failures = list[tuple[SongInput, MdxError]]


@dataclass(frozen=True)
class OutputOptions:
    """Where stems go, and what is written beside them."""

    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=OUTPUT,
            help="Folder of all stems; songs of the same name get their folders' names in front.",
        ),
    ]
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            rich_help_panel=OUTPUT,
            help="Skip songs whose separation.json shows the same song, system, weights and options.",
        ),
    ] = False
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.json", rich_help_panel=OUTPUT, help="Write a report of the run."),
    ] = None
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            rich_help_panel=OUTPUT,
            help="Also write a PNG of every track and report.html (needs the extra plot).",
        ),
    ] = False
    frequency_axis: Annotated[
        Literal["log", "linear"],
        choice("--frequency-axis", of=AXES, panel=OUTPUT, help_text="Of the pictures' spectrograms"),
    ] = "log"


@dataclass(frozen=True)
class _Run:
    """The options of a run, and its predictor."""

    predictor: Predictor
    output: OutputOptions
    choice: ChoiceOptions
    inputs: InputOptions
    time: TimeOptions
    stems: StemOptions
    settings: dict[str, Any]

    def place(self, song: SongInput) -> tuple[Path, StemFileNames]:
        """Return the folder of a song's stems, and the names of its files."""
        template, system = self.choice.template_for(song.path), self.predictor.system.recipe.name
        names = template.names(self.predictor.stems, song=song.name, system=system)
        return self.output.output / template.folder(song=song.name, system=system), names

    def separate(self, song: SongInput, progress: SongProgress, started: float) -> SeparationReport:
        """Separate one song."""
        directory, names = self.place(song)
        limit = self.time.seconds(song.path, self.inputs.reading)
        budget = Budget(math.inf if limit is None else limit, started=started)
        events = self.predictor.stream_file(
            song.path,
            directory,
            audio_format=self.stems.audio_format,
            budget_seconds=budget.seconds if budget.is_limited else None,
            spent_seconds=budget.elapsed(),
            refine=self.time.refines,
            reading=self.inputs.reading,
            record=RecordRequest(song=song.name, settings=self.settings),
            file_names=names,
        )
        report = progress.follow(song.name, events)
        if self.output.pictures:
            pictures = write_pictures(report, directory, song=song.name, axis=self.output.frequency_axis)
            add_pictures(directory, list(pictures.values()))
        return report.ended(budget)


def separate(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Audio files, or folders of songs.")],
    system: SystemOption,
    output: OutputOptions,
    choice: ChoiceOptions,
    stems: StemOptions,
    limits: TimeOptions,
    engine: EngineOptions,
    reading: InputOptions,
) -> int:
    """Separate every song, even if others fail. The first song's budget begins with the process."""
    began = process.began()
    if output.pictures:
        require_matplotlib()
    found: list[str] = []
    songs = find_songs(inputs, on_note=found.append)
    _refuse_shared_names(songs, choice, output)
    own, places = InputFiles(song.path for song in songs), OutputPlaces()
    own.refuse_as_outputs([output.report] if output.report else [])
    predictor = engine.load(system.system, choice.names)
    settings = settings_of(limits, engine, reading, choice)
    run = _Run(predictor, output, choice, reading, limits, stems, settings)
    recipe = predictor.recipe(run.settings, stems.audio_format)
    start_seconds = time.monotonic() - began
    reports: list[SeparationReport] = []
    failures: Failures = []
    n_skipped = 0
    with SongProgress(len(songs)) as progress:
        progress.notes((*found, *predictor.setup_notes))
        for song in songs:
            directory, names = run.place(song)
            place = directory if names.record_file == RECORD_FILE else directory / names.record_file
            started = time.monotonic() - (0.0 if reports or failures else start_seconds)
            try:
                refuse_own_folder(song.path, directory)
                own.refuse_as_stems(directory, names.files.values())
                places.refuse_taken(place, song.name)
                if output.skip_existing and is_separated_already(song.path, directory, recipe, names):
                    n_skipped += 1
                    progress.skipped(song.name)
                else:
                    reports.append(run.separate(song, progress, started))
                    progress.done(song.name, reports[-1])
                places.take(place, song.name)
            except MdxError as error:
                failures.append((song, error))
                progress.failed(song.name, error)
            failed = [{"song": song.name, "path": str(song.path), "error": str(error)} for song, error in failures]
            write_run_report(output.report, [report.as_json() for report in reports], failed)
    return _conclude(reports, failures, n_skipped)


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


def _conclude(reports: list[SeparationReport], failures: Failures, n_skipped: int) -> int:
    """Show failures and return the exit code."""
    for song, reason in failures:
        complain(f"error: {song.name}: {reason}")
    if failures:
        complain(f"{len(failures)} song(s) failed, {len(reports)} done, {n_skipped} skipped")
    n_unseparated = sum(not report.is_separated for report in reports)
    if n_unseparated:
        complain(
            f"error: {n_unseparated} song(s) not separated because the time was too short; "
            "the stems are shares of the mixture. Give more time with --budget or --budget-factor."
        )
    return 1 if failures or n_unseparated else 0


command = command_of(separate, "separate", "Separate songs into stems.")
