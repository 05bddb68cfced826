"""``doctor``: check which systems this machine can run, how fast, and whether the challenges' limits would be met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from my_submission.cli.artefacts import ModelsOption
from my_submission.cli.findings import show_findings
from my_submission.cli.grouped_options import command_of
from my_submission.cli.option_values import complete_devices, complete_systems, split
from my_submission.cli.options import EXPERT, HARDWARE, write_json
from my_submission.doctor import (
    Difference,
    LimitForecast,
    Machine,
    Trial,
    TrialSettings,
    describe_machine,
    forecast,
    measure_differences,
    runtime_findings,
    try_system,
    version_findings,
)
from my_submission.doctor.differences import ALIKE_DB, worst_decibels
from my_submission.engines.provider_probe import ProviderState, probe_providers
from my_submission.engines.runtimes import installed_runtimes
from my_submission.errors import MdxError
from my_submission.submission.findings import Finding, fault
from my_submission.systems import SYSTEMS, find_system
from my_submission.weights import ModelsFolder


@dataclass(frozen=True)
class TrialOptions:
    """Which systems are tried, and how."""

    system: Annotated[
        list[str],
        typer.Option(
            "--system",
            "-n",
            metavar="NAME",
            autocompletion=complete_systems,
            show_default="all whose weights are here",
            help="System to try; repeatable, or several with commas.",
        ),
    ] = field(default_factory=list)
    no_trial: Annotated[
        bool, typer.Option("--no-trial", help="Check the machine and the runtimes only, run no system.")
    ] = False
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            metavar="DEVICE",
            autocompletion=complete_devices,
            rich_help_panel=HARDWARE,
            help="For the trials: auto, cpu, cuda or cuda:N.",
        ),
    ] = "auto"
    allow_unverified: Annotated[
        bool,
        typer.Option(
            "--allow-unverified", rich_help_panel=EXPERT, help="Accept weights without a known or matching hash."
        ),
    ] = False


def _row(value: Finding | ProviderState) -> dict[str, Any]:
    """Return the value as one row of the JSON document, where its hint is called ``cure``."""
    row = asdict(value)
    row["cure"] = row.pop("hint")
    return row


def examine(
    trials: TrialOptions,
    models: ModelsOption,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the findings to a file.")
    ] = None,
) -> int:
    """Examine the machine; return 1 on a fault."""
    machine = describe_machine()
    providers = probe_providers()
    _show_machine(machine)
    findings = [*version_findings(), *runtime_findings(installed_runtimes(), providers, machine)]
    n_faults = show_findings(findings)
    found: dict[str, Any] = {"schema": 1, "machine": asdict(machine), "providers": [_row(p) for p in providers]}
    found["findings"] = [_row(finding) for finding in findings]
    if not trials.no_trial:
        has_cuda = any(state.name == "CUDA" and state.is_usable for state in providers) and machine.n_gpus > 0
        found["systems"], n_failed = _try_systems(trials, models.models_dir, has_cuda=has_cuda)
        n_faults += n_failed
    if json_file:
        write_json(json_file, found)
    return 1 if n_faults else 0


def _try_systems(trials: TrialOptions, models_dir: Path, *, has_cuda: bool) -> tuple[list[dict[str, Any]], int]:
    """Try the named systems, or those present; return the measurements and the number of failures."""
    measured, n_failed = [], 0
    for name in _chosen(split(trials.system), models_dir):
        settings = TrialSettings(
            system=name,
            models_dir=models_dir,
            device=trials.device,
            allow_unverified=trials.allow_unverified,
        )
        try:
            trial = try_system(settings)
            cpu = replace(settings, device="cpu", precision="fp32")
            reference = trial if not has_cuda and settings == cpu else try_system(cpu)
        except MdxError as error:
            n_failed += show_findings([fault(name, str(error), "see the message")])
            continue
        forecasts, differences = forecast(trial.cost), measure_differences(reference, has_cuda=has_cuda)
        if trial is not reference:
            decibels = worst_decibels(reference.stems, trial.stems)
            differences.insert(0, Difference("as it runs above", decibels, trial.seconds))
        _show_trial(trial, forecasts, differences)
        measured.append(_as_json(trial, forecasts, differences))
    return measured, n_failed


def _chosen(names: Sequence[str], models_dir: Path) -> list[str]:
    if names:
        return [find_system(name).name for name in names]
    models = ModelsFolder(models_dir)
    return [system.name for system in SYSTEMS.values() if not models.missing(system.artefacts)]


def _show_machine(machine: Machine) -> None:
    gpu = f"{machine.n_gpus} GPU(s)" if machine.n_gpus else f"no GPU ({machine.gpu_note})"
    memory = f"{machine.memory_bytes / 2**30:.1f} GiB of memory, {machine.free_bytes / 2**30:.1f} free"
    print(f"{machine.system}; {machine.n_cpus} processors, {memory}, {gpu}")
    if machine.is_busy:
        print(f"the machine is busy (load {machine.load:.1f}): the speeds below are too low")


def _show_trial(trial: Trial, forecasts: list[LimitForecast], differences: list[Difference]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(trial.settings.system, style="bold", markup=False)
    speed = f"{1 / trial.cost:.2f} x real time" if trial.cost else "immeasurably fast"
    console.print(f"    {speed}: {trial.seconds:.2f} s for a chunk of {trial.audio_seconds:.1f} s", markup=False)
    console.print(
        f"    loads in {trial.load_seconds:.1f} s, peak memory {trial.peak_bytes / 2**20:.0f} MiB", markup=False
    )
    console.print(f"    on {'; '.join(trial.runs_on)}", markup=False)
    for each in forecasts:
        verdict = "holds" if each.holds else f"too slow: {each.done_share:.0%} of the work fits"
        needs = f"{each.needed_seconds:.0f} of {each.allowed_seconds:.0f} s"
        song = f"{each.song_seconds / 60:g} min"
        console.print(f"    {song:>6} song, {each.limit!s:<34} {needs:>14}  {verdict}", markup=False)
    for difference in differences:
        console.print(f"    against fp32 on the CPU, {difference.name}: {_difference_text(difference)}", markup=False)


def _difference_text(difference: Difference) -> str:
    if difference.decibels is None:
        return f"cannot run ({difference.reason})"
    if math.isinf(difference.decibels):
        return f"the same samples, {difference.seconds:.2f} s"
    verdict = "alike" if difference.decibels >= ALIKE_DB else "apart"
    return f"{difference.decibels:.1f} dB ({verdict}), {difference.seconds:.2f} s"


def _as_json(trial: Trial, forecasts: list[LimitForecast], differences: list[Difference]) -> dict[str, Any]:
    plain = {name: value for name, value in vars(trial).items() if name not in {"stems", "settings"}}
    plain |= {"system": trial.settings.system, "runs_on": list(trial.runs_on)}
    rows = [{**asdict(each), "limit": str(each.limit), "holds": each.holds} for each in forecasts]
    # JSON has no infinity: the same samples are written as null with the reason.
    compared = [
        {**asdict(each), "decibels": None, "reason": "the same samples"}
        if each.decibels is not None and math.isinf(each.decibels)
        else asdict(each)
        for each in differences
    ]
    return {**plain, "forecasts": rows, "differences": compared}


command = command_of(
    examine, "doctor", "Tell which systems this machine can run, how fast, and which limits they keep."
)
