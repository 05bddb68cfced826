"""The score of one song by one metric.

| metric | definition | over songs |
|---|---|---|
| mdx | the challenge's global SDR | mean |
| bsseval | BSSEval v4: SDR, ISR, SIR, SAR, median over 1-s frames | median |
| bsseval-sdr | the SDR of bsseval alone: same values, no filters | median |
| museval | the same four by the museval package (slow) | median |
| si-sdr | scale-invariant SDR | mean |

Accompaniment and instrumental overlap with the sources they are the sum of. A song's mean excludes them if those
sources are scored too. Framewise metrics compare them together with the vocals only, as museval does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evaluator.bsseval import RATIOS, BssEval, bsseval_v4
from evaluator.errors import EvaluationError
from evaluator.metrics import GlobalSdr, SiSdr
from evaluator.pairs import StemPair
from evaluator.targets import averaged_sources, scenarios
from terminal.extras import explained_absence

WHOLE_SONG_METRICS = ("mdx", "si-sdr")
FRAMEWISE_METRICS = ("bsseval", "bsseval-sdr", "museval")
METRICS = ("mdx", "bsseval", "bsseval-sdr", "si-sdr", "museval")

DEFINITIONS = {
    "mdx": "global SDR of the Music Demixing Challenge: 10·log10((Σref²+1e-7)/(Σ(ref−est)²+1e-7)) over a whole song; "
    "mean over sources and songs",
    "bsseval": "BSSEval v4 images: 1-s frames, 512-tap filters fitted per song; median over frames, then over songs",
    "bsseval-sdr": "SDR of BSSEval v4: 1-s frames, Σref²/Σ(ref−est)²; median over frames, then over songs",
    "si-sdr": "scale-invariant SDR (Le Roux et al. 2019) over a whole song; mean over sources and songs",
    "museval": "BSSEval v4 as the museval package computes it; median over frames, then over songs",
}
"""One sentence per metric, printed with every table."""

Row = dict[str, Any]
"""Source to dB and ``song`` to their mean, or source to ``{ratio: dB}``; None if not finite."""

BLOCK_SAMPLES = 1 << 17


@dataclass(frozen=True)
class SongScore:
    """The score of one song by one metric.

    Attributes:
        row: see :data:`Row`.
        silent_references: sources whose reference is silent in the whole song.
        silent_estimates: the same for estimates.
        frames: for framewise metrics, source to ratio to one value per frame.
        notes: conversions of estimates, one sentence each.
    """

    row: Row
    silent_references: tuple[str, ...] = ()
    silent_estimates: tuple[str, ...] = ()
    frames: Mapping[str, Mapping[str, list[float | None]]] = field(default_factory=dict)
    window_seconds: float = 1.0
    notes: tuple[str, ...] = ()


@explained_absence(EvaluationError)
def score_song(pair: StemPair, metric: str) -> SongScore:
    """Score one song.

    Raises:
        EvaluationError: no such metric, or a library that it needs is not installed.
        DatasetError: a file cannot be read to its end.
    """
    if metric in WHOLE_SONG_METRICS:
        score = _whole_song(pair, GlobalSdr if metric == "mdx" else SiSdr)
    elif metric in FRAMEWISE_METRICS:
        score = _by_scenario(pair, metric)
    else:
        raise EvaluationError(f"no metric {metric!r}", hint=f"choose from {', '.join(METRICS)}")
    return replace(score, notes=pair.notes)


def finite_or_none(value: float) -> float | None:
    """Return the number, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def _whole_song(pair: StemPair, kind: type[GlobalSdr] | type[SiSdr]) -> SongScore:
    scores = [kind() for _ in pair.sources]
    levels = np.zeros((2, len(pair.sources)))
    for references, estimates in pair.blocks(BLOCK_SAMPLES):
        for index, score in enumerate(scores):
            score.add(references[index], estimates[index])
        levels = np.maximum(levels, (np.abs(references).max(axis=(1, 2)), np.abs(estimates).max(axis=(1, 2))))
    values = {name: score.decibels for name, score in zip(pair.sources, scores, strict=True)}
    finite = [values[name] for name in averaged_sources(pair.sources) if math.isfinite(values[name])]
    row: Row = {name: finite_or_none(value) for name, value in values.items()}
    row["song"] = sum(finite) / len(finite) if finite else None
    silent = [tuple(np.array(pair.sources)[side == 0].tolist()) for side in levels]
    return SongScore(row, silent[0], silent[1])


def _by_scenario(pair: StemPair, metric: str) -> SongScore:
    """Score each scenario of sources that do not overlap, and take each source's values from one of them."""
    found: dict[str, SongScore] = {}
    for scenario in scenarios(pair.sources):
        part = pair if scenario.sources == pair.sources else pair.only(scenario.sources)
        if metric == "museval":
            result = _museval(part)
        else:
            result = bsseval_v4(part, window_samples=pair.audio.sample_rate, sdr_only=metric == "bsseval-sdr")
        found |= dict.fromkeys(scenario.reported, _framewise(part, result))
    return SongScore(
        {source: found[source].row[source] for source in pair.sources},
        tuple(source for source in pair.sources if source in found[source].silent_references),
        tuple(source for source in pair.sources if source in found[source].silent_estimates),
        {source: found[source].frames[source] for source in pair.sources},
        found[pair.sources[0]].window_seconds,
    )


def _framewise(pair: StemPair, result: BssEval) -> SongScore:
    medians = result.medians()
    row: Row = {}
    frames: dict[str, dict[str, list[float | None]]] = {}
    for j, source in enumerate(pair.sources):
        row[source] = {name: finite_or_none(medians[i, j]) for i, name in enumerate(RATIOS)}
        frames[source] = {name: [finite_or_none(x) for x in result.frames[i, j]] for i, name in enumerate(RATIOS)}
    return SongScore(
        row,
        tuple(pair.sources[j] for j in result.silent_references),
        tuple(pair.sources[j] for j in result.silent_estimates),
        frames,
        result.window_samples / pair.audio.sample_rate,
    )


def _museval(pair: StemPair) -> BssEval:
    """Return museval's values; the whole song is in memory, and silent sources are excluded as museval requires."""
    try:
        import museval
    except (ImportError, RuntimeError) as error:  # stempeg raises RuntimeError without ffmpeg
        hint = "install museval and ffmpeg, or use --metric bsseval, which needs neither"
        raise EvaluationError(f"museval cannot be imported ({error})", hint=hint) from error
    blocks = list(pair.blocks(BLOCK_SAMPLES))
    references, estimates = (np.concatenate(side, axis=2) for side in zip(*blocks, strict=True))
    silent = [[j for j in range(len(side)) if not side[j].sum(axis=0).any()] for side in (references, estimates)]
    active = [j for j in range(len(references)) if j not in silent[0] and j not in silent[1]]
    rate = pair.audio.sample_rate
    values = np.empty((len(RATIOS), 0, 1))
    if active:
        sides = [side[active].transpose(0, 2, 1) for side in (references, estimates)]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.stack(museval.evaluate(*sides, win=rate, hop=rate, mode="v4"))
    frames = np.full((len(RATIOS), len(references), values.shape[2]), np.nan)
    frames[:, active] = values
    return BssEval(frames, tuple(silent[0]), tuple(silent[1]), min(rate, references.shape[2]))
