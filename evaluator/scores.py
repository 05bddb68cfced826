"""The scores file, version 1: how it is built, checked, read and written.

    {"schema": 1, "dataset": "…", "system": "…", "sources": [...], "n_songs": 2, "definitions": {"mdx": "…"},
     "metrics": {"mdx": {"songs": {"<song>": {"bass": 7.1, …, "song": 6.8}}, "mean": {"bass": 7.1, …}},
                 "bsseval": {"songs": {"<song>": {"vocals": {"SDR": 7.0, …}}}, "median": {"vocals": {"SDR": 7.0}}}},
     "silent": {"<song>": {"references": ["bass"], "estimates": []}}, "failed": {"<song>": "why"},
     "options": {"length": "exact", "resample": false, "channels": "exact"}, "notes": {"<song>": ["…"]}}

``options`` are the conversions allowed for estimates of another shape, ``notes`` those applied to a song. Values are
in dB; null stands for a value that is not finite. Unknown keys are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bsseval import RATIOS
from evaluator.errors import ScoresError
from evaluator.fitting import EstimateOptions
from evaluator.scoring import DEFINITIONS, FRAMEWISE_METRICS, METRICS, Row, SongScore, finite_or_none
from evaluator.targets import averaged_sources
from terminal.documents import DocumentError, parse_json, read_json
from terminal.names import storable

SCHEMA = 1

Document = dict[str, Any]

MAX_BYTES = 64 << 20
"""A scores file takes about 250 bytes per song and metric of four sources: this is a quarter of a million songs."""

_MAX_SOURCES = 64
"""Sources per file, which bounds the work of comparing songs source by source."""

_MAX_DECIBELS = 10_000
"""Above 20·log10 of the largest float, 6165 dB."""


def scores_document(
    songs: Mapping[str, Mapping[str, SongScore]],
    *,
    dataset: str,
    system: str,
    sources: Sequence[str],
    failed: Mapping[str, str],
    options: EstimateOptions | None = None,
) -> Document:
    """Build a scores file from scored songs.

    Args:
        songs: metric to song to score.
        dataset: name of the data set, e.g. ``MUSDB18-HQ test``; replay compares it with a board's.
        options: conversions allowed for estimates.
    """
    notes = {name: list(score.notes) for by_song in songs.values() for name, score in by_song.items() if score.notes}
    silent = {
        name: {"references": list(score.silent_references), "estimates": list(score.silent_estimates)}
        for by_song in songs.values()
        for name, score in by_song.items()
        if score.silent_references or score.silent_estimates
    }
    metrics = {
        metric: {
            "songs": {name: score.row for name, score in by_song.items()},
            summary_name(metric): summarise(metric, [score.row for score in by_song.values()], sources),
        }
        for metric, by_song in songs.items()
    }
    return {
        "schema": SCHEMA,
        "dataset": dataset,
        "system": system,
        "sources": list(sources),
        "n_songs": max((len(by_song) for by_song in songs.values()), default=0),
        "definitions": {metric: DEFINITIONS[metric] for metric in songs},
        "metrics": metrics,
        "silent": silent,
        "failed": dict(failed),
        "options": (options or EstimateOptions()).as_json(),
        "notes": notes,
    }


def summary_name(metric: str) -> str:
    """Return the statistic over songs that a metric uses: ``mean`` or ``median``."""
    return "median" if metric in FRAMEWISE_METRICS else "mean"


def summarise(metric: str, rows: Sequence[Row], sources: Sequence[str]) -> Row:
    """Return the mean or median over songs of every value, without nulls; null if all are null."""
    if metric not in FRAMEWISE_METRICS:
        return {key: _over_songs([row.get(key) for row in rows], np.mean) for key in (*sources, "song")}
    return {
        source: {ratio: _over_songs([row.get(source, {}).get(ratio) for row in rows], np.median) for ratio in RATIOS}
        for source in sources
    }


def column(document: Document, metric: str, key: str) -> dict[str, float]:
    """Return song to dB of one source (or ``song``) under one metric, without nulls.

    For framewise metrics this is the SDR, and ``song`` is its mean over the song's sources.
    """
    rows = document["metrics"][metric]["songs"]
    values = {name: _cell(row, metric, key) for name, row in rows.items()}
    return {name: value for name, value in values.items() if value is not None}


def check_scores(document: object, *, where: str | Path | None = None) -> Document:
    """Check that a document is a scores file of this version, and return it.

    Raises:
        ScoresError: it is not; the message names the key.
    """
    if not isinstance(document, dict):
        raise _no_scores("is not a JSON object", where)
    version = document.get("schema")
    is_read = type(version) is int and version == SCHEMA
    _expect(is_read, f"schema is {repr(version)[:40]}; this program reads {SCHEMA}", where)
    _expect(isinstance(document.get("dataset"), str), "dataset is not a string", where)
    _expect(isinstance(document.get("system") or "", str), "system is not a string", where)
    sources = document.get("sources") or []
    are_names = isinstance(sources, list) and all(isinstance(name, str) for name in sources)
    _expect(are_names, "sources is not a list of strings", where)
    _expect(isinstance(document.get("options", {}), dict), "options is not an object", where)
    metrics = document.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        raise _no_scores("metrics is empty or not an object", where)
    for metric, block in metrics.items():
        _expect(metric in METRICS, f"metrics.{metric[:40]} is not a metric of this program", where)
        _check_block(metric, block, sources, where)
    return document


def read_scores(path: Path) -> Document:
    """Read and check a scores file; ScoresError if it is missing or invalid."""
    try:
        return check_scores(read_json(path, max_bytes=MAX_BYTES), where=path)
    except OSError as error:
        raise ScoresError(f"cannot be read ({error.strerror})", where=path) from error
    except DocumentError as error:
        raise _no_scores(f"is not a JSON scores file ({error})", path) from error


def parse_scores(content: bytes, *, where: str | Path) -> Document:
    """Read a scores file from bytes, such as an upload; errors as for :func:`read_scores`."""
    try:
        return check_scores(parse_json(content, max_bytes=MAX_BYTES), where=where)
    except DocumentError as error:
        raise _no_scores(f"is not a JSON scores file ({error})", where) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) under a temporary name and rename it; ScoresError if that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ScoresError(f"cannot be written ({error.strerror})", where=path) from error


def to_json(document: object) -> str:
    """Return strict, indented JSON with a final newline; names are escaped by :func:`terminal.names.stored`."""
    return json.dumps(storable(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _over_songs(values: Sequence[float | None], over: Any) -> float | None:
    finite = [value for value in values if value is not None]
    return finite_or_none(over(finite)) if finite else None


def _cell(row: Row, metric: str, key: str) -> float | None:
    if metric not in FRAMEWISE_METRICS:
        return row.get(key)
    if key != "song":
        return row.get(key, {}).get("SDR")  # type: ignore[no-any-return]
    return _over_songs([row[source]["SDR"] for source in averaged_sources(tuple(row))], np.mean)


def find_row_fault(metric: str, row: object) -> str | None:
    """Return why ``row`` is not a valid row of the metric, as one clause, or None."""
    if not isinstance(row, dict) or not row:
        return "is not a row of numbers"
    if len(row) > _MAX_SOURCES + 1:
        return f"has more than {_MAX_SOURCES} sources"
    for key, value in row.items():
        cells = [value]
        if metric in FRAMEWISE_METRICS:
            if not isinstance(value, dict) or "SDR" not in value:
                return f"{key[:40]} is not an object of ratios with an SDR"
            cells = list(value.values())
        for cell in cells:
            if cell is not None and type(cell) not in (int, float):
                return f"{key[:40]} is not a number or null"
            if cell is not None and not abs(cell) <= _MAX_DECIBELS:
                return f"{key[:40]} is {cell}, which is not a value in dB"
    return None


def _check_block(metric: str, block: object, sources: Sequence[str], where: str | Path | None) -> None:
    key, summary = f"metrics.{metric}", summary_name(metric)
    if not isinstance(block, dict) or not isinstance(block.get("songs"), dict):
        raise _no_scores(f"{key}.songs is not an object", where)
    for name, row in [*block["songs"].items(), (f"({summary})", block.get(summary))]:
        fault = find_row_fault(metric, row)
        _expect(fault is None, f"{key}: {name[:80]}: {fault}", where)
    needed = {*sources} if metric in FRAMEWISE_METRICS else {*sources, "song"}
    absent = sorted(needed - block[summary].keys())
    _expect(not absent, f"{key}.{summary} lacks {', '.join(absent[:5])[:80]}", where)


def _expect(is_so: bool, problem: str, where: str | Path | None) -> None:
    if not is_so:
        raise _no_scores(problem, where)


def _no_scores(problem: str, where: str | Path | None) -> ScoresError:
    return ScoresError(problem, where=where, hint="make scores files with: python -m evaluator score --json")
