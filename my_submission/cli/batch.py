"""``batch``: separate a whole catalogue over a Ray cluster or this machine; see :mod:`my_submission.batch`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evaluator import cli as evaluator_cli
from my_submission.audio_io import InputFiles
from my_submission.audio_io.writing.file_names import CHALLENGE_LAYOUT
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
from my_submission.cli.batch_messages import complain_of_failures, described, failure_row, print_plan, say_summary
from my_submission.cli.batch_options import ClusterOptions, PlaceOptions, ScoreOptions
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import split
from my_submission.cli.options import EngineOptions, InputOptions, SystemOption, TimeOptions, settings_of
from my_submission.cli.run_reports import write_run_report
from my_submission.cli.stem_options import ChoiceOptions, StemOptions
from my_submission.errors import DeviceError, MdxError, OutputError
from my_submission.systems import find_system, for_stems, systems_of
from my_submission.weights import ModelsFolder
from terminal.lines import complain
from terminal.quantities import counted


@dataclass(frozen=True)
class Options:
    """All options of the command line."""

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
        hint = "write the stems to a folder that every machine can read"
        raise OutputError("stems in an object store cannot be scored", where=output.url, hint=hint)
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
        return print_plan(plan, needs)
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
        OutputError: a song would be replaced.
    """
    places = [job.storage.place(song.url) for song in songs]
    own = InputFiles(place.local for place in places if place.is_local)
    own.refuse_as_outputs([path for path in (options.places.report, options.scoring.scores) if path is not None])
    output, summary = job.storage.place(job.output), job.storage.place(options.places.summary or SUMMARY_FILE)
    if summary.is_local:
        own.refuse_as_outputs([summary.local])
    if output.is_local:
        system = find_system(options.system, systems_of(ModelsFolder(options.engine.models_dir)))
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
            songs = [outcome.record["report"] for outcome in everything if outcome.record is not None]
            failed = [failure_row(outcome) for outcome in everything if outcome.status == "failed"]
            write_run_report(options.places.report, songs, failed)
    if not is_quiet:
        say_summary(everything, job, place, time.monotonic() - began)
    return complain_of_failures(everything)


def _policy(cluster: Cluster, needs: WorkerNeeds, options: Options, *, n_tasks: int) -> Policy:
    """Return the number of workers and the limits on retries.

    Raises:
        MdxError: this machine has no room for them.
    """
    fitting = cluster.n_workers(needs)
    wanted = min(options.cluster.workers or max(1, fitting), n_tasks)
    if cluster.is_local and wanted > fitting:
        raise MdxError(
            f"this machine has no room for {counted(wanted, 'worker')} of {described(needs)} "
            f"({counted(cluster.cpus, 'CPU')}, {counted(cluster.gpus, 'GPU')})",
            hint="use fewer --workers, or less for each with --cpus-per-worker and --gpus-per-worker",
        )
    return Policy(
        wanted,
        n_retries=options.cluster.retries,
        start_seconds=options.cluster.start_timeout,
        task_seconds=options.cluster.timeout or math.inf,
    )


def _say_resources(display: BatchDisplay, cluster: Cluster, needs: WorkerNeeds, policy: Policy) -> None:
    display.workers_starting(policy.n_workers, described(needs))
    if cluster.gpus and not needs.gpus:
        display.say(f"left unused: {counted(cluster.gpus, 'GPU')}; use --gpus-per-worker 1", "yellow")


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


command = command_of(
    batch, "batch", "Separate a whole catalogue on this machine or over a Ray cluster, and score a data set."
)
