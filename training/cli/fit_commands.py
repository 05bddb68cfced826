"""Subcommands that train networks and export them."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from training.cli.command import DEFAULT_RUNS, TrainingCommand, add_cache, add_data, add_experiment, summary

MEBI = 2**20


def _log_warnings_only() -> None:
    """Hide Lightning's messages, which repeat those of this program; call after importing Lightning."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def _configs(options: argparse.Namespace) -> None:
    from training.settings.files import experiment_names

    print(*experiment_names(), sep="\n")


def _options(options: argparse.Namespace) -> None:
    from training.settings.published import as_markdown

    print(as_markdown(), end="")


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def _fit(options: argparse.Namespace) -> None:
    from training.examples.loading import read_data
    from training.export.own_systems import separate_command, system_of_run
    from training.loop.checks import checked
    from training.loop.fitting import fit
    from training.modules.registry import load_experiment

    _log_warnings_only()
    experiment = load_experiment(options.experiment, options.overrides)
    name = options.name or options.experiment.removesuffix(".toml").lstrip("./")
    if experiment.run.dev:
        experiment, name = experiment.for_trial(), f"{name}-dev"
    data = read_data(experiment, options.data, options.valid)
    if options.check:
        print(checked(experiment, data, options.runs / name))
        return
    report = fit(experiment, data, name=name, runs=options.runs, cache=options.cache, resume=options.resume)
    best = "nothing was validated" if report.best is None else f"best {report.best} {report.score}"
    if report.is_first_process:
        print(f"{report.steps} steps, last {report.last}, {best}")
        system = system_of_run(options.runs, experiment, name)
        if system is not None:
            print(f"to hear it: {separate_command(system, options.runs)}")


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add_experiment(parser)
    add_data(parser)
    add_cache(parser)
    parser.add_argument("--runs", type=Path, default=DEFAULT_RUNS, help="folder of runs, which is also a models folder")
    parser.add_argument("--name", help="name of the run (default: the experiment's)")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="CHECKPOINT",
        help="resume from this checkpoint of a run with the same settings, not from the run's last.ckpt",
    )
    parser.add_argument("--check", action="store_true", help="only check settings, songs, devices and disk space")


def _export(options: argparse.Namespace) -> None:
    from training.export.manifest import record_graphs
    from training.loop.checkpoints import load_module

    for path in options.checkpoints:
        module = load_module(path)
        folder = options.models / module.experiment.family
        for written in module.export_graphs(folder):
            print(summary(written))
        record_graphs(options.models, module.experiment, folder)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", type=Path, nargs="+", help="<run>/checkpoints/*.ckpt")
    parser.add_argument("--models", type=Path, required=True, help="output models folder")


def _average(options: argparse.Namespace) -> None:
    from my_submission.weights import ModelsFolder, record_artefacts
    from training.export.averaging import average_graphs

    artefact = ModelsFolder(options.models).artefact(options.artefact)
    average_graphs(options.graphs, options.models / artefact.path)
    entry = record_artefacts(options.models, [artefact]).artefact(artefact.name)
    print(f"{options.models / entry.path} {entry.n_bytes} bytes sha256 {entry.sha256}")


def _add_average(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artefact", help="entry of the manifest whose file is replaced, such as starter/bass")
    parser.add_argument("graphs", type=Path, nargs="+", help="two or more graphs, which may include the current file")
    parser.add_argument("--models", type=Path, required=True, help="models folder")


def _bench_step(options: argparse.Namespace) -> None:
    from training.loop.bench import bench_step
    from training.modules.registry import load_experiment

    _log_warnings_only()
    experiment = load_experiment(options.experiment, options.overrides)
    with tempfile.TemporaryDirectory() as scratch:
        cost = bench_step(experiment, Path(scratch), n_steps=options.steps)
    seconds = ", ".join(f"{value:.1f}" for value in cost.seconds)
    print(
        f"{options.experiment}: {cost.parameters} parameters, {cost.examples} windows per step "
        f"({experiment.data.micro_batch} at once), {experiment.run.precision}, {cost.device}\n"
        f"seconds per step: {seconds} ({cost.processor_seconds:.1f} processor seconds in total)\n"
        f"{cost.examples_per_second:.2f} windows/s; "
        f"peak memory {cost.peak_bytes / MEBI:.0f} MiB"
    )


def _add_bench_step(parser: argparse.ArgumentParser) -> None:
    add_experiment(parser)
    parser.add_argument("--steps", type=int, default=1, help="optimisation steps to run")


def _bench_data(options: argparse.Namespace) -> None:
    from training.examples.loading import read_data
    from training.loop.bench import bench_data
    from training.modules.registry import load_experiment

    _log_warnings_only()
    experiment = load_experiment(options.experiment, options.overrides)
    speed = bench_data(
        experiment, read_data(experiment, options.data, options.valid), options.cache, n_batches=options.batches
    )
    print(f"{options.experiment}: {speed:.1f} windows/s with {experiment.data.workers} workers")


def _add_bench_data(parser: argparse.ArgumentParser) -> None:
    add_experiment(parser)
    add_data(parser)
    add_cache(parser)
    parser.add_argument("--batches", type=int, default=20, help="batches to time")


STAGES = (
    TrainingCommand("configs", "list all experiments", _add_nothing, _configs),
    TrainingCommand("options", "list the options of the authors' programs, with ours", _add_nothing, _options),
    TrainingCommand("fit", "train an experiment, or resume it", _add_fit, _fit, has_settings=True),
    TrainingCommand("export", "export checkpoints to a models folder", _add_export, _export),
    TrainingCommand("average", "replace an artefact by the mean of the weights of graphs", _add_average, _average),
    TrainingCommand(
        "bench-step", "time optimisation steps at full size", _add_bench_step, _bench_step, has_settings=True
    ),
    TrainingCommand(
        "bench-data", "time the loading of training windows", _add_bench_data, _bench_data, has_settings=True
    ),
)
