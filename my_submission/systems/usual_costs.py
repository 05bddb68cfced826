"""Usual costs of the networks in the repository, for a machine on which they have not been measured yet.

The first line of a run shows them, and the cost model assumes them until a stage is measured. All are processor
seconds per second of song, measured with one thread on an AMD EPYC, overlaps of the systems here included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from my_submission.budget import Budget
from my_submission.planning import CostModel, Forecast

if TYPE_CHECKING:
    from my_submission.mechanisms import SongStages

NETWORK_SECONDS = {
    "spleeter-2stems/vocals": 0.018,
    "spleeter-2stems/accompaniment": 0.018,
    "starter-plus/accompaniment": 0.056,
    "starter/bass": 0.018,
    "starter/drums": 0.02,
    "starter/other": 0.03,
    "starter/vocals": 0.03,
    "starter/mixer": 0.001,
    "starter-conditioned/network": 0.11,
    "starter-cinema/dialog": 0.01,
    "starter-cinema/effect": 0.01,
    "starter-cinema/music": 0.01,
}
"""Artefact name to processor seconds per second of song; published systems that need a download are not listed."""

FILES_SECONDS = 0.02
"""Seconds to read, blend and write a second of song."""

MAX_USEFUL_THREADS = 8
"""More threads make one song hardly faster."""

SHORTEST_SECONDS = 12.0
"""Shorter songs cost as much as this: they take a whole chunk of the longest network."""


def network_seconds(artefacts: Iterable[str]) -> float | None:
    """Return the processor seconds per second of song of some artefacts together; None if one of them is not listed."""
    seconds = [NETWORK_SECONDS.get(name) for name in artefacts]
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None


def on_threads(processor_seconds: float, n_threads: int) -> float:
    """Return the duration of work on some threads, in seconds."""
    return processor_seconds / max(1, min(n_threads, MAX_USEFUL_THREADS))


def assume_costs(
    stages: SongStages, costs: CostModel, *, processor_seconds: float | None, song_seconds: float, n_threads: int
) -> None:
    """Set the assumed cost of a branch's stages, unless they have set it themselves, as filters do.

    Args:
        stages: work of the branch on one song.
        costs: the costs to set.
        processor_seconds: usual processor seconds of the branch per second of song; None sets nothing.
        song_seconds: length of the song.
        n_threads: threads of a run.
    """
    if processor_seconds is None:
        return
    networks = [stage for stage in stages.stages if not costs.has_assumed(stage.cost_key)]
    everything = Forecast(costs, Budget())
    audio_seconds = sum(stage.audio_seconds_left(everything) for stage in networks)
    seconds = on_threads(processor_seconds, n_threads) * max(song_seconds, SHORTEST_SECONDS)
    for stage in networks:
        costs.assume(stage.cost_key, seconds / audio_seconds)
