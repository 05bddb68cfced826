"""Groups of options that several commands share, and the settings made of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from my_submission.audio_io import DEFAULT_READ_OPTIONS, ReadOptions
from my_submission.cli.network_options import NetworkGroup
from my_submission.cli.option_values import (
    choice,
    complete_devices,
    complete_systems,
    positive_integer,
    positive_number,
)
from my_submission.cli.panels import EXPERT, HARDWARE, OUTPUT, TIME
from my_submission.cli.stem_options import ChoiceOptions
from my_submission.predictor import Predictor, load, time_limit_seconds
from my_submission.predictor.loading import PRECISIONS, RUNTIMES
from my_submission.systems import DEFAULT_SYSTEM

REFINE: dict[str, bool | None] = {"auto": None, "always": True, "never": False}
"""``--refine`` as the predictor takes it."""

DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        autocompletion=complete_devices,
        rich_help_panel=HARDWARE,
        help="auto, cpu, cuda or cuda:N; auto uses a GPU if there is one.",
    ),
]

AllowUnverified = Annotated[
    bool,
    typer.Option("--allow-unverified", rich_help_panel=EXPERT, help="Accept weights whose hash is unknown or differs."),
]

ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.json", rich_help_panel=OUTPUT, help="Write a report of the run."),
]


@dataclass(frozen=True)
class SystemOption:
    """Choice of the system."""

    system: Annotated[
        str,
        typer.Option(
            "--system", "-n", metavar="NAME", autocompletion=complete_systems, help="System; `systems` lists all."
        ),
    ] = DEFAULT_SYSTEM


@dataclass(frozen=True)
class InputOptions:
    """Options of reading songs."""

    audio_track: Annotated[
        int | None,
        typer.Option(
            "--audio-track",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=EXPERT,
            help="Audio track, from 1 (default: the one marked as default, else the first with 1 or 2 channels).",
        ),
    ] = None
    downmix: Annotated[
        bool,
        typer.Option(
            "--downmix",
            rich_help_panel=EXPERT,
            help="Mix more than two channels down to stereo (ITU-R BS.775, without LFE).",
        ),
    ] = False

    @property
    def reading(self) -> ReadOptions:
        """The options as the library takes them."""
        return ReadOptions(self.audio_track, self.downmix)


@dataclass(frozen=True)
class TimeOptions:
    """Time limits per song, and what is done with spare time."""

    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", parser=positive_number, metavar="SECONDS", rich_help_panel=TIME, help="Time limit per song."
        ),
    ] = None
    budget_factor: Annotated[
        float | None,
        typer.Option(
            "--budget-factor",
            parser=positive_number,
            metavar="FACTOR",
            rich_help_panel=TIME,
            help="Time limit as a multiple of the song's length.",
        ),
    ] = None
    refine: Annotated[
        str,
        choice(
            "--refine",
            of=sorted(REFINE),
            panel=TIME,
            help_text="Refine beyond the published system, by more overlap and averaged shifted passes "
            "(auto: if a budget leaves time)",
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget_factor is not None:
            raise typer.BadParameter("--budget and --budget-factor exclude each other")

    @property
    def refines(self) -> bool | None:
        """Whether to refine, as the predictor takes it."""
        return REFINE[self.refine]

    def seconds(self, path: Path, reading: ReadOptions = DEFAULT_READ_OPTIONS) -> float | None:
        """Return the time limit of a song; see :func:`my_submission.predictor.time_limit_seconds`."""
        return time_limit_seconds(path, budget_seconds=self.budget, budget_factor=self.budget_factor, reading=reading)


@dataclass(frozen=True)
class EngineOptions:
    """Device, precision, memory and weights."""

    device: DeviceName = "auto"
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=HARDWARE,
            help="Number of threads, at most the available processors (default: OMP_NUM_THREADS, else all).",
        ),
    ] = None
    max_memory: Annotated[
        int | None,
        typer.Option(
            "--max-memory",
            parser=positive_integer,
            metavar="MIB",
            rich_help_panel=HARDWARE,
            help="Limit on host memory: smaller batches, shorter Demucs segments, or an error if that is not enough.",
        ),
    ] = None
    precision: Annotated[
        str,
        choice(
            "--precision",
            of=PRECISIONS,
            panel=EXPERT,
            help_text="Number format; auto is the fastest that agrees with fp32 to 45 dB on an excerpt of the song",
        ),
    ] = "auto"
    runtime: Annotated[
        str,
        choice("--runtime", of=RUNTIMES, panel=EXPERT, help_text="Runtime of spectral networks"),
    ] = "auto"
    batch_chunks: Annotated[
        int | None,
        typer.Option(
            "--batch-chunks",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=EXPERT,
            help="Batch size of spectral networks, in chunks.",
        ),
    ] = None
    models_dir: Annotated[
        Path | None,
        typer.Option("--models-dir", metavar="DIR", rich_help_panel=EXPERT, help="A folder with a manifest.json."),
    ] = None
    allow_unverified: AllowUnverified = False

    @property
    def load_settings(self) -> dict[str, Any]:
        """The arguments of :func:`my_submission.predictor.load` other than the name of the system."""
        return {
            "models_dir": self.models_dir,
            "device": self.device,
            "precision": self.precision,
            "runtime": self.runtime,
            "threads": self.threads,
            "batch_chunks": self.batch_chunks,
            "max_memory_bytes": None if self.max_memory is None else self.max_memory << 20,
            "allow_unverified": self.allow_unverified,
        }

    def load(self, system: str, stems: Sequence[str] = (), network: NetworkGroup | None = None) -> Predictor:
        """Load the predictor of a system, or of a graph of the user's own, for some stems."""
        more = {} if network is None else network.load_settings
        with _without_warnings(load.__module__):  # they are notes of the predictor as well
            return load(system, stems=stems, **self.load_settings, **more)


@contextmanager
def _without_warnings(name: str) -> Iterator[None]:
    """Show only errors of a logger while the block runs."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def settings_of(
    time: TimeOptions,
    engine: EngineOptions,
    inputs: InputOptions | None = None,
    choice: ChoiceOptions | None = None,
    network: NetworkGroup | None = None,
) -> dict[str, Any]:
    """Return the options that can change a sample, as in records of stems.

    Those of reading and of the choice of stems are left out if they are the defaults.
    """
    reading = DEFAULT_READ_OPTIONS if inputs is None else inputs.reading
    changed = {name: value for name, value in vars(reading).items() if value != getattr(DEFAULT_READ_OPTIONS, name)}
    return {
        "budget": time.budget,
        "budget_factor": time.budget_factor,
        "refine": time.refine,
        "device": engine.device,
        "precision": engine.precision,
        "runtime": engine.runtime,
        "batch_chunks": engine.batch_chunks,
        "max_memory": engine.max_memory,
        **changed,
        **({} if choice is None else choice.settings),
        **({} if network is None else network.settings),
    }
