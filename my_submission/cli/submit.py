"""``submit``: check, pack and rehearse a submission before it is pushed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from my_submission.challenge import SongLimit, find_track
from my_submission.challenge.aicrowd_json import FILE_NAME, aicrowd_text
from my_submission.challenge.tracks import GIB, GraderMachine
from my_submission.cli.findings import show_findings
from my_submission.cli.grouped_options import command_of, group_of
from my_submission.cli.option_values import choice, positive_integer, positive_number
from my_submission.cli.run_reports import write_json
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
from terminal.quantities import counted
from terminal.rich_lines import rich_line

MIN_TABLE_WIDTH = 120
"""Columns that the table of a rehearsal needs, also in a log."""

ENVIRONMENTS = ("auto", "container", "fresh", "current")

LIMITS = "Limits of the grader"
"""Panel of the help."""


TREE_HELP = "Folder of the submission."


@dataclass(frozen=True)
class RehearsalOptions:
    """Options of running a submission as the grader does."""

    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="DIR", help="Data set; its longest song is run (default: a generated song)."),
    ] = None
    all_songs: Annotated[bool, typer.Option("--all-songs", help="Run every song of the data set.")] = False
    song_seconds: Annotated[
        float,
        typer.Option("--song-seconds", parser=positive_number, metavar="SECONDS", help="Length of the generated song."),
    ] = 300.0
    environment: Annotated[
        str,
        choice(
            "--environment",
            of=ENVIRONMENTS,
            help_text="Environment of the rehearsal (fresh: a new virtual environment from requirements.txt; current: "
            "this interpreter; auto: a container if Docker or Podman responds, else fresh)",
        ),
    ] = "auto"
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild the fresh environment.")] = False
    limit_seconds: Annotated[
        float | None,
        typer.Option(
            "--limit-seconds",
            parser=positive_number,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="Time limit per song instead of the track's.",
        ),
    ] = None
    limit_factor: Annotated[
        float | None,
        typer.Option(
            "--limit-factor",
            parser=positive_number,
            metavar="FACTOR",
            rich_help_panel=LIMITS,
            help="Time limit per song, as a multiple of its duration, instead of the track's.",
        ),
    ] = None
    cpus: Annotated[
        int | None,
        typer.Option(
            "--cpus",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=LIMITS,
            help="Number of processors (default: the grader's).",
        ),
    ] = None
    memory_gib: Annotated[
        float | None,
        typer.Option(
            "--memory-gib",
            parser=positive_number,
            metavar="GIB",
            rich_help_panel=LIMITS,
            help="Memory limit (default: the grader's).",
        ),
    ] = None


def check(
    rehearsal: RehearsalOptions,
    tree: Annotated[Path, typer.Argument(metavar="TREE", show_default="here", help=TREE_HELP)] = Path(),
    no_run: Annotated[bool, typer.Option("--no-run", help="Check only files and code; run nothing.")] = False,
) -> int:
    """Check a tree; return 1 on a fault."""
    return _show_check(tree, rehearsal, is_run=not no_run)


def _show_check(root: Path, rehearsal: RehearsalOptions, *, is_run: bool) -> int:
    make = _environment_maker(rehearsal) if is_run else None
    tree = SubmissionTree(root)
    n_faults = show_findings(check_submission(root, make, _settings(rehearsal, tree)))
    passed = "no faults: ready to push" if is_run else "no faults in files and code; nothing was run"
    print(counted(n_faults, "fault") if n_faults else passed)
    return 1 if n_faults else 0


def pack(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    rehearsal: RehearsalOptions,
    tree: Annotated[
        Path, typer.Option("--tree", metavar="TREE", show_default="the working directory", help=TREE_HELP)
    ] = Path(),
    tag: Annotated[
        str, typer.Option("--tag", metavar="TAG", help="Tag to push, starting with submission-.")
    ] = "submission-1",
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Check only files and code of the packed tree; run nothing.")
    ] = False,
) -> int:
    """Write the tree to push and check it; return 1 on a fault."""
    result = pack_submission(SubmissionTree(tree), directory)
    console = Console(soft_wrap=True, highlight=False)
    for name, n_bytes in result.files.items():
        console.print(rich_line(f"{n_bytes:>12,}  {name}{'  (LFS)' if name in result.lfs_files else ''}"))
    console.print(rich_line(f"{result.n_bytes:>12,}  bytes in {len(result.files)} files: {result.directory}"))
    for note in result.notes:
        console.print(rich_line(note, "yellow"))
    code = _show_check(directory, rehearsal, is_run=not no_run)
    if code == 0:
        remote = "git remote add aicrowd git@gitlab.aicrowd.com:USER/REPOSITORY.git"
        steps = (f"cd {directory}", remote, f"git tag -am {tag} {tag}", f"git push aicrowd master {tag}")
        say("to submit:")
        for step in steps:
            say(f"  {step}")
    return code


def rehearse_tree(
    rehearsal: RehearsalOptions,
    tree: Annotated[Path, typer.Argument(metavar="TREE", show_default="here", help=TREE_HELP)] = Path(),
    repeat: Annotated[int, typer.Option("--repeat", parser=positive_integer, metavar="N", help="Number of runs.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the measurements to a file.")
    ] = None,
) -> int:
    """Build and run a tree as the grader does; return 1 unless every run passes."""
    submission = SubmissionTree(tree)
    configuration = submission.configuration()
    environment = _environment_maker(rehearsal)(submission.root)
    settings = _settings(rehearsal, submission)
    reports = [rehearse(submission, configuration, environment, settings) for _ in range(repeat)]
    n_faults = show_findings(rehearsal_findings(reports[0])) if len(reports) == 1 else 0
    for report in reports:
        if len(reports) > 1 and not report.is_passed:
            n_faults += show_findings(rehearsal_findings(report))
    _print_table(reports)
    if json_file:
        write_json(json_file, {"schema": 1, "runs": [asdict(report) for report in reports]})
    n_passed = sum(report.is_passed for report in reports)
    print(f"{n_passed} of {len(reports)} runs in time with complete stems")
    return 0 if n_passed == len(reports) and not n_faults else 1


def configure(
    tree: Annotated[Path, typer.Argument(metavar="TREE", show_default="here", help=TREE_HELP)] = Path(),
) -> int:
    """Write aicrowd.json."""
    submission = SubmissionTree(tree)
    path = submission.root / FILE_NAME
    path.write_text(aicrowd_text(submission.configuration()), encoding="utf-8")
    say(str(path))
    return 0


def _settings(options: RehearsalOptions, tree: SubmissionTree) -> RehearsalSettings:
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


def _environment_maker(options: RehearsalOptions) -> EnvironmentMaker:
    def make(root: Path) -> Environment:
        if options.environment == "current":
            return current_environment()
        engine = find_container_engine() if options.environment in {"auto", "container"} else None
        if engine is not None:
            return container_environment(root, engine)
        if options.environment == "container":
            hint = "start Docker or Podman, or use --environment fresh"
            raise EnvironmentBuildError("no container engine responds", hint=hint)
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


command = group_of(
    "submit",
    "Check, pack and rehearse a submission before it is pushed.",
    [
        command_of(check, "check", "Find all faults of a tree, with hints for fixing them; exit code 1 on a fault."),
        command_of(pack, "pack", "Write the exact tree to push, as a git repository, and check it."),
        command_of(rehearse_tree, "rehearse", "Build it and run it as the grader does."),
        command_of(configure, "configure", "Write aicrowd.json from submission.toml."),
    ],
)
