"""Exports of scores: CSV, and the per-track JSON of museval."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from evaluator.bsseval import RATIOS
from evaluator.scores import Document, summary_name, write_atomically
from evaluator.scoring import FRAMEWISE_METRICS, SongScore
from terminal.names import stored

CSV_COLUMNS = ("dataset", "system", "metric", "song", "source", "ratio", "value_db")


def to_csv(document: Document) -> str:
    """Return one CSV row per number (:data:`CSV_COLUMNS`); summaries are songs ``(mean)`` and ``(median)``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for metric, block in document["metrics"].items():
        summary = summary_name(metric)
        for song, row in [*block["songs"].items(), (f"({summary})", block[summary])]:
            for source, value in row.items():
                cells = (
                    value.items() if metric in FRAMEWISE_METRICS else [("SDR" if metric == "mdx" else "SI-SDR", value)]
                )
                for ratio, cell in cells:
                    number = "" if cell is None else repr(float(cell))
                    names = (document["dataset"], document["system"], metric, song, source, ratio)
                    writer.writerow((*map(stored, names), number))
    return text.getvalue()


def museval_track(score: SongScore) -> dict[str, Any]:
    """Return one song as museval's per-track JSON (``musdb.schema.json``), with 5 decimals.

    Frames that are not finite are NaN, as museval writes and reads them although strict JSON has no NaN.
    """
    targets = []
    for source, ratios in score.frames.items():
        n_frames = len(next(iter(ratios.values())))
        frames = [
            {
                "time": index * score.window_seconds,
                "duration": score.window_seconds,
                "metrics": {name: _museval_number(ratios[name][index]) for name in RATIOS},
            }
            for index in range(n_frames)
        ]
        targets.append({"name": source, "frames": frames})
    return {"targets": targets, "museval_version": "bsseval v4 (evaluator)"}


def write_museval_track(folder: Path, song: str, score: SongScore) -> Path:
    """Write ``<folder>/test/<song>.json``, the path museval's stores read; ScoresError if that fails."""
    path = folder / "test" / f"{song.replace('/', '_')}.json"
    write_atomically(path, json.dumps(museval_track(score), indent=2) + "\n")
    return path


def _museval_number(value: float | None) -> float:
    return math.nan if value is None else round(value, 5)
