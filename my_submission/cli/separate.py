"""``separate``: write the stems of songs to folders."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from my_submission.audio_io import InputFiles, OutputFolders, SongInput, find_songs, refuse_own_folder
from my_submission.audio_io.stem_sets import add_pictures
from my_submission.budget import Budget
from my_submission.cli.options import (
    REFINE,
    add_input_arguments,
    add_run_arguments,
    add_stem_arguments,
    audio_format_of,
    budget_seconds,
    load_predictor,
    read_options,
    settings_of,
    write_run_report,
)
from my_submission.cli.progress import SongProgress
from my_submission.errors import MdxError
from my_submission.pictures import AXES, require_matplotlib, write_pictures
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.separation_record import RecordRequest, is_separated_already
from my_submission.systems import DEFAULT_SYSTEM
from terminal import process
from terminal.lines import complain

Failures = list[tuple[SongInput, MdxError]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="an audio file, or a folder of songs")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="stems are written to DIR/<song>/; songs of the same name get their folders' names in front",
    )
    parser.add_argument("--system", default=DEFAULT_SYSTEM, help="see `systems` (default: %(default)s)")
    add_input_arguments(parser)
    add_run_arguments(parser)
    add_stem_arguments(parser)
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip songs whose separation.json shows the same song, system, weights and options",
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write a report")
    parser.add_argument(
        "--pictures", action="store_true", help="also write a PNG of every track and report.html (needs [plot])"
    )
    parser.add_argument(
        "--frequency-axis", choices=AXES, default="log", help="of the pictures' spectrograms (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Separate every song, even if others fail. The first song's budget begins with the process."""
    began = process.began()
    if options.pictures:
        require_matplotlib()
    found: list[str] = []
    songs = find_songs(options.inputs, on_note=found.append)
    own, folders = InputFiles(song.path for song in songs), OutputFolders()
    own.refuse_as_outputs([options.report] if options.report else [])
    predictor = load_predictor(options.system, options)
    recipe = predictor.recipe(settings_of(options), audio_format_of(options))
    start_seconds = time.monotonic() - began
    reports: list[SeparationReport] = []
    failures: Failures = []
    n_skipped = 0
    with SongProgress(len(songs)) as progress:
        progress.notes((*found, *predictor.setup_notes))
        for song in songs:
            directory = options.output / song.name
            started = time.monotonic() - (0.0 if reports or failures else start_seconds)
            try:
                refuse_own_folder(song.path, directory)
                own.refuse_as_stems(directory, predictor.sources)
                folders.refuse_taken(directory, song.name)
                if options.skip_existing and is_separated_already(song.path, directory, recipe):
                    n_skipped += 1
                    progress.skipped(song.name)
                else:
                    limit = budget_seconds(options, song.path)
                    budget = Budget(math.inf if limit is None else limit, started=started)
                    reports.append(_separate(predictor, song, directory, options, progress, budget))
                    if options.pictures:
                        pictures = write_pictures(reports[-1], directory, song=song.name, axis=options.frequency_axis)
                        add_pictures(directory, list(pictures.values()))
                    reports[-1] = reports[-1].ended(budget)
                    progress.done(song.name, reports[-1])
                folders.take(directory, song.name)
            except MdxError as error:
                failures.append((song, error))
                progress.failed(song.name, error)
            failed = [{"song": song.name, "path": str(song.path), "error": str(error)} for song, error in failures]
            write_run_report(options.report, [report.as_json() for report in reports], failed)
    return _conclude(reports, failures, n_skipped)


def _separate(
    predictor: Predictor,
    song: SongInput,
    directory: Path,
    options: argparse.Namespace,
    progress: SongProgress,
    budget: Budget,
) -> SeparationReport:
    """Separate one song."""
    events = predictor.stream_file(
        song.path,
        directory,
        audio_format=audio_format_of(options),
        budget_seconds=budget.seconds if budget.is_limited else None,
        spent_seconds=budget.elapsed(),
        refine=REFINE[options.refine],
        reading=read_options(options),
        record=RecordRequest(song=song.name, settings=settings_of(options)),
    )
    return progress.follow(song.name, events)


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
