"""The command line: ``python -m evaluator score`` and ``python -m evaluator replay``.

Exit codes: 0 success; 1 an error, or at least one song failed (the others are scored); 2 wrong usage; 130 interrupted;
143 terminated.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from evaluator.boards import all_boards
from evaluator.comparison import Comparison, compare_folders
from evaluator.errors import EvaluationError
from evaluator.exports import to_csv, write_museval_track
from evaluator.fitting import CHANNELS, LENGTHS, EstimateOptions
from evaluator.replay import DEFAULT_TOLERANCE_DB
from evaluator.replay_page import replay_page
from evaluator.replay_plot import replay_png
from evaluator.replay_session import replay
from evaluator.runner import ScoringTask, SongDone, run_tasks
from evaluator.scores import Document, scores_document, to_json, write_atomically
from evaluator.scoring import FRAMEWISE_METRICS, METRICS, SongScore
from evaluator.tables import decibels, score_tables
from terminal import process
from terminal.lines import CommandParser, columns, complain, say
from terminal.paths import explained_paths

RESULTS_FOLDER = ".evaluator"
"""Default folder, below the estimates, for the results of finished songs."""

TaskRunner = Callable[[Sequence[ScoringTask]], Iterator[SongDone]]
"""A function that scores songs, such as :func:`evaluator.runner.run_tasks`."""


def main(arguments: Sequence[str] | None = None, *, runner: TaskRunner | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: by default those of this process.
        runner: scores the songs, for example on a cluster; by default processes of this machine.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    options.runner = runner
    try:
        with explained_paths(EvaluationError):
            code: int = options.command(options, parser)
    except EvaluationError as error:
        complain(f"evaluator: {error}")
        return 1
    except KeyboardInterrupt as stop:
        complain(f"evaluator: {process.stop_message(stop)}; run the same command again to score the remaining songs")
        return process.exit_code(stop)
    return code


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m evaluator", description="Score stems; compare scores with leaderboards.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_score(commands)
    _add_replay(commands)
    return parser


def _add_replay(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser("replay", help="rank scores files on published leaderboards and compare them")
    add = command.add_argument
    add("scores", type=Path, nargs="*", help="files written by score --json; two or more are compared song by song")
    add(
        "--board",
        nargs="+",
        default=[],
        metavar="NAME",
        help="boards to show in full; default: all with the same metric, one in full",
    )
    add("--entry", metavar="NAME", help="entry to compare with; default: the nearest overall value")
    add(
        "--tolerance",
        type=float,
        default=DEFAULT_TOLERANCE_DB,
        metavar="DB",
        help="largest difference that counts as equal; default: %(default)s",
    )
    add("--html", type=Path, metavar="FILE", help="write a page with sortable tables and plots")
    add("--plot", type=Path, metavar="FILE.png", help="write a plot (needs matplotlib)")
    add("--seed", type=int, default=0, help="seed of the bootstrap; default: %(default)s")
    add("--resamples", type=int, default=10_000, metavar="N", help="bootstrap resamples; default: %(default)s")
    add("--confidence", type=float, default=0.95, metavar="P", help="confidence level; default: %(default)s")
    add("--list", action="store_true", help="list boards and entries, then exit")
    command.set_defaults(command=_replay)


def _replay(options: argparse.Namespace, parser: CommandParser) -> int:
    if options.list:
        for board in all_boards():
            print(f"{board.name} ({board.dataset}{', hidden' if board.is_hidden else ''}; {board.metrics[0]})")
            print("\n".join(f"  {entry.name}  {decibels(entry.overall)}" for entry in board.entries))
        return 0
    if not options.scores:
        parser.error("give at least one scores file, or --list")
    if not 0 < options.confidence < 1 or options.resamples < 1 or not options.tolerance >= 0:
        parser.error("--confidence must be between 0 and 1, --resamples at least 1, --tolerance at least 0")
    outcome = replay(
        options.scores,
        boards=options.board,
        entry=options.entry,
        rng=np.random.default_rng(options.seed),
        n_resamples=options.resamples,
        confidence=options.confidence,
    )
    for line in outcome.text(tolerance_db=options.tolerance, max_width=columns()).split("\n"):
        say(line)
    if options.html:
        write_atomically(options.html, replay_page(outcome.placements, outcome.comparisons))
    if options.plot:
        write_atomically(options.plot, replay_png([group for group, _ in outcome.placements]))
    return 0


def _add_score(commands: argparse._SubParsersAction[CommandParser]) -> None:
    score = commands.add_parser("score", help="score a folder of stems against a data set")
    add = score.add_argument
    add("references", type=Path, help="data set: <song>/<source>.wav, or MUSDB18 .stem.mp4 files")
    add("estimates", type=Path, nargs="?", help="separated stems: <song>/<source>.wav")
    add(
        "--baseline",
        action="store_true",
        help="score mixture / number of sources instead of ESTIMATES",
    )
    add("--metric", nargs="+", choices=METRICS, default=["mdx"], help="metrics; default: mdx, the challenge's SDR")
    _add_comparison(score)
    _add_outputs(score)
    _add_running(score)
    add("-q", "--quiet", action="store_true", help="print nothing but errors")
    score.set_defaults(command=_score)


def _add_comparison(score: CommandParser) -> None:
    """Add the options of what is compared: sources, and estimates of another shape."""
    add = score.add_argument
    add(
        "--sources",
        metavar="A,B,…",
        help="sources to score; default: those that most songs have; accompaniment and instrumental exclude vocals",
    )
    add(
        "--length",
        choices=LENGTHS,
        default="exact",
        help="pad: zero-pad short estimates and cut long ones, as museval does; default: another length is an error",
    )
    add("--resample", action="store_true", help="resample estimates to the sample rate of the references")
    add(
        "--channels",
        choices=CHANNELS,
        default="exact",
        help="match: repeat a mono estimate on every channel, average to a mono reference; default: an error",
    )


def _add_outputs(score: CommandParser) -> None:
    """Add the names in a scores file, and the files to write."""
    add = score.add_argument
    add("--dataset", help="name of the data set for replay; default: the folder's name")
    add("--system", help="name of the separator; default: the folder's name")
    add("--json", type=Path, metavar="FILE", help="write a scores file")
    add("--csv", type=Path, metavar="FILE", help="write one row per number")
    add("--museval-json", type=Path, metavar="DIR", help="write museval's per-track JSON (framewise metrics)")


def _add_running(score: CommandParser) -> None:
    """Add the number of processes, and where results of finished songs are kept."""
    add = score.add_argument
    add(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="songs scored at a time; default: all cores",
    )
    add(
        "--results",
        type=Path,
        metavar="DIR",
        help=f"scores of finished songs; default: ESTIMATES/{RESULTS_FOLDER}",
    )
    add("--no-results", action="store_true", help="neither read nor write scores of finished songs")


def _score(options: argparse.Namespace, parser: CommandParser) -> int:
    if (options.estimates is None) != options.baseline:
        parser.error("give ESTIMATES, or --baseline without them")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    if options.museval_json and not set(options.metric) & set(FRAMEWISE_METRICS):
        parser.error(f"--museval-json needs a framewise metric: {', '.join(FRAMEWISE_METRICS)}")
    metrics = tuple(dict.fromkeys(options.metric))
    allowed = EstimateOptions(options.length, options.resample, options.channels)
    plan = compare_folders(
        options.references,
        options.estimates,
        metrics=metrics,
        sources=[name.strip() for name in options.sources.split(",")] if options.sources else None,
        results_dir=_results_dir(options),
        options=allowed,
    )
    failed = dict(plan.failed)
    for song, reason in failed.items():
        complain(f"{song}: {reason}")
    runner = options.runner or partial(run_tasks, n_processes=options.jobs)
    songs = _run(plan, metrics, failed, runner, is_quiet=options.quiet)
    document = scores_document(
        songs,
        dataset=options.dataset or options.references.resolve().name,
        system=options.system or ("mixture baseline" if options.baseline else options.estimates.resolve().name),
        sources=plan.sources,
        failed=failed,
        options=allowed,
    )
    _write_and_print(options, document, songs)
    if failed:
        n_done = len(plan.tasks) + len(plan.failed) - len(failed)
        complain(f"evaluator: {len(failed)} songs not scored ({', '.join(failed)}); {n_done} done")
    return 1 if failed else 0


def _results_dir(options: argparse.Namespace) -> Path | None:
    if options.no_results:
        return None
    if options.results is not None or options.estimates is None:
        return options.results  # type: ignore[no-any-return]
    folder: Path = options.estimates / RESULTS_FOLDER
    return folder


def _run(
    plan: Comparison, metrics: Sequence[str], failed: dict[str, str], run: TaskRunner, *, is_quiet: bool
) -> dict[str, dict[str, SongScore]]:
    """Score every song and print its progress line; failures are added to ``failed``."""
    songs: dict[str, dict[str, SongScore]] = {metric: {} for metric in metrics}
    for done in run(plan.tasks):
        if not is_quiet or done.failure is not None:
            complain(_progress(done))
        if done.failure is not None:
            failed[done.name] = done.failure
        for metric, score in done.scores.items():
            songs[metric][done.name] = score
    order = [task.name for task in plan.tasks]
    return {metric: {name: by_song[name] for name in order if name in by_song} for metric, by_song in songs.items()}


def _progress(done: SongDone) -> str:
    head = f"[{done.index}/{done.total}] {done.name}"
    if done.failure is not None:
        return f"{head}: {done.failure}"
    score = next(iter(done.scores.values()))
    silent = {"reference": score.silent_references, "estimate": score.silent_estimates}
    notes = [*score.notes, *(f"{side} {', '.join(names)} is silent" for side, names in silent.items() if names)]
    notes += [f"{', '.join(done.reused)} already scored"] if done.reused else []
    return f"{head}: {'; '.join(notes)}" if notes else head


def _write_and_print(options: argparse.Namespace, document: Document, songs: dict[str, dict[str, SongScore]]) -> None:
    for line in () if options.quiet else score_tables(document, max_width=columns()).split("\n"):
        say(line)
    if options.json:
        write_atomically(options.json, to_json(document))
    if options.csv:
        write_atomically(options.csv, to_csv(document))
    if options.museval_json:
        metric = next(name for name in songs if name in FRAMEWISE_METRICS)
        for name, score in songs[metric].items():
            write_museval_track(options.museval_json, name, score)
