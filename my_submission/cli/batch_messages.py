"""Output of ``batch``: the plan, the failures, and the summary."""

from __future__ import annotations

from typing import Any

from my_submission.batch.outcomes import SongOutcome
from my_submission.batch.ray_cluster import WorkerNeeds
from my_submission.batch.remote_paths import RemotePath
from my_submission.batch.run import CataloguePlan
from my_submission.batch.separation import SeparationJob
from terminal.lines import complain, say
from terminal.quantities import counted, duration, songs

N_LISTED = 10
"""Names of songs shown with one error; the summary and the report have all."""


def print_plan(plan: CataloguePlan, needs: WorkerNeeds) -> int:
    """Show the plan; songs whose content must be compared first may turn out to be done."""
    for song in plan.waiting:
        say(f"{song.name}: to be separated ({song.url})")
    failed = [outcome for outcome in plan.known if outcome.status == "failed"]
    for outcome in failed:
        say(f"{outcome.song.name}: {outcome.error}")
    n_done = len(plan.known) - len(failed)
    say(
        f"{songs(len(plan.songs))}: {len(plan.waiting)} to be separated, {n_done} done already, {len(failed)} known to "
        f"be broken; a worker takes {described(needs)}"
    )
    return 0


def failure_row(outcome: SongOutcome) -> dict[str, Any]:
    """Return a song that failed, for the report of the run."""
    return {"song": outcome.song.name, "path": outcome.song.url, "error": str(outcome.error)}


def complain_of_failures(outcomes: list[SongOutcome]) -> int:
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


def say_summary(outcomes: list[SongOutcome], job: SeparationJob, summary: RemotePath, seconds: float) -> None:
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


def described(needs: WorkerNeeds) -> str:
    """Return the resources of a worker in words."""
    gpus = f", {counted(needs.gpus, 'GPU')}" if needs.gpus else ""
    memory = f", {needs.memory_bytes >> 20} MiB" if needs.memory_bytes else ""
    return f"{counted(needs.cpus, 'CPU')}{gpus}{memory}"
