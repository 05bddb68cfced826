"""Arguments that several commands share, and the settings made of them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from my_submission.audio_io import DEFAULT_READ_OPTIONS, ReadOptions
from my_submission.audio_io.audio_format import FILE_FORMATS, SUBTYPE_BYTES, AudioFormat
from my_submission.audio_io.stem_sets import to_json
from my_submission.files.part_files import write_whole
from my_submission.predictor import Predictor, load, time_limit_seconds
from my_submission.predictor.loading import PRECISIONS, RUNTIMES

Number = TypeVar("Number", int, float)

REFINE: dict[str, bool | None] = {"auto": None, "always": True, "never": False}
"""``--refine`` as the predictor takes it."""

SETTINGS = ("budget", "budget_factor", "refine", "device", "precision", "runtime", "batch_chunks", "max_memory")
"""Options that can change a sample; stems made with other values are made again."""


def positive_number(text: str) -> float:
    """Return a number above zero, for argparse."""
    value = _number(float, text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above zero")
    return value


def positive_integer(text: str) -> int:
    """Return a whole number above zero, for argparse."""
    value = _number(int, text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above zero")
    return value


def _number(kind: Callable[[str], Number], text: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:  # no digits, or more of them than Python reads
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a number that can be used here") from error


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add arguments for time limits, refinement, device, precision and weights."""
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--budget", type=positive_number, metavar="SECONDS", help="time limit per song")
    limit.add_argument(
        "--budget-factor", type=positive_number, metavar="FACTOR", help="time limit as a multiple of the song's length"
    )
    parser.add_argument(
        "--refine",
        default="auto",
        choices=sorted(REFINE),
        help="improve on the published system by overlapping chunks and averaging shifted passes (auto: with the "
        "remaining time of a budget; default: %(default)s)",
    )
    add_engine_arguments(parser)


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add arguments for device, precision, weights and memory."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="default: %(default)s")
    parser.add_argument(
        "--runtime", default="auto", choices=RUNTIMES, help="runtime of spectral networks (default: %(default)s)"
    )
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="a folder with a manifest.json")
    parser.add_argument(
        "--threads",
        type=positive_integer,
        help="number of threads, at most the available processors (default: OMP_NUM_THREADS, else all)",
    )
    parser.add_argument(
        "--batch-chunks", type=positive_integer, metavar="N", help="batch size of spectral networks, in chunks"
    )
    parser.add_argument(
        "--max-memory",
        type=positive_integer,
        metavar="MIB",
        help="limit on host memory: smaller batches, shorter Demucs segments, or an error if that is not enough",
    )
    parser.add_argument(
        "--allow-unverified", action="store_true", help="accept weights without a known or matching hash"
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add arguments for reading songs."""
    parser.add_argument(
        "--audio-track",
        type=positive_integer,
        metavar="N",
        help="audio track, from 1 (default: the one marked as default, else the first with 1 or 2 channels)",
    )
    parser.add_argument(
        "--downmix", action="store_true", help="mix more than two channels down to stereo (ITU-R BS.775, without LFE)"
    )


def read_options(options: argparse.Namespace) -> ReadOptions:
    """Return how songs are read; the defaults for a command without these arguments."""
    return ReadOptions(getattr(options, "audio_track", None), getattr(options, "downmix", False))


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of reading that differ from the defaults."""
    reading = read_options(options)
    return {name: value for name, value in vars(reading).items() if value != getattr(DEFAULT_READ_OPTIONS, name)}


def add_stem_arguments(parser: argparse.ArgumentParser) -> None:
    """Add arguments for writing stems."""
    parser.add_argument("--subtype", default="PCM_16", choices=tuple(SUBTYPE_BYTES), help="default: %(default)s")
    parser.add_argument("--format", default="wav", choices=FILE_FORMATS, help="default: %(default)s")


def audio_format_of(options: argparse.Namespace) -> AudioFormat:
    """Return the format of the stems."""
    return AudioFormat.from_json({"file_format": options.format, "subtype": options.subtype})


def load_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of :func:`my_submission.predictor.load` other than the name of the system."""
    return {
        "models_dir": options.models_dir,
        "device": options.device,
        "precision": options.precision,
        "runtime": options.runtime,
        "threads": options.threads,
        "batch_chunks": options.batch_chunks,
        "max_memory_bytes": None if options.max_memory is None else options.max_memory << 20,
        "allow_unverified": options.allow_unverified,
    }


def load_predictor(system: str, options: argparse.Namespace) -> Predictor:
    """Load the predictor."""
    return load(system, **load_settings(options))


def budget_seconds(options: argparse.Namespace, path: Path) -> float | None:
    """Return the time limit for a song; see :func:`my_submission.predictor.time_limit_seconds`."""
    return time_limit_seconds(
        path,
        budget_seconds=options.budget,
        budget_factor=options.budget_factor,
        reading=read_options(options),
    )


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that can change a sample, as in records of stems."""
    return {**{name: getattr(options, name) for name in SETTINGS}, **read_settings(options)}


def write_run_report(path: Path | None, songs: list[dict[str, Any]], failed: list[dict[str, str]]) -> None:
    """Write the report of a run, if one is requested.

    Args:
        path: the file, or None.
        songs: reports of the separated songs.
        failed: ``song``, ``path`` and ``error`` of the others.
    """
    if path is not None:
        write_json(path, {"schema": 1, "songs": songs, "failed": failed})


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document in one step; names are as ``terminal.names.stored`` gives them.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, to_json(document))
