"""``batch``: separate a whole catalogue over a Ray cluster or this machine; see :mod:`my_submission.batch`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evaluator import cli as evaluator_cli
from evaluator.scoring import METRICS
from my_submission.audio_io import InputFiles
from my_submission.audio_io.file_names import CHALLENGE_LAYOUT
from my_submission.batch.catalogue import find_catalogue
from my_submission.batch.display import BatchDisplay
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.ray_cluster import Cluster, WorkerNeeds, connected
from my_submission.batch.recipe import CatalogueRecipe, weights_by_content
from my_submission.batch.remote_paths import RemotePath, Storage
from my_submission.batch.run import CataloguePlan, in_order, make_plan, run_plan
from my_submission.batch.scheduling import Policy
from my_submission.batch.scoring import run_jobs_over_cluster
from my_submission.batch.separation import SeparationJob
from my_submission.batch.summary import SUMMARY_FILE, import_pyarrow, write_summary
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import amount, choice, count, positive_integer, positive_number, split
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
from my_submission.errors import DeviceError, MdxError, OutputError
from my_submission.systems import find_system, for_stems
from terminal.lines import complain, say
from terminal.quantities import duration, songs

CLUSTER, SCORES = "Cluster", "Scores"
"""Panels of the command's help."""

N_LISTED = 10
"""Names of songs shown with one error; the summary and the report have all."""


@dataclass(frozen=True)
class PlaceOptions:
    """Where songs come from, and where results go."""

    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PLACE",
            rich_help_panel=OUTPUT,
            help="Folder or URL; stems are written to PLACE/<song>/.",
        ),
    ] = "stems"
    lists: Annotated[
        list[str],
        typer.Option("--list", metavar="FILE", help="A text file with one path or URL per line; repeatable."),
    ] = field(default_factory=list)
    summary: Annotated[
        str | None,
        typer.Option(
            "--summary",
            metavar="PLACE",
            rich_help_panel=OUTPUT,
            help=f"Parquet table with one row per song (default: {SUMMARY_FILE} in the output).",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.json", rich_help_panel=OUTPUT, help="Write a report of the run."),
    ] = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry files that an earlier run found broken.")
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and exit.")] = False
    s3_endpoint: Annotated[
        str | None,
        typer.Option(
            "--s3-endpoint", metavar="URL", rich_help_panel=CLUSTER, help="Address of an S3-compatible store."
        ),
    ] = None
    scratch: Annotated[
        Path | None,
        typer.Option(
            "--scratch", metavar="DIR", rich_help_panel=CLUSTER, help="Folder for workers' copies of remote songs."
        ),
    ] = None


@dataclass(frozen=True)
class ClusterOptions:
    """Workers, and the machines they run on."""

    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            rich_help_panel=CLUSTER,
            help="A running Ray cluster, such as auto or host:6379 (default: this machine).",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=CLUSTER,
            help="Number of workers (default: as many as fit).",
        ),
    ] = None
    cpus_per_worker: Annotated[
        float,
        typer.Option(
            "--cpus-per-worker",
            parser=positive_number,
            metavar="N",
            rich_help_panel=CLUSTER,
            help="Processors and threads per worker.",
        ),
    ] = 1.0
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-worker",
            parser=amount,
            metavar="N",
            rich_help_panel=CLUSTER,
            help="A fraction shares a GPU (default: 1 with --device cuda, else 0).",
        ),
    ] = None
    start_timeout: Annotated[
        float,
        typer.Option(
            "--start-timeout",
            parser=positive_number,
            metavar="SECONDS",
            rich_help_panel=CLUSTER,
            help="Time limit until the first worker is ready.",
        ),
    ] = 600.0
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            parser=positive_number,
            metavar="SECONDS",
            rich_help_panel=CLUSTER,
            help="Give up a song after this time and end its worker, as for a song that hangs (default: never).",
        ),
    ] = None
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            parser=count,
            metavar="N",
            rich_help_panel=CLUSTER,
            help="Attempts after a lost worker or an unreachable store.",
        ),
    ] = 2


@dataclass(frozen=True)
class ScoreOptions:
    """Scoring after the separation."""

    score: Annotated[
        Path | None,
        typer.Option(
            "--score",
            metavar="DATASET",
            rich_help_panel=SCORES,
            help="Afterwards score the output against these references, over the cluster.",
        ),
    ] = None
    metric: Annotated[
        list[str],
        choice(
            "--metric",
            of=METRICS,
            has_several=True,
            panel=SCORES,
            help_text="Metric, or several with commas",
        ),
    ] = field(default_factory=lambda: ["mdx"])
    scores: Annotated[
        Path | None,
        typer.Option("--scores", metavar="FILE.json", rich_help_panel=SCORES, help="Write the scores."),
    ] = None


@dataclass(frozen=True)
class Options:
    """Everything that the command line says."""

    inputs: list[str]
    system: str
    places: PlaceOptions
    choice: ChoiceOptions
    stems: StemOptions
    limits: TimeOptions
    engine: EngineOptions
    reading: InputOptions
    cluster: ClusterOptions
    scoring: ScoreOptions

    @property
    def has_songs(self) -> bool:
        """Whether songs are separated, not only scored."""
        return bool(self.inputs or self.places.lists) or self.scoring.score is None


def batch(
    system: SystemOption,
    places: PlaceOptions,
    choice: ChoiceOptions,
    stems: StemOptions,
    limits: TimeOptions,
    engine: EngineOptions,
    cluster: ClusterOptions,
    scoring: ScoreOptions,
    reading: InputOptions,
    messages: Messages,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            show_default=False,
            help="Files, folders, patterns, or URLs of them (s3://, https://, …).",
        ),
    ] = None,
) -> int:
    """Separate the remaining songs, then score if requested; return 1 when a song failed."""
    options = Options(inputs or [], system.system, places, choice, stems, limits, engine, reading, cluster, scoring)
    import_pyarrow()
    storage = Storage(places.s3_endpoint)
    output = storage.place(places.output)
    if output.is_on_the_web:
        raise OutputError("a web server cannot be written to", where=output.url, hint="use a folder or s3://")
    if scoring.score is not None and not output.is_local:
        hint = "write the stems to a folder that every machine sees"
        raise OutputError("stems in an object store are not scored", where=output.url, hint=hint)
    needs = _needs(options)
    plan = CataloguePlan(())
    if options.has_songs:
        job = _job(options, needs, storage, output)
        notes: list[str] = []
        songs = find_catalogue(options.inputs, places.lists, storage=storage, output=output, on_note=notes.append)
        _refuse_inputs_as_outputs(songs, job, options)
        for note in () if messages.quiet else notes:
            complain(note)
        plan = make_plan(songs, output, job.recipe, storage, retries_failed=places.retry_failed)
    if places.dry_run:
        return _print_plan(plan, needs)
    code = 0
    with ExitStack() as stack:
        connection = None
        if plan.waiting or scoring.score is not None:
            connection = stack.enter_context(connected(cluster.address, is_verbose=messages.verbose))
        if options.has_songs:
            code = _separate(plan, job, needs, connection, options, is_quiet=messages.quiet)
        if connection is not None and scoring.score is not None:
            code |= _score(needs, connection, options, is_quiet=messages.quiet)
    return code


def _refuse_inputs_as_outputs(songs: Sequence[CatalogueSong], job: SeparationJob, options: Options) -> None:
    """Refuse a run that would replace a song of this machine by a stem or a document.

    Raises:
        OutputError: it would.
    """
    places = [job.storage.place(song.url) for song in songs]
    own = InputFiles(place.local for place in places if place.is_local)
    own.refuse_as_outputs([path for path in (options.places.report, options.scoring.scores) if path is not None])
    output, summary = job.storage.place(job.output), job.storage.place(options.places.summary or SUMMARY_FILE)
    if summary.is_local:
        own.refuse_as_outputs([summary.local])
    if output.is_local:
        system = find_system(options.system)
        stems = for_stems(system, options.choice.names).stems if options.choice.names else system.stems
        for song in songs:
            names = job.recipe.file_names(song.name, stems)
            own.refuse_as_stems(output.child(song.name).local, names.files.values())


def _needs(options: Options) -> WorkerNeeds:
    """Return the resources of a worker.

    Raises:
        DeviceError: ``--device`` and ``--gpus-per-worker`` contradict each other.
    """
    gpus = options.cluster.gpus_per_worker
    if options.engine.device not in {"auto", "cpu", "cuda"}:
        raise DeviceError(f"Ray chooses which GPU a worker has, not {options.engine.device}", hint="use --device cuda")
    if (options.engine.device == "cuda" and gpus == 0) or (options.engine.device == "cpu" and gpus):
        raise DeviceError(
            f"--device {options.engine.device} with --gpus-per-worker {gpus:g}", hint="leave one of them out"
        )
    if gpus is None:
        gpus = 1.0 if options.engine.device == "cuda" else 0.0
    memory = None if options.engine.max_memory is None else options.engine.max_memory << 20
    return WorkerNeeds(options.cluster.cpus_per_worker, gpus, memory, options.engine.threads)


def _job(options: Options, needs: WorkerNeeds, storage: Storage, output: RemotePath) -> SeparationJob:
    """Return the work of a worker; paths are absolute, because workers run in other folders."""
    device = "cuda" if needs.gpus else "cpu"
    settings = {
        **options.engine.load_settings,
        "device": device,
        "threads": needs.n_threads,
        "models_dir": None if options.engine.models_dir is None else str(options.engine.models_dir.resolve()),
        "stems": options.choice.names,
    }
    recipe = CatalogueRecipe(
        system=options.system,
        load_settings=settings,
        settings={
            **settings_of(options.limits, options.engine, options.reading, options.choice),
            **({} if options.choice.filename is None else {"filename": options.choice.filename}),
            "device": device,
        },
        weights=weights_by_content(options.system, settings),
        audio_format=options.stems.audio_format,
        budget_seconds=options.limits.budget,
        budget_factor=options.limits.budget_factor,
        refine=options.limits.refines,
        reading=options.reading.reading,
        filename=options.choice.filename or CHALLENGE_LAYOUT,
    )
    scratch = None if options.places.scratch is None else str(options.places.scratch.resolve())
    return SeparationJob(recipe, output.url, storage, scratch, options.places.retry_failed)


def _separate(
    plan: CataloguePlan,
    job: SeparationJob,
    needs: WorkerNeeds,
    cluster: Cluster | None,
    options: Options,
    *,
    is_quiet: bool,
) -> int:
    """Separate the waiting songs; summary and report are written however the run ends."""
    outcomes: list[SongOutcome] = []
    began = time.monotonic()
    console = Console(stderr=True, soft_wrap=True, quiet=is_quiet)
    with BatchDisplay(len(plan.songs), console=console) as display:
        display.known(plan.known)
        try:
            if plan.waiting and cluster is not None:
                policy = _policy(cluster, needs, options, n_tasks=len(plan.waiting))
                _say_resources(display, cluster, needs, policy)
                for outcome in run_plan(plan, job, needs, policy, show=display.show):
                    outcomes.append(outcome)
                    display.finished(outcome)
        finally:
            everything = in_order(plan, outcomes)
            place = job.storage.place(options.places.summary or f"{job.output.rstrip('/')}/{SUMMARY_FILE}")
            write_summary(place, everything)
            songs = [outcome.manifest["report"] for outcome in everything if outcome.manifest is not None]
            failed = [_failure(outcome) for outcome in everything if outcome.status == "failed"]
            write_run_report(options.places.report, songs, failed)
    if not is_quiet:
        _say_summary(everything, job, place, time.monotonic() - began)
    return _complain_of_failures(everything)


def _policy(cluster: Cluster, needs: WorkerNeeds, options: Options, *, n_tasks: int) -> Policy:
    """Return the number of workers and the limits on retries.

    Raises:
        MdxError: this machine has no room for them.
    """
    fitting = cluster.n_workers(needs)
    wanted = min(options.cluster.workers or max(1, fitting), n_tasks)
    if cluster.is_local and wanted > fitting:
        raise MdxError(
            f"{wanted} worker(s) of {_described(needs)} do not fit this machine ({cluster.cpus:g} CPUs, "
            f"{cluster.gpus:g} GPUs)",
            hint="use fewer --workers, or less for each with --cpus-per-worker and --gpus-per-worker",
        )
    return Policy(
        wanted,
        n_retries=options.cluster.retries,
        start_seconds=options.cluster.start_timeout,
        task_seconds=options.cluster.timeout or math.inf,
    )


def _say_resources(display: BatchDisplay, cluster: Cluster, needs: WorkerNeeds, policy: Policy) -> None:
    display.workers_starting(policy.n_workers, _described(needs))
    if cluster.gpus and not needs.gpus:
        display.say(f"{cluster.gpus:g} GPU(s) are left unused; --gpus-per-worker 1 uses them", "yellow")


def _described(needs: WorkerNeeds) -> str:
    gpus = f", {needs.gpus:g} GPU(s)" if needs.gpus else ""
    memory = f", {needs.memory_bytes >> 20} MiB" if needs.memory_bytes else ""
    return f"{needs.cpus:g} CPU(s){gpus}{memory}"


def _score(needs: WorkerNeeds, cluster: Cluster, options: Options, *, is_quiet: bool) -> int:
    """Run the evaluator's own command with its songs spread over the cluster."""
    without_gpus = WorkerNeeds(needs.cpus, threads=needs.threads)
    policy = Policy(
        options.cluster.workers or max(1, cluster.n_workers(without_gpus)),
        n_retries=options.cluster.retries,
        start_seconds=options.cluster.start_timeout,
    )
    scoring = options.scoring
    references = Path(str(scoring.score)).resolve()
    words = ["score", str(references), str(Path(options.places.output).resolve()), "--metric", *split(scoring.metric)]
    words += ["--dataset", references.name]
    if options.inputs or options.places.lists:
        words += ["--system", options.system]
    words += ["--quiet"] if is_quiet else []
    if scoring.scores is not None:
        words += ["--json", str(scoring.scores)]
    return evaluator_cli.main(words, runner=partial(run_jobs_over_cluster, needs=without_gpus, policy=policy))


def _print_plan(plan: CataloguePlan, needs: WorkerNeeds) -> int:
    """Show the plan; songs whose content must be compared first may turn out to be done."""
    for song in plan.waiting:
        say(f"{song.name}: to be separated ({song.url})")
    failed = [outcome for outcome in plan.known if outcome.status == "failed"]
    for outcome in failed:
        say(f"{outcome.song.name}: {outcome.error}")
    n_done = len(plan.known) - len(failed)
    say(
        f"{len(plan.songs)} songs: {len(plan.waiting)} to be separated, {n_done} done already, {len(failed)} known to "
        f"be broken; a worker takes {_described(needs)}"
    )
    return 0


def _failure(outcome: SongOutcome) -> dict[str, Any]:
    return {"song": outcome.song.name, "path": outcome.song.url, "error": str(outcome.error)}


def _complain_of_failures(outcomes: list[SongOutcome]) -> int:
    """Show what failed, and return the exit code."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for reason, names in _by_reason(failed).items():
        complain(f"error: {_listed(names)}: {reason}")
    unseparated = [outcome.song.name for outcome in outcomes if not outcome.is_separated]
    if unseparated:
        complain(
            f"error: {_listed(unseparated)}: not separated because the time was too short; give more with --budget"
        )
    return 1 if failed or unseparated else 0


def _say_summary(outcomes: list[SongOutcome], job: SeparationJob, summary: RemotePath, seconds: float) -> None:
    """Show what was done, where it is, and how long it took."""
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    n_failed = sum(outcome.status == "failed" for outcome in outcomes)
    n_reused = len(outcomes) - len(done) - n_failed
    music = sum(outcome.music_seconds for outcome in done)
    facts = [f"{songs(len(done))} separated"]
    if music:
        facts[0] += (
            f" ({duration(music)} of music in {duration(seconds)}, {music / max(seconds, 1e-9):.1f} x real time)"
        )
    facts += [f"{n_reused} done before"] if n_reused else []
    facts += [f"{n_failed} failed"] if n_failed else []
    say(f"{', '.join(facts)}.")
    say(f"Stems: {job.output}")
    say(f"Table of all songs: {summary.url}")


def _by_reason(failed: list[SongOutcome]) -> dict[str, list[str]]:
    """Return every reason of failures, without the song's own path, to the names of its songs."""
    found: dict[str, list[str]] = {}
    for outcome in failed:
        reason = str(outcome.error).removeprefix(f"{outcome.song.url}: ")
        found.setdefault(reason, []).append(outcome.song.name)
    return found


def _listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - N_LISTED
    return ", ".join(names[:N_LISTED]) + (f" and {more} more" if more > 0 else "")


command = command_of(
    batch, "batch", "Separate a whole catalogue on this machine or over a Ray cluster, and score a data set."
)
