"""``batch``: separate a whole catalogue over a Ray cluster or this machine; see :mod:`my_submission.batch`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from evaluator import cli as evaluator_cli
from evaluator.scoring import METRICS
from my_submission.audio_io import InputFiles
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
from my_submission.cli.options import (
    REFINE,
    add_input_arguments,
    add_run_arguments,
    add_stem_arguments,
    audio_format_of,
    load_settings,
    positive_integer,
    positive_number,
    read_options,
    settings_of,
    write_run_report,
)
from my_submission.errors import DeviceError, MdxError, OutputError
from my_submission.systems import DEFAULT_SYSTEM, find_system
from terminal.lines import complain, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="a file, a folder, a pattern, or a URL of one (s3://, https://, …)"
    )
    parser.add_argument(
        "--list",
        action="append",
        default=[],
        metavar="FILE",
        help="a text file with one path or URL per line; repeatable",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="PLACE", help="folder or URL; stems are written to PLACE/<song>/"
    )
    parser.add_argument("--system", default=DEFAULT_SYSTEM, help="see `systems` (default: %(default)s)")
    add_input_arguments(parser)
    add_run_arguments(parser)
    add_stem_arguments(parser)
    _add_cluster_arguments(parser)
    parser.add_argument("--s3-endpoint", metavar="URL", help="address of an S3-compatible store")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for workers' copies of remote songs")
    parser.add_argument(
        "--retries",
        type=_count,
        default=2,
        metavar="N",
        help="attempts after a lost worker or an unreachable store (default: %(default)s)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="retry files that an earlier run found broken")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and exit")
    parser.add_argument(
        "--summary",
        metavar="PLACE",
        help=f"Parquet table with one row per song (default: {SUMMARY_FILE} in the output)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write a report")
    parser.add_argument(
        "--score",
        type=Path,
        metavar="DATASET",
        help="afterwards score the output against these references, over the cluster",
    )
    parser.add_argument("--metric", nargs="+", choices=METRICS, default=["mdx"], help="default: mdx")
    parser.add_argument("--scores", type=Path, metavar="FILE.json", help="write the scores")


def _add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="a running Ray cluster, such as auto or host:6379 (default: this machine)")
    parser.add_argument(
        "--workers", type=positive_integer, metavar="N", help="number of workers (default: as many as fit)"
    )
    parser.add_argument(
        "--cpus-per-worker",
        type=positive_number,
        default=1.0,
        metavar="N",
        help="processors and threads per worker (default: %(default)s)",
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=_amount,
        metavar="N",
        help="a fraction shares a GPU (default: 1 with --device cuda, else 0)",
    )
    parser.add_argument(
        "--start-timeout",
        type=positive_number,
        default=600.0,
        metavar="SECONDS",
        help="time limit until the first worker is ready (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Separate the remaining songs, then score if requested; return 1 when a song failed."""
    import_pyarrow()
    storage = Storage(options.s3_endpoint)
    output = storage.place(options.output)
    if output.is_on_the_web:
        raise OutputError("a web server cannot be written to", where=output.url, hint="use a folder or s3://")
    if options.score is not None and not output.is_local:
        hint = "write the stems to a folder that every machine sees"
        raise OutputError("stems in an object store are not scored", where=output.url, hint=hint)
    needs = _needs(options)
    has_songs = bool(options.inputs or options.list) or options.score is None
    plan = CataloguePlan(())
    if has_songs:
        job = _job(options, needs, storage, output)
        notes: list[str] = []
        songs = find_catalogue(options.inputs, options.list, storage=storage, output=output, on_note=notes.append)
        _refuse_inputs_as_outputs(songs, job, options)
        for note in notes:
            complain(note)
        plan = make_plan(songs, output, job.recipe, storage, retries_failed=options.retry_failed)
    if options.dry_run:
        return _print_plan(plan, needs)
    code = 0
    with ExitStack() as stack:
        cluster = None
        if plan.waiting or options.score is not None:
            cluster = stack.enter_context(connected(options.address, is_verbose=options.verbose))
        if has_songs:
            code = _separate(plan, job, needs, cluster, options)
        if cluster is not None and options.score is not None:
            code |= _score(needs, cluster, options)
    return code


def _refuse_inputs_as_outputs(songs: Sequence[CatalogueSong], job: SeparationJob, options: argparse.Namespace) -> None:
    """Refuse a run that would replace a song of this machine by a stem or a document.

    Raises:
        OutputError: it would.
    """
    places = [job.storage.place(song.url) for song in songs]
    own = InputFiles(place.local for place in places if place.is_local)
    own.refuse_as_outputs([path for path in (options.report, options.scores) if path is not None])
    output, summary = job.storage.place(job.output), job.storage.place(options.summary or SUMMARY_FILE)
    if summary.is_local:
        own.refuse_as_outputs([summary.local])
    if output.is_local:
        sources = find_system(options.system).sources
        for song in songs:
            own.refuse_as_stems(output.child(song.name).local, sources)


def _needs(options: argparse.Namespace) -> WorkerNeeds:
    """Return the resources of a worker.

    Raises:
        DeviceError: ``--device`` and ``--gpus-per-worker`` contradict each other.
    """
    gpus = options.gpus_per_worker
    if options.device not in {"auto", "cpu", "cuda"}:
        raise DeviceError(f"Ray chooses which GPU a worker has, not {options.device}", hint="use --device cuda")
    if (options.device == "cuda" and gpus == 0) or (options.device == "cpu" and gpus):
        raise DeviceError(f"--device {options.device} with --gpus-per-worker {gpus:g}", hint="leave one of them out")
    if gpus is None:
        gpus = 1.0 if options.device == "cuda" else 0.0
    memory = None if options.max_memory is None else options.max_memory << 20
    return WorkerNeeds(options.cpus_per_worker, gpus, memory, options.threads)


def _job(options: argparse.Namespace, needs: WorkerNeeds, storage: Storage, output: RemotePath) -> SeparationJob:
    """Return the work of a worker; paths are absolute, because workers run in other folders."""
    device = "cuda" if needs.gpus else "cpu"
    settings = {
        **load_settings(options),
        "device": device,
        "threads": needs.n_threads,
        "models_dir": None if options.models_dir is None else str(options.models_dir.resolve()),
    }
    recipe = CatalogueRecipe(
        system=options.system,
        load_settings=settings,
        settings={**settings_of(options), "device": device},
        weights=weights_by_content(options.system, settings),
        audio_format=audio_format_of(options),
        budget_seconds=options.budget,
        budget_factor=options.budget_factor,
        refine=REFINE[options.refine],
        reading=read_options(options),
    )
    scratch = None if options.scratch is None else str(options.scratch.resolve())
    return SeparationJob(recipe, output.url, storage, scratch, options.retry_failed)


def _separate(
    plan: CataloguePlan, job: SeparationJob, needs: WorkerNeeds, cluster: Cluster | None, options: argparse.Namespace
) -> int:
    """Separate the waiting songs; summary and report are written however the run ends."""
    outcomes: list[SongOutcome] = []
    with BatchDisplay(len(plan.songs)) as display:
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
            place = job.storage.place(options.summary or f"{job.output.rstrip('/')}/{SUMMARY_FILE}")
            write_summary(place, everything)
            songs = [outcome.manifest["report"] for outcome in everything if outcome.manifest is not None]
            failed = [_failure(outcome) for outcome in everything if outcome.status == "failed"]
            write_run_report(options.report, songs, failed)
    return _conclude(everything, place)


def _policy(cluster: Cluster, needs: WorkerNeeds, options: argparse.Namespace, *, n_tasks: int) -> Policy:
    """Return the number of workers and the limits on retries.

    Raises:
        MdxError: this machine has no room for them.
    """
    fitting = cluster.n_workers(needs)
    wanted = min(options.workers or max(1, fitting), n_tasks)
    if cluster.is_local and wanted > fitting:
        raise MdxError(
            f"{wanted} worker(s) of {_described(needs)} do not fit this machine ({cluster.cpus:g} CPUs, "
            f"{cluster.gpus:g} GPUs)",
            hint="use fewer --workers, or less for each with --cpus-per-worker and --gpus-per-worker",
        )
    return Policy(wanted, n_retries=options.retries, start_seconds=options.start_timeout)


def _say_resources(display: BatchDisplay, cluster: Cluster, needs: WorkerNeeds, policy: Policy) -> None:
    display.workers_starting(policy.n_workers, _described(needs))
    if cluster.gpus and not needs.gpus:
        display.say(f"{cluster.gpus:g} GPU(s) are left unused; --gpus-per-worker 1 uses them", "yellow")


def _described(needs: WorkerNeeds) -> str:
    gpus = f", {needs.gpus:g} GPU(s)" if needs.gpus else ""
    memory = f", {needs.memory_bytes >> 20} MiB" if needs.memory_bytes else ""
    return f"{needs.cpus:g} CPU(s){gpus}{memory}"


def _score(needs: WorkerNeeds, cluster: Cluster, options: argparse.Namespace) -> int:
    """Run the evaluator's own command with its songs spread over the cluster."""
    without_gpus = WorkerNeeds(needs.cpus, threads=needs.threads)
    policy = Policy(
        options.workers or max(1, cluster.n_workers(without_gpus)),
        n_retries=options.retries,
        start_seconds=options.start_timeout,
    )
    words = ["score", str(options.score.resolve()), str(Path(options.output).resolve()), "--metric", *options.metric]
    words += ["--dataset", options.score.resolve().name]
    if options.inputs or options.list:
        words += ["--system", options.system]
    if options.scores is not None:
        words += ["--json", str(options.scores)]
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


def _conclude(outcomes: list[SongOutcome], summary: RemotePath) -> int:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        complain(f"error: {outcome.song.name}: {outcome.error}")
    n_reused = sum(outcome.status == "reused" for outcome in outcomes)
    n_done = len(outcomes) - n_reused - len(failed)
    n_unseparated = sum(not outcome.is_separated for outcome in outcomes)
    if n_unseparated:
        complain(
            f"error: {n_unseparated} song(s) not separated because the time was too short; give more with --budget"
        )
    say(f"{n_done} done, {n_reused} done before, {len(failed)} failed; {summary.url}")
    return 1 if failed or n_unseparated else 0


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is negative or infinite")
    return value
