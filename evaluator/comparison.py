"""From two folders to jobs: which songs, which sources, which estimate belongs to which reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.datasets import common_sources, find_songs, match_estimates
from evaluator.errors import DatasetError
from evaluator.runner import Job


@dataclass(frozen=True)
class Comparison:
    """What is to be scored.

    Attributes:
        sources: in the order of the tables.
        jobs: one a song that has an estimate (or a baseline).
        failed: songs that cannot be scored, and why.
    """

    sources: tuple[str, ...]
    jobs: tuple[Job, ...]
    failed: dict[str, str]


def compare_folders(
    references_dir: Path,
    estimates_dir: Path | None,
    *,
    metrics: Sequence[str],
    sources: Sequence[str] | None = None,
    results_dir: Path | None = None,
) -> Comparison:
    """Pair the songs of two folders.

    Args:
        references_dir: the data set.
        estimates_dir: the separations, or None to score the scaled mixture.
        metrics: by which metrics.
        sources: what to score; by default what most songs of the data set hold.
        results_dir: where finished songs are kept, or None.

    Raises:
        DatasetError: a folder holds no songs, or an estimate cannot be told from another.
    """
    references = find_songs(references_dir)
    chosen = tuple(sources) if sources else common_sources(references)
    if not chosen:
        raise DatasetError("no song here has stems", where=references_dir, cure="references are stems, not mixtures")
    estimates = {} if estimates_dir is None else match_estimates(references, find_songs(estimates_dir))
    if estimates_dir is not None and not estimates:
        cure = f"its folders should be named like those of {references_dir}, e.g. {references[0].location}"
        raise DatasetError("no song here has a reference", where=estimates_dir, cure=cure)
    counts = Counter(song.name for song in references)
    jobs, failed = [], {}
    for song in references:
        name = song.name if counts[song.name] == 1 else song.location
        absent = [source for source in chosen if source not in song.sources]
        if absent:
            failed[name] = f"no reference for {', '.join(absent)}"
        elif estimates_dir is not None and song.location not in estimates:
            failed[name] = f"no estimate in {estimates_dir}"
        else:
            estimate = estimates.get(song.location)
            jobs.append(Job(name, song, estimate, chosen, tuple(metrics), results_dir))
    return Comparison(chosen, tuple(jobs), failed)
