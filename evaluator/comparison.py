"""Pairs the songs of a data set with their estimates and lists the songs to score."""

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
    """The songs to score.

    Attributes:
        tasks: one per song that can be scored.
        failed: songs that cannot be scored, with the reason.
    """

    sources: tuple[str, ...]
    tasks: tuple[ScoringTask, ...]
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
        estimates_dir: the separated songs, or None to score the scaled mixture.
        sources: sources to score; by default those of most songs.
        results_dir: folder of finished songs, or None.
        options: how estimates of another shape are converted; by default they are refused.

    Raises:
        DatasetError: a folder has no songs, or no estimate has a reference.
    """
    references = find_songs(references_dir)
    chosen = tuple(sources) if sources else common_sources(references)
    if not chosen:
        raise DatasetError("no song has stems", where=references_dir, hint="references are stems, not mixtures")
    estimates: dict[str, DatasetSong] = {}
    unclear: dict[str, str] = {}
    if estimates_dir is not None:
        estimates, unclear = match_estimates(references, find_songs(estimates_dir))
        if not estimates and not unclear:
            hint = f"name its folders like those of {references_dir}, e.g. {references[0].location}"
            raise DatasetError("no song has a reference", where=estimates_dir, hint=hint)
    counts = Counter(song.name for song in references)
    tasks, failed = [], {}
    for song in references:
        name = song.name if counts[song.name] == 1 else song.location
        estimate = estimates.get(song.location)
        problem = unclear.get(song.location) or _absence(song, references_dir, chosen)
        if problem is None and estimates_dir is not None:
            problem = _estimate_absence(song, estimate, estimates_dir, chosen)
        if problem is not None:
            failed[name] = problem
        else:
            tasks.append(
                ScoringTask(name, song, estimate, chosen, tuple(metrics), results_dir, options or EstimateOptions())
            )
    return Comparison(chosen, tuple(tasks), failed)


def _absence(reference: DatasetSong, folder: Path, sources: Sequence[str]) -> str | None:
    """Return why a song of the data set cannot be scored, or None."""
    absent = reference.absent(sources)
    if not absent:
        return None
    hint = _other_sources(reference.sources, sources) or "add them, or remove the song from the data set"
    path = folder / reference.location
    return str(DatasetError(f"no reference for {', '.join(absent)}{_found(reference)}", where=path, hint=hint))


def _estimate_absence(
    reference: DatasetSong, estimate: DatasetSong | None, folder: Path, sources: Sequence[str]
) -> str | None:
    """Return why a song's estimate cannot be scored, or None."""
    if estimate is None:
        hint = "separate the song, or name the folder of its stems like the song"
        return str(DatasetError(f"no estimate in {folder} for {reference.location}", hint=hint))
    absent = estimate.absent(sources, parts=reference.accompaniment_parts or None)
    if not absent:
        return None
    hint = _other_sources(estimate.sources, sources) or "separate the song again"
    path = folder / estimate.location
    return str(DatasetError(f"no estimate for {', '.join(absent)}{_found(estimate)}", where=path, hint=hint))


def _found(song: DatasetSong) -> str:
    return f"; there are {', '.join(sorted(song.sources))}" if song.sources else "; there are no stems"


def _other_sources(found: Collection[str], asked: Sequence[str]) -> str:
    """Return a hint if the song has some of the sources, or vocals and accompaniment instead; else an empty string."""
    common = [source for source in asked if source in found]
    common += [name for name in ACCOMPANIMENT_NAMES if name in found and name not in common]
    return f"add them, or score with --sources {','.join(common)}" if common else ""
