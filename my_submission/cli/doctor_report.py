"""Output of ``doctor``: a verdict, one table, and expert lines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from my_submission.doctor import Difference, Machine, TriedSystem
from my_submission.doctor.differences import ALIKE_DB
from my_submission.doctor.limit_forecast import LIMITS
from my_submission.systems import DEFAULT_SYSTEM
from my_submission.systems.starters import STARTERS
from terminal.quantities import about, counted, duration
from terminal.rich_lines import rich_line

_OWN = frozenset(system.name for system in STARTERS)


def show_verdict(console: Console, sentences: Sequence[str]) -> None:
    """Print the sentences, one per line."""
    for sentence in sentences:
        console.print(rich_line(sentence))


def show_table(console: Console, tried: Sequence[TriedSystem]) -> None:
    """Print the figures of all systems."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("system", no_wrap=True)
    for name in ("x real time", "3 min song", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("240 s limit", no_wrap=True)
    table.add_column("1.57 x limit", no_wrap=True)
    for each in tried:
        cost = each.trial.cost
        table.add_row(
            rich_line(each.name, "bold" if each.name == DEFAULT_SYSTEM else ""),
            f"{1 / cost:.1f}" if cost else "-",
            about(each.song_seconds).removeprefix("about "),
            f"{each.trial.peak_bytes / 1e6:.0f} MB",
            *(_kept(each, number) for number in range(len(LIMITS))),
        )
    console.print()
    console.print(table)


def show_machine(console: Console, machine: Machine) -> None:
    """Print the resources of the machine."""
    gpu = counted(machine.n_gpus, "GPU") if machine.n_gpus else f"no GPU ({machine.gpu_note})"
    memory = f"{machine.memory_bytes / 2**30:.1f} GiB of memory, {machine.free_bytes / 2**30:.1f} free"
    console.print(rich_line(f"{machine.system}; {counted(machine.n_cpus, 'processor')}, {memory}, {gpu}"))


def show_details(console: Console, each: TriedSystem, differences: Sequence[Difference]) -> None:
    """Print everything measured of a system."""
    trial = each.trial
    lines = [
        f"{trial.seconds:.2f} s for a chunk of {trial.audio_seconds:.1f} s; loads in {trial.load_seconds:.1f} s, "
        f"peak memory {trial.peak_bytes / 2**20:.0f} MiB",
        f"on {'; '.join(trial.runs_on)}",
    ]
    for row in each.forecasts:
        verdict = "met" if row.is_met else f"too slow: {row.done_share:.0%} of the work fits"
        needs = f"{row.needed_seconds:.0f} of {row.allowed_seconds:.0f} s"
        lines.append(f"{row.song_seconds / 60:g} min song, {row.limit!s:<34} {needs:>14}  {verdict}")
    for difference in differences:
        if difference.decibels is not None or each.name not in _OWN:  # ours are graphs without another form
            lines.append(f"against fp32 on the CPU, {difference.name}: {_difference_text(difference)}")
    console.print(rich_line(each.name, "bold"))
    for line in lines:
        console.print(rich_line(f"    {line}"))


def _kept(each: TriedSystem, number: int) -> str:
    """Return how long songs may be under an absolute limit, or whether a relative one is kept."""
    limit, cost = LIMITS[number], each.trial.cost
    rows = [row for row in each.forecasts if row.limit == limit]
    if limit.duration_factor is None and limit.seconds is not None:
        longest = limit.planned_seconds(math.inf) / cost if cost else math.inf
        return "kept" if longest > 5 * 3600 else f"to {duration(60 * (longest // 60) or longest)}"
    return "kept" if all(row.is_met for row in rows) else f"{min(row.done_share for row in rows):.0%} of the work"


def _difference_text(difference: Difference) -> str:
    if difference.decibels is None:
        return f"cannot run ({difference.reason})"
    if math.isinf(difference.decibels):
        return f"the same samples, {difference.seconds:.2f} s"
    verdict = "same score" if difference.decibels >= ALIKE_DB else "different score"
    return f"{difference.decibels:.1f} dB ({verdict}), {difference.seconds:.2f} s"
