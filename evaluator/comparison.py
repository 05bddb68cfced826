"""From two folders to jobs: which songs, which sources, which estimate belongs to which reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.datasets import DatasetSong, common_sources, find_songs, match_estimates
from evaluator.errors import DatasetError
from evaluator.fitting import EstimateOptions
from evaluator.runner import ScoringTask
from evaluator.targets import ACCOMPANIMENT_NAMES


@dataclass(frozen=True)
class Comparison:
    """What is to be scored.

    Attributes:
        sources: in the order of the tables.
        jobs: one a song that has an estimate (or a baseline).
        failed: songs that cannot be scored, and why.
    """

    sources: tuple[str, ...]
    jobs: tuple[ScoringTask, ...]
    failed: dict[str, str]


def compare_folders(
    references_dir: Path,
    estimates_dir: Path | None,
    *,
    metrics: Sequence[str],
    sources: Sequence[str] | None = None,
    results_dir: Path | None = None,
    options: EstimateOptions | None = None,
) -> Comparison:
    """Pair the songs of two folders.

    Args:
        references_dir: the data set.
        estimates_dir: the separations, or None to score the scaled mixture.
        metrics: by which metrics.
        sources: what to score; by default what most songs of the data set hold.
        results_dir: where finished songs are kept, or None.
        options: what may be done to estimates of another shape than their references; nothing by default.

    Raises:
        DatasetError: a folder holds no songs, or none that belongs to the other's.
    """
    references = find_songs(references_dir)
    chosen = tuple(sources) if sources else common_sources(references)
    if not chosen:
        raise DatasetError("no song here has stems", where=references_dir, hint="references are stems, not mixtures")
    estimates: dict[str, DatasetSong] = {}
    unclear: dict[str, str] = {}
    if estimates_dir is not None:
        estimates, unclear = match_estimates(references, find_songs(estimates_dir))
        if not estimates and not unclear:
            hint = f"its folders should be named like those of {references_dir}, e.g. {references[0].location}"
            raise DatasetError("no song here has a reference", where=estimates_dir, hint=hint)
    counts = Counter(song.name for song in references)
    jobs, failed = [], {}
    for song in references:
        name = song.name if counts[song.name] == 1 else song.location
        estimate = estimates.get(song.location)
        problem = unclear.get(song.location) or _absence(song, references_dir, chosen)
        if problem is None and estimates_dir is not None:
            problem = _estimate_absence(song, estimate, estimates_dir, chosen)
        if problem is not None:
            failed[name] = problem
        else:
            jobs.append(
                ScoringTask(name, song, estimate, chosen, tuple(metrics), results_dir, options or EstimateOptions())
            )
    return Comparison(chosen, tuple(jobs), failed)


def _absence(reference: DatasetSong, folder: Path, sources: Sequence[str]) -> str | None:
    """Why a song of the data set cannot be scored, or None."""
    absent = reference.absent(sources)
    if not absent:
        return None
    hint = _other_sources(reference.sources, sources) or "add them, or take the song out of the data set"
    place = folder / reference.location
    return str(DatasetError(f"no reference for {', '.join(absent)}{_found(reference)}", where=place, hint=hint))


def _estimate_absence(
    reference: DatasetSong, estimate: DatasetSong | None, folder: Path, sources: Sequence[str]
) -> str | None:
    """Why a song's separation cannot be scored, or None."""
    if estimate is None:
        hint = "separate the song, or name the folder of its stems like the song"
        return str(DatasetError(f"no estimate in {folder} for {reference.location}", hint=hint))
    absent = estimate.absent(sources, parts=reference.accompaniment_parts or None)
    if not absent:
        return None
    hint = _other_sources(estimate.sources, sources) or "separate the song again"
    place = folder / estimate.location
    return str(DatasetError(f"no estimate for {', '.join(absent)}{_found(estimate)}", where=place, hint=hint))


def _found(song: DatasetSong) -> str:
    return f"; there are {', '.join(sorted(song.sources))}" if song.sources else "; there are no stems"


def _other_sources(found: Collection[str], asked: Sequence[str]) -> str:
    """The cure where a song holds some of the sources, or vocals and accompaniment instead."""
    common = [source for source in asked if source in found]
    common += [name for name in ACCOMPANIMENT_NAMES if name in found and name not in common]
    return f"add them, or score with --sources {','.join(common)}" if common else ""
