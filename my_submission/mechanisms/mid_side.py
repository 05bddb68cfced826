"""A mono network of film sound on the left, right, difference and mean of a stereo track.

AIMLESS applied its Hybrid Demucs to the cinematic track this way (submission 220319). Dialogue is the same in both
channels of a film, so its estimates from left, right and mean are averaged into both. The side of music is the
difference of the channels minus the effects that are estimated in it, and vice versa.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from my_submission.engines import Engine
from my_submission.engines.base import Batch
from my_submission.mechanisms.mechanism import Opening
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.waveform import WaveformMechanism, WaveformRecipe
from my_submission.mechanisms.waveform_networks import OpenedWaveform, open_waveform
from my_submission.stems import (
    AIMLESS_CINEMA_SOURCES,
    CINEMA_SOURCES,
    Stems,
    Waveform,
    stack_stems,
    unstack_stems,
)

N_ROWS = 4
"""Left, right, half their difference, and their mean."""


@dataclass(frozen=True)
class MidSideRecipe(WaveformRecipe):
    """A mono waveform network of film sound, run on left, right, their difference and their mean.

    Attributes:
        order: rows of the network; ``sources`` are the rows of the combination.
    """

    order: tuple[str, ...] = AIMLESS_CINEMA_SOURCES

    def open(self, opening: Opening) -> MidSideMechanism:
        """Open the network."""
        return MidSideMechanism(**vars(super().open(opening)))

    def open_network(self, opening: Opening) -> OpenedWaveform:
        """Open the mono engine behind a stereo interface."""
        name, rows = self.network, len(self.order)
        options = opening.options
        network = open_waveform(opening.artefact(name), opening.path(name), options, rows=rows, channels=1)
        together = min(N_ROWS, options.chunks_per_run)
        engine = MidSideEngine(network.engine, self.order, together=together)
        return replace(network, engine=engine, bytes_per_sample=together * network.bytes_per_sample)


class MidSideMechanism(WaveformMechanism):
    """A waveform mechanism whose engine runs equal rows once."""

    def _cost_key(self, song: SongContext) -> str:
        """Return a separate key for mono films, which cost a quarter of stereo ones."""
        name = f"{song.name}, equal channels" if song.mixture.statistics.are_channels_equal else song.name
        return song.cost_key(name, runs_on=self.engine.runs_on, chunking=self.chunking)


def four_rows(stereo: Waveform) -> Waveform:
    """Return left, right, (left − right)/2 and (left + right)/2 of a waveform (2, samples), as float32 (4, samples)."""
    left, right = np.asarray(stereo, np.float32)
    half = np.float32(0.5)
    return np.stack([left, right, half * (left - right), half * (left + right)])


def combined(rows: Waveform, estimates: Mapping[str, Waveform]) -> Stems:
    """Return stereo stems from the estimates of the four rows.

    Args:
        rows: result of :func:`four_rows`.
        estimates: dialog, effect and music to the estimates of it in the four rows, (4, samples).

    Returns:
        dialog, effect and music, float32 (2, samples). They are the true stems if the estimates are perfect and the
        dialogue is the same in both channels.
    """
    left, right, _, middle = estimates["dialog"]
    dialogue = (left + right + middle) / np.float32(3)
    return {
        "dialog": np.stack([dialogue, dialogue]),
        "effect": _with_side(rows[2] - estimates["music"][2], estimates["effect"]),
        "music": _with_side(rows[2] - estimates["effect"][2], estimates["music"]),
    }


def _with_side(side: Waveform, estimate: Waveform) -> Waveform:
    left, right, _, middle = estimate
    half = np.float32(0.5)
    return np.stack([half * (side + middle + left), half * (middle - side + right)])


class MidSideEngine:
    """A mono engine of film sound behind a stereo interface.

    Equal rows run once, so a mono film costs a quarter. A silent row does not run: its estimates are silence, as Hybrid
    Demucs scales its output by the standard deviation of its input. The side of two equal channels is therefore zero.

    Args:
        engine: maps float32 (batch, 1, n) to (batch, sources, 1, n), each item by itself.
        order: rows of the engine's output: dialog, effect and music in any order.
        together: rows in one run; memory grows with it, the estimates stay the same.
    """

    def __init__(self, engine: Engine, order: Sequence[str], *, together: int = N_ROWS) -> None:
        if set(order) != set(CINEMA_SOURCES) or len(order) != len(CINEMA_SOURCES):
            raise ValueError(f"order={tuple(order)} must be {', '.join(CINEMA_SOURCES)} in some order")
        if together < 1:
            raise ValueError(f"together={together} must be at least 1")
        self.engine = engine
        self.order = tuple(order)
        self.together = together

    @property
    def runs_on(self) -> str:
        """Library and device."""
        return self.engine.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Separate float32 (batch, 2, n) to (batch, 3, 2, n): dialog, effect, music."""
        last = len(batch) - 1
        stems = [self._separated(stereo, is_last=is_last and item == last) for item, stereo in enumerate(batch)]
        return np.stack([stack_stems(one, CINEMA_SOURCES) for one in stems])

    def _separated(self, stereo: Waveform, *, is_last: bool) -> Stems:
        rows = four_rows(stereo)
        estimates = np.zeros((len(self.order), *rows.shape), np.float32)
        groups = _equal_rows(rows)
        for first in range(0, len(groups), self.together):
            taken = groups[first : first + self.together]
            is_final = is_last and first + self.together >= len(groups)
            separated = self.engine.run(rows[[group[0] for group in taken], None], is_last=is_final)
            for group, estimate in zip(taken, separated, strict=True):
                estimates[:, group] = estimate
        return combined(rows, unstack_stems(estimates, self.order))


def _equal_rows(rows: Waveform) -> list[list[int]]:
    """Return the numbers of the rows that are not silent, in groups of equal rows."""
    groups: list[list[int]] = []
    for index, row in enumerate(rows):
        if not row.any():
            continue
        known = next((group for group in groups if np.array_equal(rows[group[0]], row)), None)
        if known is None:
            groups.append([index])
        else:
            known.append(index)
    return groups
