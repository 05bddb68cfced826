"""The command line: ``python -m evaluator score`` and ``python -m evaluator replay``.

Exit codes: 0 done; 1 the work failed, or a song did (the others are scored and kept); 2 wrong usage; 130 interrupted,
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
from evaluator.runner import ScoringTask, SongDone, run_jobs
from evaluator.scores import Document, scores_document, to_json, write_atomically
from evaluator.scoring import FRAMEWISE_METRICS, METRICS, SongScore
from evaluator.tables import decibels, score_tables
from terminal import process
from terminal.lines import CommandParser, complain, say

RESULTS_FOLDER = ".evaluator"
"""Finished songs are kept in this folder of the estimates, unless told otherwise."""


JobRunner = Callable[[Sequence[ScoringTask]], Iterator[SongDone]]
"""What scores songs one by one, as :func:`evaluator.runner.run_jobs` does with processes of this machine."""


def main(arguments: Sequence[str] | None = None, *, runner: JobRunner | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: the words; those of this process when not given.
        runner: scores the songs instead of processes of this machine, such as a cluster.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    options.runner = runner
    try:
        code: int = options.command(options, parser)
    except EvaluationError as error:
        complain(f"evaluator: {error}")
        return 1
    except KeyboardInterrupt as stop:
        kept = "songs already scored are kept, the same command finishes the rest"
        complain(f"evaluator: {process.word(stop)}; {kept}")
        return process.exit_code(stop)
    return code


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m evaluator", description="Score separated stems; replay boards.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_score(commands)
    _add_replay(commands)
    return parser


def _add_replay(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser("replay", help="put scores files on published leaderboards, compare them")
    command.add_argument("scores", type=Path, nargs="*", help="files written by score --json; two or more are compared")
    command.add_argument("--board", nargs="+", default=[], metavar="NAME", help="default: every board that fits")
    command.add_argument("--entry", metavar="NAME", help="take differences to this entry; default: the nearest one")
    command.add_argument(
        "--tolerance", type=float, default=DEFAULT_TOLERANCE_DB, metavar="DB", help="default: %(default)s"
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with sortable tables and plots")
    command.add_argument("--plot", type=Path, metavar="FILE.png", help="write a picture (needs matplotlib)")
    command.add_argument("--seed", type=int, default=0, help="of the bootstrap; default: %(default)s")
    command.add_argument("--resamples", type=int, default=10_000, metavar="N", help="default: %(default)s")
    command.add_argument("--confidence", type=float, default=0.95, metavar="P", help="default: %(default)s")
    command.add_argument("--list", action="store_true", help="list boards and entries, and end")
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
        parser.error("--confidence lies between 0 and 1, --resamples is at least 1, --tolerance at least 0")
    outcome = replay(
        options.scores,
        boards=options.board,
        entry=options.entry,
        rng=np.random.default_rng(options.seed),
        n_resamples=options.resamples,
        confidence=options.confidence,
    )
    for line in outcome.text(tolerance_db=options.tolerance).split("\n"):
        say(line)
    if options.html:
        write_atomically(options.html, replay_page(outcome.placements, outcome.comparisons))
    if options.plot:
        write_atomically(options.plot, replay_png([group for group, _ in outcome.placements]))
    return 0


def _add_score(commands: argparse._SubParsersAction[CommandParser]) -> None:
    score = commands.add_parser("score", help="score a folder of stems against a data set")
    score.add_argument("references", type=Path, help="data set: <song>/<source>.wav, or MUSDB18 .stem.mp4 files")
    score.add_argument("estimates", type=Path, nargs="?", help="separations: <song>/<source>.wav")
    score.add_argument("--baseline", action="store_true", help="score mixture / number of sources instead of ESTIMATES")
    score.add_argument(
        "--metric", nargs="+", choices=METRICS, default=["mdx"], help="default: mdx, the challenge's SDR"
    )
    score.add_argument(
        "--sources",
        metavar="A,B,…",
        help="what to score; default: what most songs hold; accompaniment and instrumental are all but the vocals",
    )
    score.add_argument(
        "--length",
        choices=LENGTHS,
        default="exact",
        help="pad: fill short estimates with zeros and cut long ones, as museval does (default: refuse them)",
    )
    score.add_argument("--resample", action="store_true", help="bring estimates to the sample rate of the references")
    score.add_argument(
        "--channels",
        choices=CHANNELS,
        default="exact",
        help="match: repeat a mono estimate on every channel, average to a mono reference (default: refuse them)",
    )
    score.add_argument("--dataset", help="name of the data set for replay; default: the folder's name")
    score.add_argument("--system", help="name of the separator; default: the folder's name")
    score.add_argument("--json", type=Path, metavar="FILE", help="write a scores file")
    score.add_argument("--csv", type=Path, metavar="FILE", help="write one row a number")
    score.add_argument(
        "--museval-json", type=Path, metavar="DIR", help="write museval's per-track JSON (framewise metrics)"
    )
    score.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="songs at a time; default: cores"
    )
    score.add_argument(
        "--results", type=Path, metavar="DIR", help=f"keep finished songs here; default: ESTIMATES/{RESULTS_FOLDER}"
    )
    score.add_argument("--no-results", action="store_true", help="keep no finished songs, score all anew")
    score.set_defaults(command=_score)


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
    songs = _run(plan, metrics, failed, options.runner or partial(run_jobs, n_processes=options.jobs))
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
        n_done = len(plan.jobs) + len(plan.failed) - len(failed)
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
    plan: Comparison, metrics: Sequence[str], failed: dict[str, str], run: JobRunner
) -> dict[str, dict[str, SongScore]]:
    """Score every song, telling of each; failures are added to ``failed``."""
    songs: dict[str, dict[str, SongScore]] = {metric: {} for metric in metrics}
    for done in run(plan.jobs):
        complain(_progress(done))
        if done.failure is not None:
            failed[done.name] = done.failure
        for metric, score in done.scores.items():
            songs[metric][done.name] = score
    order = [job.name for job in plan.jobs]
    return {metric: {name: by_song[name] for name in order if name in by_song} for metric, by_song in songs.items()}


def _progress(done: SongDone) -> str:
    head = f"[{done.index}/{done.total}] {done.name}"
    if done.failure is not None:
        return f"{head}: {done.failure}"
    silent = [
        f"{side} {', '.join(names)} silent throughout"
        for side, names in _silences(next(iter(done.scores.values()))).items()
        if names
    ]
    notes = [*next(iter(done.scores.values())).notes, *silent]
    notes += [f"{', '.join(done.reused)} known already"] if done.reused else []
    return f"{head}: {'; '.join(notes)}" if notes else head


def _silences(score: SongScore) -> dict[str, tuple[str, ...]]:
    return {"reference": score.silent_references, "estimate": score.silent_estimates}


def _write_and_print(options: argparse.Namespace, document: Document, songs: dict[str, dict[str, SongScore]]) -> None:
    for line in score_tables(document).split("\n"):
        say(line)
    if options.json:
        write_atomically(options.json, to_json(document))
    if options.csv:
        write_atomically(options.csv, to_csv(document))
    if options.museval_json:
        metric = next(name for name in songs if name in FRAMEWISE_METRICS)
        for name, score in songs[metric].items():
            write_museval_track(options.museval_json, name, score)
