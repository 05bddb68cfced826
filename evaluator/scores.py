"""The scores file: made, checked, read and written; version 1.

    {"schema": 1, "dataset": "…", "system": "…", "sources": [...], "n_songs": 2, "definitions": {"mdx": "…"},
     "metrics": {"mdx": {"songs": {"<song>": {"bass": 7.1, …, "song": 6.8}}, "mean": {"bass": 7.1, …}},
                 "bsseval": {"songs": {"<song>": {"vocals": {"SDR": 7.0, …}}}, "median": {"vocals": {"SDR": 7.0}}}},
     "silent": {"<song>": {"references": ["bass"], "estimates": []}}, "failed": {"<song>": "why"}}

Decibels are numbers; null stands for one that is not finite. Keys a reader does not know are left alone.
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
from evaluator.scoring import DEFINITIONS, FRAMEWISE_METRICS, METRICS, Row, SongScore, finite_or_none

SCHEMA = 1

Document = dict[str, Any]


def scores_document(
    songs: Mapping[str, Mapping[str, SongScore]],
    *,
    dataset: str,
    system: str,
    sources: Sequence[str],
    failed: Mapping[str, str],
) -> Document:
    """Make a scores file from scored songs.

    Args:
        songs: metric to song to score.
        dataset: what the songs are, e.g. ``MUSDB18-HQ test``; replay compares it with a board's.
        system: what made the estimates.
        sources: names of the sources, in the order of the tables.
        failed: songs that could not be scored, and why.
    """
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
    }


def summary_name(metric: str) -> str:
    """How a metric goes from songs to a data set: ``mean`` or ``median``."""
    return "median" if metric in FRAMEWISE_METRICS else "mean"


def summarise(metric: str, rows: Sequence[Row], sources: Sequence[str]) -> Row:
    """Mean or median over songs of every number, those that are null left out; null where all are."""
    if metric not in FRAMEWISE_METRICS:
        return {key: _over_songs([row.get(key) for row in rows], np.mean) for key in (*sources, "song")}
    return {
        source: {ratio: _over_songs([row.get(source, {}).get(ratio) for row in rows], np.median) for ratio in RATIOS}
        for source in sources
    }


def column(document: Document, metric: str, key: str) -> dict[str, float]:
    """Song to decibels of one source (or ``song``) of one metric; the SDR of framewise metrics; nulls left out.

    For framewise metrics ``song`` is the mean of the song's SDR over its sources.
    """
    rows = document["metrics"][metric]["songs"]
    values = {name: _cell(row, metric, key) for name, row in rows.items()}
    return {name: value for name, value in values.items() if value is not None}


def check_scores(document: object, *, where: str | Path | None = None) -> Document:
    """The document, when it is a scores file of this version.

    Raises:
        ScoresError: it is not; the message says at which key.
    """
    if not isinstance(document, dict):
        raise _no_scores("is not a JSON object", where)
    version = document.get("schema")
    _expect(version == SCHEMA, f"schema is {version!r}, this program reads {SCHEMA}", where)
    _expect(isinstance(document.get("dataset"), str), "dataset is not a string", where)
    metrics = document.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        raise _no_scores("metrics is empty or not an object", where)
    for metric, block in metrics.items():
        _expect(metric in METRICS, f"metrics.{metric} is no metric of this program", where)
        _check_block(metric, block, where)
    return document


def read_scores(path: Path) -> Document:
    """Read and check a scores file; ScoresError when it is absent, no JSON, or of another kind."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScoresError(f"cannot be read ({error.strerror})", where=path) from error
    except ValueError as error:
        raise ScoresError(f"is not JSON ({error})", where=path, cure="make it with: evaluator score --json") from error
    return check_scores(document, where=path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) under a temporary name and rename it; ScoresError when that cannot be done."""
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
    """Strict JSON, readable, ending in a newline."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _over_songs(values: Sequence[float | None], over: Any) -> float | None:
    finite = [value for value in values if value is not None]
    return finite_or_none(over(finite)) if finite else None


def _cell(row: Row, metric: str, key: str) -> float | None:
    if metric not in FRAMEWISE_METRICS:
        return row.get(key)
    if key != "song":
        return row.get(key, {}).get("SDR")  # type: ignore[no-any-return]
    return _over_songs([ratios["SDR"] for ratios in row.values()], np.mean)


def _check_block(metric: str, block: object, where: str | Path | None) -> None:
    place = f"metrics.{metric}"
    if not isinstance(block, dict) or not isinstance(block.get("songs"), dict):
        raise _no_scores(f"{place}.songs is not an object", where)
    rows = {**block["songs"], f"({summary_name(metric)})": block.get(summary_name(metric))}
    for name, row in rows.items():
        _expect(isinstance(row, dict) and bool(row), f"{place}: {name} is not a row of numbers", where)
        for key, value in row.items():
            cells = value.values() if metric in FRAMEWISE_METRICS and isinstance(value, dict) else [value]
            if metric in FRAMEWISE_METRICS:
                _expect(isinstance(value, dict), f"{place}: {name}: {key} is not an object of ratios", where)
            for cell in cells:
                is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
                _expect(cell is None or is_number, f"{place}: {name}: {key} is not a number or null", where)


def _expect(is_so: bool, problem: str, where: str | Path | None) -> None:
    if not is_so:
        raise _no_scores(problem, where)


def _no_scores(problem: str, where: str | Path | None) -> ScoresError:
    return ScoresError(problem, where=where, cure="make scores files with: python -m evaluator score --json")
