"""``separate``: songs in, folders of stems out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from my_submission.audio_io import SongInput, find_songs, probe
from my_submission.cli.progress import SongProgress
from my_submission.errors import MdxError, OutputError
from my_submission.events import Finished
from my_submission.predictor import Predictor, SeparationReport, load
from my_submission.predictor.loading import PRECISIONS, RUNTIMES

SUBTYPES = ("PCM_16", "PCM_24", "FLOAT")
FORMATS = ("wav", "flac")


def positive_number(text: str) -> float:
    """A number above zero, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above zero")
    return value


def positive_integer(text: str) -> int:
    """A whole number above zero, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above zero")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="an audio file, or a folder of songs")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="stems go to DIR/<song>/")
    parser.add_argument("--system", default="starter", help="see `systems` (default: %(default)s)")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--budget", type=positive_number, metavar="SECONDS", help="time limit a song")
    limit.add_argument(
        "--budget-factor", type=positive_number, metavar="FACTOR", help="time limit as a multiple of the song's length"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="default: %(default)s")
    parser.add_argument(
        "--runtime", default="auto", choices=RUNTIMES, help="what runs spectral networks (default: %(default)s)"
    )
    parser.add_argument("--subtype", default="PCM_16", choices=SUBTYPES, help="default: %(default)s")
    parser.add_argument("--format", default="wav", choices=FORMATS, help="default: %(default)s")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="a folder with a manifest.json")
    parser.add_argument("--threads", type=positive_integer, help="processors to use (default: all this process may)")
    parser.add_argument("--batch-chunks", type=positive_integer, metavar="N", help="spectral chunks in one run")
    parser.add_argument("--allow-unverified", action="store_true", help="accept weights of another hash")
    parser.add_argument("--skip-existing", action="store_true", help="leave songs alone whose stems are complete")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write what was done")


def run(options: argparse.Namespace) -> int:
    """Separate every song; one that fails does not stop the others."""
    songs = find_songs(options.inputs)
    reports: list[SeparationReport] = []
    failures: list[tuple[SongInput, MdxError]] = []
    predictor: Predictor | None = None
    n_skipped = 0
    with SongProgress(len(songs)) as progress:
        for song in songs:
            directory = options.output / song.name
            try:
                if predictor is None:
                    predictor = _load(options)
                    progress.notes(predictor.setup_notes)
                _refuse_own_folder(song, directory)
                if options.skip_existing and is_complete(song.path, directory, predictor.sources, options.format):
                    n_skipped += 1
                    progress.skipped(song.name)
                    continue
                reports.append(_separate(predictor, song, directory, options, progress))
            except MdxError as error:
                if predictor is None:
                    raise
                failures.append((song, error))
                progress.failed(song.name, error)
            _write_report(options.report, reports, failures)
    _summarise(len(reports), n_skipped, failures)
    return 1 if failures else 0


def _load(options: argparse.Namespace) -> Predictor:
    return load(
        options.system,
        models_dir=options.models_dir,
        device=options.device,
        precision=options.precision,
        runtime=options.runtime,
        threads=options.threads,
        batch_chunks=options.batch_chunks,
        allow_unverified=options.allow_unverified,
    )


def _separate(
    predictor: Predictor, song: SongInput, directory: Path, options: argparse.Namespace, progress: SongProgress
) -> SeparationReport:
    budget = options.budget
    if options.budget_factor is not None:
        budget = options.budget_factor * _seconds(song.path)
    events = predictor.stream_file(
        song.path, directory, subtype=options.subtype, file_format=options.format, budget_seconds=budget
    )
    for event in events:
        progress.show(song.name, event)
        if isinstance(event, Finished):
            report: SeparationReport = event.result
    progress.done(song.name, report)
    return report


def _seconds(path: Path) -> float:
    info = probe(path)
    if info.samples is None:
        raise MdxError("its length is not known before it is decoded", where=path, cure="use --budget SECONDS")
    return info.samples / info.sample_rate


def _refuse_own_folder(song: SongInput, directory: Path) -> None:
    """Stems beside the mixture would replace the references of a data set."""
    if song.path.name.startswith("mixture.") and directory.resolve() == song.path.resolve().parent:
        raise OutputError(
            "the stems would replace those that lie beside the mixture",
            where=directory,
            cure="choose another output folder with -o",
        )


def is_complete(mixture: Path, directory: Path, sources: tuple[str, ...], file_format: str) -> bool:
    """Whether every stem is there, readable, and as long as the mixture."""
    expected = probe(mixture)
    for source in sources:
        path = directory / f"{source}.{file_format}"
        if not path.is_file():
            return False
        try:
            found = probe(path)
        except MdxError:
            return False
        if found.sample_rate != expected.sample_rate or expected.samples not in {None, found.samples}:
            return False
    return True


def _write_report(
    path: Path | None, reports: list[SeparationReport], failures: list[tuple[SongInput, MdxError]]
) -> None:
    """Write the report of all songs so far under its final name, whole or not at all."""
    if path is None:
        return
    document: dict[str, Any] = {
        "schema": 1,
        "songs": [report.as_json() for report in reports],
        "failed": [{"song": song.name, "path": str(song.path), "error": str(error)} for song, error in failures],
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"the report cannot be written ({error.strerror})", where=path, cure="choose another --report file"
        ) from error


def _summarise(n_done: int, n_skipped: int, failures: list[tuple[SongInput, MdxError]]) -> None:
    for song, error in failures:
        print(f"error: {song.name}: {error}", file=sys.stderr)
    if failures:
        print(f"{len(failures)} song(s) failed, {n_done} done, {n_skipped} skipped", file=sys.stderr)
