"""A faster engine that must first agree with the reference on a piece of the song."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np

from my_submission.engines.base import Batch, Engine

logger = logging.getLogger(__name__)

LEAST_AGREEMENT_DB = 45.0
"""Signal-to-difference ratio of the two engines below which the reference is used. At 45 dB an estimate of 15 dB SDR,
better than any published, changes by 0.004 dB; a worse one by less."""

EXCERPT_FRAMES = 64
"""What both engines run for the comparison: a second and a half, an eighth of a published chunk."""


def sdr_change_db(agreement_db: float, sdr_db: float = 15.0) -> float:
    """How much an estimate of ``sdr_db`` loses when an unrelated error ``agreement_db`` below it is added."""
    return 10 * math.log10(1 + 10 ** ((sdr_db - agreement_db) / 10))


class CheckedEngine:
    """An engine of spectra (batch, channels, frames, bins) that is the faster one where that agrees with the reference.

    The comparison is made once, on the loudest frames of the first chunk that is not silent; ``verdict`` and the log
    say how it ended. Waveforms are compared, not spectra: what the frames of a spectrum say against each other is
    lost in the inverse transform, the rounding errors are not. (A network of random weights loses 20 dB that way.)

    Args:
        reference: the engine of the reference path.
        open_faster: opens the other one, when there is something to compare; it is dropped where it does not agree.
        heard: the inverse transform.
        name: of the network, for the verdict.
    """

    def __init__(
        self,
        reference: Engine,
        open_faster: Callable[[], Engine],
        *,
        heard: Callable[[Batch], Batch],
        name: str,
    ) -> None:
        self.reference = reference
        self.heard = heard
        self.name = name
        self.verdict = ""
        self._open_faster = open_faster
        self._chosen: Engine | None = None

    @property
    def runs_on(self) -> str:
        """Both engines: which one is used is known only once there is a song."""
        return f"{self.reference.runs_on}; bf16 by OpenVINO where it agrees"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine that was chosen; choose it, when there is something to hear."""
        if self._chosen is None and batch.any():
            self._chosen = self._choose(batch)
        return (self._chosen or self.reference).run(batch, is_last=is_last)

    def _choose(self, batch: Batch) -> Engine:
        faster = self._open_faster()
        excerpt = loudest_frames(batch)
        agreement = agreement_db(self.heard(self.reference.run(excerpt)), self.heard(faster.run(excerpt)))
        is_close = agreement >= LEAST_AGREEMENT_DB
        outcome = faster.runs_on if is_close else f"fp32, because bf16 is only {agreement:.0f} dB from it"
        change = f"{agreement:.0f} dB from fp32, at most {sdr_change_db(agreement):.4f} dB of SDR at 15 dB"
        self.verdict = f"{self.name}: {outcome}" + (f", {change}" if is_close else "")
        logger.info(self.verdict)
        return faster if is_close else self.reference


def loudest_frames(batch: Batch) -> Batch:
    """The excerpt of the loudest item with the most energy, (1, channels, EXCERPT_FRAMES or all, bins)."""
    energy = np.einsum("bcft,bcft->bf", batch, batch)
    n_blocks = max(1, batch.shape[2] // EXCERPT_FRAMES)
    blocks = energy[:, : n_blocks * EXCERPT_FRAMES].reshape(len(batch), n_blocks, -1).sum(-1)
    item, block = np.unravel_index(int(blocks.argmax()), blocks.shape)
    start = int(block) * EXCERPT_FRAMES
    return batch[item : item + 1, :, start : start + EXCERPT_FRAMES]


def agreement_db(reference: Batch, other: Batch) -> float:
    """Signal-to-difference ratio in dB; infinite where both are the same."""
    error = float(np.sum((reference.astype(np.float64) - other) ** 2))
    return 10 * math.log10(float(np.sum(reference.astype(np.float64) ** 2)) / error) if error else math.inf
