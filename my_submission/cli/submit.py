"""``submit``: check, pack and rehearse a submission before it is pushed."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from my_submission.challenge import SongLimit, find_track
from my_submission.challenge.aicrowd_json import FILE_NAME, aicrowd_text
from my_submission.challenge.tracks import GIB, GraderMachine
from my_submission.cli.findings import show_findings
from my_submission.cli.options import positive_integer, positive_number, write_json
from my_submission.submission import (
    RehearsalReport,
    RehearsalSettings,
    SubmissionTree,
    check_submission,
    pack_submission,
    rehearsal_findings,
    rehearse,
)
from my_submission.submission.check import EnvironmentMaker
from my_submission.submission.environment import (
    Environment,
    EnvironmentBuildError,
    container_environment,
    current_environment,
    find_container_engine,
    fresh_environment,
)
from terminal.lines import say
from terminal.rich_lines import rich_line

MIN_TABLE_WIDTH = 120
"""Columns that the table of a rehearsal needs, also in a log."""

ENVIRONMENTS = ("auto", "container", "fresh", "current")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check", help="find all faults of a tree, with hints for fixing them; exit code 1 on a fault"
    )
    _add_tree(check)
    check.add_argument("--no-run", action="store_true", help="check files and code only, run nothing")
    _add_rehearsal(check)
    pack = actions.add_parser("pack", help="write the exact tree to push, as a git repository, and check it")
    pack.add_argument("directory", type=Path, metavar="DIR", help="a new folder")
    pack.add_argument("--tree", type=Path, default=Path(), metavar="TREE", help="default: the working directory")
    pack.add_argument(
        "--tag", default="submission-1", help="tag to push, starting with submission- (default: %(default)s)"
    )
    pack.add_argument("--no-run", action="store_true", help="check files and code of the packed tree only")
    _add_rehearsal(pack)
    rehearsal = actions.add_parser("rehearse", help="build and run it as the grader does")
    _add_tree(rehearsal)
    _add_rehearsal(rehearsal)
    rehearsal.add_argument("--repeat", type=positive_integer, default=1, metavar="N", help="runs (default: 1)")
    rehearsal.add_argument("--json", type=Path, metavar="FILE", help="write the measurements")
    configure = actions.add_parser("configure", help="write aicrowd.json from submission.toml")
    _add_tree(configure)


def _add_tree(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tree", nargs="?", type=Path, default=Path(), metavar="TREE", help="default: here")


def _add_rehearsal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="songs; the longest is run (default: a generated song)"
    )
    parser.add_argument("--all-songs", action="store_true", help="run every song of the data set")
    parser.add_argument(
        "--song-seconds", type=positive_number, default=300.0, help="length of the generated song (default: 300)"
    )
    parser.add_argument(
        "--limit-seconds", type=positive_number, metavar="S", help="time limit per song instead of the track's"
    )
    parser.add_argument(
        "--limit-factor", type=positive_number, metavar="F", help="the same, as a multiple of the song's duration"
    )
    parser.add_argument("--cpus", type=positive_integer, metavar="N", help="processors (default: the grader's)")
    parser.add_argument("--memory-gib", type=positive_number, metavar="GIB", help="memory (default: the grader's)")
    parser.add_argument(
        "--environment",
        choices=ENVIRONMENTS,
        default="auto",
        help="container; fresh: a clean virtual environment from requirements.txt; current: this interpreter; "
        "auto: container where an engine answers, else fresh (default)",
    )
    parser.add_argument("--rebuild", action="store_true", help="build the fresh environment anew")


def run(options: argparse.Namespace) -> int:
    """Run one action; return 1 on a fault."""
    actions = {"check": _check, "pack": _pack, "rehearse": _rehearse, "configure": _configure}
    return actions[options.action](options)


def _check(options: argparse.Namespace) -> int:
    return _show_check(options.tree, options)


def _show_check(root: Path, options: argparse.Namespace) -> int:
    make = None if options.no_run else _environment_maker(options)
    tree = SubmissionTree(root)
    n_faults = show_findings(check_submission(root, make, _settings(options, tree)))
    passed = "no faults in files and code; nothing was run" if options.no_run else "no faults: ready to push"
    print(f"{n_faults} fault(s)" if n_faults else passed)
    return 1 if n_faults else 0


def _pack(options: argparse.Namespace) -> int:
    result = pack_submission(SubmissionTree(options.tree), options.directory)
    console = Console(soft_wrap=True, highlight=False)
    for name, n_bytes in result.files.items():
        console.print(rich_line(f"{n_bytes:>12,}  {name}{'  (LFS)' if name in result.lfs_files else ''}"))
    console.print(rich_line(f"{result.n_bytes:>12,}  bytes in {len(result.files)} files: {result.directory}"))
    for note in result.notes:
        console.print(rich_line(note, "yellow"))
    code = _show_check(options.directory, options)
    if code == 0:
        tag = options.tag
        remote = "git remote add aicrowd git@gitlab.aicrowd.com:USER/REPOSITORY.git"
        steps = (f"cd {options.directory}", remote, f"git tag -am {tag} {tag}", f"git push aicrowd master {tag}")
        say("to submit:")
        for step in steps:
            say(f"  {step}")
    return code


def _rehearse(options: argparse.Namespace) -> int:
    tree = SubmissionTree(options.tree)
    configuration = tree.configuration()
    environment = _environment_maker(options)(tree.root)
    settings = _settings(options, tree)
    reports = [rehearse(tree, configuration, environment, settings) for _ in range(options.repeat)]
    n_faults = show_findings(rehearsal_findings(reports[0])) if len(reports) == 1 else 0
    for report in reports:
        if len(reports) > 1 and not report.is_passed:
            n_faults += show_findings(rehearsal_findings(report))
    _print_table(reports)
    if options.json:
        write_json(options.json, {"schema": 1, "runs": [asdict(report) for report in reports]})
    n_passed = sum(report.is_passed for report in reports)
    print(f"{n_passed} of {len(reports)} runs in time with complete stems")
    return 0 if n_passed == len(reports) and not n_faults else 1


def _configure(options: argparse.Namespace) -> int:
    tree = SubmissionTree(options.tree)
    path = tree.root / FILE_NAME
    path.write_text(aicrowd_text(tree.configuration()), encoding="utf-8")
    say(str(path))
    return 0


def _settings(options: argparse.Namespace, tree: SubmissionTree) -> RehearsalSettings:
    limit = None
    if options.limit_seconds is not None or options.limit_factor is not None:
        limit = SongLimit(seconds=options.limit_seconds, duration_factor=options.limit_factor)
    machine = None
    if options.cpus is not None or options.memory_gib is not None:
        own = find_track(tree.configuration().track).machine
        memory = own.memory_bytes if options.memory_gib is None else int(options.memory_gib * GIB)
        machine = GraderMachine(n_cpus=options.cpus or own.n_cpus, memory_bytes=memory)
    return RehearsalSettings(
        dataset=options.dataset,
        only_longest=not options.all_songs,
        song_seconds=options.song_seconds,
        limit=limit,
        machine=machine,
    )


def _environment_maker(options: argparse.Namespace) -> EnvironmentMaker:
    def make(root: Path) -> Environment:
        if options.environment == "current":
            return current_environment()
        engine = find_container_engine() if options.environment in {"auto", "container"} else None
        if engine is not None:
            return container_environment(root, engine)
        if options.environment == "container":
            hint = "start Docker or Podman, or use --environment fresh"
            raise EnvironmentBuildError("no container engine answers", hint=hint)
        return fresh_environment(root, rebuild=options.rebuild)

    return make


def _print_table(reports: list[RehearsalReport]) -> None:
    table = Table("run", "song", "duration s", "limit s", "used s", "share", "setup s", "peak MiB", "result")
    for index, report in enumerate(reports, start=1):
        for song in report.songs:
            used = "-" if song.seconds is None else f"{song.seconds:.1f}"
            share = "-" if song.seconds is None else f"{song.seconds / song.limit_seconds:.0%}"
            setup = "-" if report.setup_seconds is None else f"{report.setup_seconds:.1f}"
            result = "complete" if song.is_passed and song.is_as_published else f"{song.done_share:.0%} of the work"
            if not song.is_passed:
                result = song.error or "; ".join(song.stem_faults) or "late"
            figures = (f"{song.duration_seconds:.1f}", f"{song.limit_seconds:.1f}", used, share, setup)
            table.add_row(
                str(index), rich_line(song.name), *figures, f"{report.peak_bytes / 2**20:.0f}", rich_line(result)
            )
    console = Console()
    console.print(table, width=max(console.width, MIN_TABLE_WIDTH), crop=False)
