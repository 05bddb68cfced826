"""Groups of options of ``batch``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from evaluator.scoring import METRICS
from my_submission.batch.summary import SUMMARY_FILE
from my_submission.cli.option_values import amount, choice, count, positive_integer, positive_number
from my_submission.cli.options import ReportFile
from my_submission.cli.panels import OUTPUT

CLUSTER, SCORES = "Cluster", "Scores"
"""Panels of the command's help."""


@dataclass(frozen=True)
class PlaceOptions:
    """Locations of songs and results."""

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
    report: ReportFile = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry files that an earlier run could not separate.")
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
            help="GPUs per worker; a fraction shares one (default: 1 with --device cuda, else 0).",
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
            help="Time limit per song, after which its worker is ended, in case it hangs (default: none).",
        ),
    ] = None
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            parser=count,
            metavar="N",
            rich_help_panel=CLUSTER,
            help="Number of retries after a lost worker or an unreachable store.",
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
            help="Score the output against these references afterwards, on the workers.",
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
