"""``separate``: write the stems of songs to folders."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from my_submission.audio_io import InputFiles, OutputFolders, SongInput, find_songs, refuse_own_folder
from my_submission.audio_io.stem_sets import add_pictures
from my_submission.budget import Budget
from my_submission.cli.grouped_options import command_of
from my_submission.cli.option_values import choice
from my_submission.cli.options import (
    OUTPUT,
    EngineOptions,
    InputOptions,
    StemOptions,
    SystemOption,
    TimeOptions,
    settings_of,
    write_run_report,
)
from my_submission.cli.progress import SongProgress
from my_submission.errors import MdxError
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
            help="Stems are written to DIR/<song>/; songs of the same name get their folders' names in front.",
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
    inputs: InputOptions
    time: TimeOptions
    stems: StemOptions
    settings: dict[str, Any]

    def separate(self, song: SongInput, progress: SongProgress, started: float) -> SeparationReport:
        """Separate one song."""
        directory = self.output.output / song.name
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
    own, folders = InputFiles(song.path for song in songs), OutputFolders()
    own.refuse_as_outputs([output.report] if output.report else [])
    predictor = engine.load(system.system)
    run = _Run(predictor, output, reading, limits, stems, settings_of(limits, engine, reading))
    recipe = predictor.recipe(run.settings, stems.audio_format)
    start_seconds = time.monotonic() - began
    reports: list[SeparationReport] = []
    failures: Failures = []
    n_skipped = 0
    with SongProgress(len(songs)) as progress:
        progress.notes((*found, *predictor.setup_notes))
        for song in songs:
            directory = output.output / song.name
            started = time.monotonic() - (0.0 if reports or failures else start_seconds)
            try:
                refuse_own_folder(song.path, directory)
                own.refuse_as_stems(directory, predictor.stems)
                folders.refuse_taken(directory, song.name)
                if output.skip_existing and is_separated_already(song.path, directory, recipe):
                    n_skipped += 1
                    progress.skipped(song.name)
                else:
                    reports.append(run.separate(song, progress, started))
                    progress.done(song.name, reports[-1])
                folders.take(directory, song.name)
            except MdxError as error:
                failures.append((song, error))
                progress.failed(song.name, error)
            failed = [{"song": song.name, "path": str(song.path), "error": str(error)} for song, error in failures]
            write_run_report(output.report, [report.as_json() for report in reports], failed)
    return _conclude(reports, failures, n_skipped)


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
