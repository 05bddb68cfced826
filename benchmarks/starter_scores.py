"""Scores of every system that needs no download, and the tables of them in README, docs and model cards.

    python -m benchmarks.starter_scores --data ../shared/data     # separate, score, store, write the tables
    python -m benchmarks.starter_scores --tables                  # write the tables from the stored scores

Two dev songs, used to choose shares and other settings, and two test songs, used for nothing else. The scores are in
benchmarks/results/starter_scores.json; a test compares them with the tables, the weights and the shares.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from evaluator.metrics import global_sdr
from my_submission import load
from my_submission.engines import Device
from my_submission.mechanisms import RunOptions
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES, Stems, Waveform
from my_submission.systems import find_system, for_stems, load_system
from my_submission.weights import ModelsFolder

ROOT = Path(__file__).resolve().parents[1]
SCORES = ROOT / "benchmarks" / "results" / "starter_scores.json"

SYSTEMS = ("starter", "starter-conditioned", "starter-blend", "starter-own", "starter-plus")
QUARTER, FRONT_END = "mixture/4", "vocals of `starter-plus`, rest/3"

SONGS = {
    "Falcon 69": "test, 6 s of MUSDB18",
    "Too Bright": "test, 7 s",
    "Sodium": "dev",
    "Rubidium": "dev; the starter's networks were trained on it",
}

DOCUMENTS = (
    "README.md",
    "docs/scores.md",
    *(f"models/{name}/README.md" for name in ("starter", "starter-conditioned", "starter-plus")),
)
"""Files with tables between ``<!-- scores:NAME -->`` and ``<!-- /scores -->``."""

BEGIN, END = "<!-- scores:", "<!-- /scores -->"

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Song to row to source to global SDR in dB."""


def settings_of(name: str) -> dict[str, Any]:
    """Return the values of a system that its scores depend on: weights by content, shares, order."""
    system, models = find_system(name), ModelsFolder()
    return {
        "weights": {artefact: models.artefact(artefact).sha256 for artefact in system.artefacts},
        "shares": [dict(branch.shares) for branch in system.branches],
        "minus": [list(branch.minus) for branch in system.branches],
        "wiener": None if system.wiener is None else dict(system.wiener.shares),
        "adds_up": system.wiener is not None and system.wiener.adds_up,
    }


def read_songs(data: Path) -> Iterator[tuple[str, Waveform, Stems]]:
    """Name, mixture and stems of every song; a song without a mixture is the sum of its stems."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(ROOT / "scripts" / "unpack_excerpt.py"), folder], check=True)
        (falcon,) = Path(folder).iterdir()
        yield "Falcon 69", *_read(falcon)
    yield "Too Bright", *_read(data / "mdx21-sample" / "Mu - Too Bright")
    for name in ("Sodium", "Rubidium"):
        yield name, *_read(data / "everything-is-free" / name)


def _read(folder: Path) -> tuple[Waveform, Stems]:
    tracks = {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0].T for path in folder.iterdir()}
    length = min(track.shape[1] for track in tracks.values())
    stems = {source: tracks[source][:, :length] for source in MUSIC_SOURCES}
    mixture = tracks["mixture"][:, :length] if "mixture" in tracks else np.sum(list(stems.values()), axis=0)
    return mixture, stems


def score(data: Path) -> dict[str, Any]:
    """Separate every song with every system; the document to store."""
    predictors = {name: load(name, precision="fp32") for name in SYSTEMS}
    vocals = load_system(
        for_stems(find_system("starter-plus"), ["vocals"]), ModelsFolder(), RunOptions(device=Device("cpu"))
    )
    front_end = Predictor(vocals)
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for song, mixture, truth in read_songs(data):
        estimates = {QUARTER: dict.fromkeys(MUSIC_SOURCES, mixture / 4)}
        estimates[FRONT_END] = front_end.separate(mixture)
        rest = (mixture - estimates[FRONT_END]["vocals"]) / 3
        estimates[FRONT_END] |= {source: rest for source in MUSIC_SOURCES if source != "vocals"}
        estimates |= {name: predictor.separate(mixture, refine=False) for name, predictor in predictors.items()}
        scores[song] = {
            row: {source: round(global_sdr(truth[source], stems[source]), 3) for source in MUSIC_SOURCES}
            for row, stems in estimates.items()
        }
        print(song, {row: round(mean(values), 2) for row, values in scores[song].items()}, flush=True)
    return {"version": 1, "systems": {name: settings_of(name) for name in SYSTEMS}, "scores": scores}


def mean(scores: Mapping[str, float]) -> float:
    """Return the mean over the sources."""
    return sum(scores.values()) / len(scores)


def tables(scores: Scores) -> dict[str, str]:
    """Return name to Markdown table: means of all systems, all stems of all systems, and one table per system."""
    rows = [QUARTER, FRONT_END, *SYSTEMS]
    means = [["song", *(f"`{name}`" if name in SYSTEMS else name for name in rows if name != FRONT_END)]]
    means += [
        [f"{song} ({SONGS[song]})", *(f"{mean(scores[song][row]):.2f}" for row in rows if row != FRONT_END)]
        for song in SONGS
    ]
    return {
        "means": _table(means),
        "stems": _stem_table(scores, rows),
        "starter": _stem_table(scores, [QUARTER, "starter"]),
        "starter-conditioned": _stem_table(scores, [QUARTER, "starter-conditioned", "starter-blend"]),
        "starter-plus": _stem_table(scores, [QUARTER, FRONT_END, "starter-plus", "starter-own"]),
    }


def _stem_table(scores: Scores, rows: list[str]) -> str:
    lines = [["song", "", *MUSIC_SOURCES, "mean"]]
    for song, kind in SONGS.items():
        for row in rows:
            values = scores[song][row]
            cells = [f"{value:.2f}" for value in (*(values[source] for source in MUSIC_SOURCES), mean(values))]
            first = f"{song} ({kind})" if row == rows[0] else ""
            lines.append([first, f"`{row}`" if row in SYSTEMS else row, *cells])
    return _table(lines)


def _table(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in rows]
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])


def with_tables(text: str, scores: Scores) -> str:
    """Return a document with the tables between its markers replaced.

    Raises:
        ValueError: it has no marker, or one of a table that does not exist.
    """
    made = tables(scores)
    before, *sections = text.split(BEGIN)
    if not sections:
        raise ValueError(f"there is no {BEGIN}NAME --> in the document")
    for section in sections:
        name, rest = section.split(" -->", 1)
        if name not in made or END not in rest:
            raise ValueError(f"{BEGIN}{name} --> names no table, or has no {END}")
        before += f"{BEGIN}{name} -->\n{made[name]}\n{END}{rest.split(END, 1)[1]}"
    return before


def main() -> None:
    """Score, store, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the songs")
    parser.add_argument("--tables", action="store_true", help="only write the tables from the stored scores")
    options = parser.parse_args()
    if not options.tables:
        SCORES.write_text(json.dumps(score(options.data), indent=1) + "\n", encoding="utf-8")
    scores = json.loads(SCORES.read_text(encoding="utf-8"))["scores"]
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(with_tables(path.read_text(encoding="utf-8"), scores), encoding="utf-8")


if __name__ == "__main__":
    main()
