"""``doctor``: check which systems this machine can run, how fast, and whether the challenges' limits would be met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from my_submission.cli.artefacts import ModelsOption
from my_submission.cli.doctor_report import show_details, show_machine, show_table, show_verdict
from my_submission.cli.findings import show_findings
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import complete_systems, split
from my_submission.cli.options import AllowUnverified, DeviceName
from my_submission.cli.progress import is_live
from my_submission.cli.run_reports import write_json
from my_submission.doctor import (
    Difference,
    Trial,
    TrialSettings,
    TriedSystem,
    describe_machine,
    faster_with_openvino,
    forecast,
    gpu_sentence,
    measure_differences,
    runtime_findings,
    try_system,
    verdict_sentences,
    version_findings,
)
from my_submission.doctor.differences import worst_decibels
from my_submission.engines.provider_probe import ProviderState, probe_providers
from my_submission.engines.runtimes import installed_runtimes, runtime_state
from my_submission.errors import MdxError
from my_submission.submission.findings import Finding, fault
from my_submission.systems import find_system, systems_of
from my_submission.weights import ModelsFolder


@dataclass(frozen=True)
class TrialOptions:
    """Systems to try, and options of the trial."""

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
        bool, typer.Option("--no-trial", help="Check only the machine and the runtimes; run no system.")
    ] = False
    device: DeviceName = "auto"
    allow_unverified: AllowUnverified = False


def examine(
    trials: TrialOptions,
    models: ModelsOption,
    messages: Messages,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all measurements to a file.")
    ] = None,
) -> int:
    """Examine the machine; return 1 on a fault."""
    console = Console(soft_wrap=True, highlight=False, quiet=messages.quiet)
    machine, providers, runtimes = describe_machine(), probe_providers(), installed_runtimes()
    findings = [*version_findings(), *runtime_findings(runtimes, providers, machine)]
    found: dict[str, Any] = {"schema": 1, "machine": asdict(machine), "providers": [_row(p) for p in providers]}
    found["findings"] = [_row(finding) for finding in findings]
    is_full = messages.verbose or json_file is not None
    measured: list[Measured] = []
    failed: list[Finding] = []
    if not trials.no_trial:
        has_cuda = any(state.name == "CUDA" and state.is_usable for state in providers) and machine.n_gpus > 0
        names = _chosen(split(trials.system), models.models_dir)
        measured, failed = _try_systems(names, trials, models.models_dir, has_cuda=has_cuda, is_full=is_full)
        found["systems"] = [each.as_json() for each in measured]
    tried = [each.tried for each in measured]
    gpu = gpu_sentence(machine, providers, runtime_state(runtimes, machine.n_gpus))
    found["verdict"] = verdict_sentences(tried, machine, gpu, faster_with_openvino(ModelsFolder(models.models_dir)))
    show_verdict(console, found["verdict"])
    if tried:
        show_table(console, tried)
    if messages.verbose:
        console.print()
        show_machine(console, machine)
        for each in measured:
            show_details(console, each.tried, each.differences)
    shown = [finding for finding in (*findings, *failed) if messages.verbose or finding.severity != "fact"]
    if shown and not messages.quiet:
        console.print()
    n_faults = show_findings(shown, only_faults=messages.quiet)
    if json_file:
        write_json(json_file, found)
    return 1 if n_faults else 0


@dataclass(frozen=True)
class Measured:
    """A system that was tried, and how other devices and precisions differ from it."""

    tried: TriedSystem
    differences: tuple[Difference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return everything measured as plain values."""
        trial = self.tried.trial
        plain = {name: value for name, value in vars(trial).items() if name not in {"stems", "settings"}}
        plain |= {"system": trial.settings.system, "runs_on": list(trial.runs_on)}
        rows = [{**asdict(each), "limit": str(each.limit), "is_met": each.is_met} for each in self.tried.forecasts]
        # JSON has no infinity: the same samples are written as null with the reason.
        compared = [
            {**asdict(each), "decibels": None, "reason": "the same samples"}
            if each.decibels is not None and math.isinf(each.decibels)
            else asdict(each)
            for each in self.differences
        ]
        return {**plain, "forecasts": rows, "differences": compared}


def _try_systems(
    names: Sequence[str], trials: TrialOptions, models_dir: Path, *, has_cuda: bool, is_full: bool
) -> tuple[list[Measured], list[Finding]]:
    """Try systems one by one; return what was measured, and a fault for each that cannot run."""
    measured: list[Measured] = []
    failed: list[Finding] = []
    progress = Console(stderr=True)
    for number, name in enumerate(names, start=1):
        settings = TrialSettings(
            system=name,
            models_dir=models_dir,
            device=trials.device,
            allow_unverified=trials.allow_unverified,
        )
        with progress.status(f"trying {name}, system {number} of {len(names)}") if is_live(progress) else nullcontext():
            try:
                trial = try_system(settings)
                differences = _differences(trial, has_cuda=has_cuda) if is_full else ()
            except MdxError as error:
                failed.append(fault(name, str(error), "see the message"))
                continue
        measured.append(Measured(TriedSystem(trial, tuple(forecast(trial.cost))), differences))
    return measured, failed


def _differences(trial: Trial, *, has_cuda: bool) -> tuple[Difference, ...]:
    """Return how other devices, runtimes and precisions differ from fp32 on the CPU."""
    cpu = replace(trial.settings, device="cpu", precision="fp32")
    reference = trial if not has_cuda and trial.settings == cpu else try_system(cpu)
    differences = measure_differences(reference, has_cuda=has_cuda)
    if trial is not reference:
        decibels = worst_decibels(reference.stems, trial.stems)
        differences.insert(0, Difference("as it runs above", decibels, trial.seconds))
    return tuple(differences)


def _chosen(names: Sequence[str], models_dir: Path) -> list[str]:
    models = ModelsFolder(models_dir)
    systems = systems_of(models)
    if names:
        return [find_system(name, systems).name for name in names]
    return [system.name for system in systems.values() if not models.missing(system.artefacts)]


def _row(value: Finding | ProviderState) -> dict[str, Any]:
    """Return the value as one row of the JSON document, where its hint is called ``cure``."""
    row = asdict(value)
    row["cure"] = row.pop("hint")
    return row


command = command_of(
    examine,
    "doctor",
    "Tell which systems this machine can run, how fast, and which limits of the challenges they keep.",
)
