"""``evaluate``: separate a data set, score it, and compare the scores with the published leaderboards."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import soundfile
import typer

from evaluator import cli as evaluator_cli
from evaluator.audio import FileStem
from evaluator.datasets import DatasetSong, find_songs
from evaluator.errors import EvaluationError
from evaluator.scoring import METRICS
from my_submission.audio_io import DEFAULT_READ_OPTIONS, WAV_16, SongInput, folder_name
from my_submission.cli.expectation import durations_of, expectation
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import choice, complete_systems, split
from my_submission.cli.options import EngineOptions, TimeOptions, settings_of
from my_submission.cli.panels import OUTPUT
from my_submission.cli.progress import RunProgress
from my_submission.cli.run_reports import write_json
from my_submission.errors import MdxError
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.run_facts import run_facts
from my_submission.predictor.separation_record import RecordRequest, is_separated_already
from my_submission.systems import DEFAULT_SYSTEM
from terminal.documents import read_json
from terminal.lines import complain, quiet_output
from terminal.names import restored
from terminal.quantities import counted

logger = logging.getLogger(__name__)

_BLOCK_SAMPLES = 1 << 18

_MAX_RUN_BYTES = 64 << 20
"""A report takes some kilobytes per song."""


@dataclass(frozen=True)
class ScoringOptions:
    """Options of scoring, and the location of results."""

    system: Annotated[
        list[str],
        typer.Option(
            "--system",
            "-n",
            metavar="NAME",
            autocompletion=complete_systems,
            help="System to evaluate; repeatable, or several with commas.",
        ),
    ] = field(default_factory=lambda: [DEFAULT_SYSTEM])
    metric: Annotated[
        list[str],
        choice(
            "--metric",
            of=METRICS,
            has_several=True,
            help_text="Metric, or several with commas",
        ),
    ] = field(default_factory=lambda: ["mdx"])
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", rich_help_panel=OUTPUT, help="Folder of stems and scores."),
    ] = Path("evaluation")
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", rich_help_panel=OUTPUT, help="Write the comparison as an HTML page."),
    ] = None


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folders <song>/<stem>.wav, or .stem.mp4 files.")],
    scoring: ScoringOptions,
    limits: TimeOptions,
    engine: EngineOptions,
    messages: Messages,
) -> int:
    """Separate, score and compare; return 1 when a song failed."""
    try:
        songs = find_songs(dataset)
    except EvaluationError as error:
        complain(f"error: {error}")
        return 1
    code = 0
    scores = []
    for system in split(scoring.system):
        folder = scoring.output / system
        code |= _separate_all(system, songs, folder, limits, engine, messages)
        scores.append(folder / "scores.json")
        named = ["--system", system, "--dataset", dataset.resolve().name]
        written = ["--json", str(scores[-1]), "--metric", *split(scoring.metric)]
        quiet = ["--quiet"] if messages.quiet else []
        code |= evaluator_cli.main(["score", str(dataset), str(folder), *named, *written, *quiet])
    present = [str(path) for path in scores if path.is_file()]
    if present:
        with quiet_output(is_quiet=messages.quiet):
            code |= evaluator_cli.main(["replay", *present, *(["--html", str(scoring.html)] if scoring.html else [])])
    return code


def _separate_all(
    system: str, songs: list[DatasetSong], folder: Path, limits: TimeOptions, engine: EngineOptions, messages: Messages
) -> int:
    """Separate the remaining songs one by one; ``run.json`` is written after each."""
    predictor = engine.load(system)
    settings = settings_of(limits, engine)
    run = run_facts(predictor.system, settings)
    done = _done_before(folder / "run.json", run)
    names = folder_names(songs)
    failed: dict[str, str] = {}
    n_unseparated = 0
    durations = durations_of([_mixture_file(song) for song in songs], DEFAULT_READ_OPTIONS)
    with RunProgress(durations, is_quiet=messages.quiet) as progress:
        progress.begin(expectation([SongInput(name, Path(name)) for name in names], durations, predictor, limits))
        progress.notes(predictor.setup_notes)
        for song, name in zip(songs, names, strict=True):
            try:
                may_skip = name in done
                report = _separate(predictor, song, folder / name, name, limits, settings, progress, may_skip=may_skip)
                if report is not None:
                    done[name] = report.as_json()
                    n_unseparated += not report.is_separated
            except (MdxError, EvaluationError) as error:
                failed[name] = str(error)
                complain(f"error: {name}: {error}")
            write_json(folder / "run.json", {**run, "songs": done, "failed": failed})
    if n_unseparated:
        complain(
            f"error: {counted(n_unseparated, 'song')} not separated because the time was too short; "
            "give more with --budget"
        )
    return 1 if failed or n_unseparated else 0


def _mixture_file(song: DatasetSong) -> Path | None:
    """Return the file of a song's mixture; None if it is the sum of its stems."""
    return song.stem_mp4 or (song.mixture.path if isinstance(song.mixture, FileStem) else None)


def folder_names(songs: Sequence[DatasetSong]) -> list[str]:
    """Return the output folder of every song: its name, or its path in the data set where names repeat."""
    counts = Counter(song.name for song in songs)
    return [folder_name(song.name) if counts[song.name] == 1 else song.location for song in songs]


def _done_before(path: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Return the reports of an earlier run by song, if it had the same weights and settings."""
    try:
        earlier = read_json(path, max_bytes=_MAX_RUN_BYTES)
    except FileNotFoundError:
        return {}
    except ValueError:
        logger.warning("%s is damaged; every song is separated again", path)
        return {}
    if not isinstance(earlier, dict) or not isinstance(earlier.get("songs"), dict):
        logger.warning("%s is not the run.json of an evaluation; every song is separated again", path)
        return {}
    if any(earlier.get(key) != run[key] for key in ("schema", "system", "settings", "weights")):
        logger.warning("%s was made with other weights or settings; every song is separated again", path)
        return {}
    return {restored(song): report for song, report in earlier["songs"].items()}


def _separate(
    predictor: Predictor,
    song: DatasetSong,
    directory: Path,
    name: str,
    limits: TimeOptions,
    settings: dict[str, Any],
    progress: RunProgress,
    *,
    may_skip: bool,
) -> SeparationReport | None:
    """Separate one song, unless its stems exist, complete and made with the same recipe."""
    with mixture_file(song) as path:
        recipe = predictor.recipe(settings, WAV_16)
        if may_skip and is_separated_already(path, directory, recipe):
            progress.skipped(name)
            return None
        limit = limits.seconds(path)
        record = RecordRequest(song=name, settings=settings)
        events = predictor.stream_file(path, directory, budget_seconds=limit, refine=limits.refines, record=record)
        report = progress.follow(name, events)
        progress.done(name, report)
        return report


@contextmanager
def mixture_file(song: DatasetSong) -> Iterator[Path]:
    """Yield the mixture of a song as a file: its own, or the sum of its stems if it has none."""
    mixture = song.mixture
    if song.stem_mp4 is not None:
        yield song.stem_mp4
    elif isinstance(mixture, FileStem):
        yield mixture.path
    else:
        with tempfile.TemporaryDirectory(prefix="mixture-") as scratch:
            # As AU, because float WAV files contain the time of writing, and stems are known by the hash of the file.
            path = Path(scratch) / "mixture.au"
            summed = song.mixture_or_sum()
            shape = summed.shape()
            with soundfile.SoundFile(path, "w", shape.sample_rate, shape.channels, subtype="FLOAT") as file:
                for block in summed.blocks(_BLOCK_SAMPLES):
                    file.write(block.T)
            yield path


command = command_of(
    evaluate, "evaluate", "Separate a data set, score it and compare the scores with the published leaderboards."
)
