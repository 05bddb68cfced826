"""A faster engine that must first agree with the reference on a piece of the song."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from my_submission.engines.base import Batch, Engine
from my_submission.errors import DeviceMemoryError, MdxError

logger = logging.getLogger(__name__)

Results = TypeVar("Results", bound=Batch | list[Batch])

MIN_AGREEMENT_DB = 45.0
"""Signal-to-difference ratio of the two engines below which the reference is used. At 45 dB an estimate of 15 dB SDR,
better than any published, changes by 0.004 dB; a worse one by less."""

EXCERPT_FRAMES = 64
"""What both engines run for the comparison: a second and a half, an eighth of a published chunk."""


def sdr_change_db(agreement_db: float, sdr_db: float = 15.0) -> float:
    """How much an estimate of ``sdr_db`` loses when an unrelated error ``agreement_db`` below it is added."""
    return 10 * math.log10(1 + 10 ** ((sdr_db - agreement_db) / 10))


class ValidatedEngine:
    """An engine that is a faster one where that agrees with the reference.

    The comparison is made once, on an excerpt of the first batch that is not silent; ``verdict`` and the log say how it
    ended. Where the engines are of spectra, waveforms are compared nevertheless: what the frames of a spectrum say
    against each other is lost in the inverse transform, the rounding errors are not. (A network of random weights
    loses 20 dB that way.) A faster engine whose numbers leave its range later on is given up: the batch runs again.

    Args:
        reference: the engine of the reference path, in fp32.
        candidates: name of an arithmetic to what opens its engine, the fastest first; they are opened when there is
            something to compare, one after the other until one agrees, and dropped where they do not.
        excerpt: the part of a batch that is compared.
        heard: the inverse transform; as it is for engines of waveforms.
        name: of the network, for the verdict.
    """

    def __init__(
        self,
        reference: Engine,
        candidates: Mapping[str, Callable[[], Engine]],
        *,
        excerpt: Callable[[Batch], Batch],
        heard: Callable[[Batch], Batch] = lambda waveforms: waveforms,
        name: str,
    ) -> None:
        self.reference = reference
        self.excerpt = excerpt
        self.heard = heard
        self.name = name
        self.verdict = ""
        self._candidates = dict(candidates)
        self._chosen: Engine | None = None

    @property
    def runs_on(self) -> str:
        """All engines: which one is used is known only once there is a song."""
        return f"{self.reference.runs_on}; {' or '.join(self._candidates)} where it agrees"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine that was chosen; choose it, when there is something to hear."""
        return self._run_chosen(batch, lambda engine: engine.run(batch, is_last=is_last))

    def _run_chosen(self, heard: Batch, run: Callable[[Engine], Results]) -> Results:
        """The results of ``run``, one an item, of an engine chosen by ``heard``; by the reference where not finite."""
        if self._chosen is None and heard.any():
            self._chosen = self._choose(heard)
        chosen = self._chosen or self.reference
        results = run(chosen)
        if chosen is self.reference or all(map(_is_finite, results)):
            return results
        self._say(f"fp32 from here on, because {chosen.runs_on} left the range of its numbers")
        self._chosen = self.reference
        return run(self.reference)

    def _choose(self, batch: Batch) -> Engine:
        """The first candidate that agrees, else the reference."""
        excerpt = self.excerpt(batch)
        expected = self.heard(self._tried(self.reference, excerpt))
        refusals = []
        for arithmetic, open_faster in self._candidates.items():
            try:
                faster = open_faster()
                agreement = agreement_db(expected, self.heard(self._tried(faster, excerpt)))
            except DeviceMemoryError:
                raise
            except MdxError as error:
                refusals.append(f"{arithmetic} cannot be used ({error.problem})")
                continue
            except Exception as error:  # whatever a runtime raises for an arithmetic that it lacks; fp32 is still there
                logger.warning("%s: %s cannot be used", self.name, arithmetic, exc_info=True)
                refusals.append(f"{arithmetic} cannot be used ({' '.join(str(error).split())})")
                continue
            change = f"{agreement:.0f} dB from fp32, at most {sdr_change_db(agreement):.4f} dB of SDR at 15 dB"
            if agreement >= MIN_AGREEMENT_DB:
                self._say("; ".join([f"{faster.runs_on}, {change}", *refusals]))
                return faster
            del faster
            is_finite = agreement > -math.inf
            refusals.append(f"{arithmetic} " + (f"is only {agreement:.0f} dB from it" if is_finite else "overflows"))
        self._say(f"fp32, because {' and '.join(refusals)}")
        return self.reference

    def _tried(self, engine: Engine, excerpt: Batch) -> Batch:
        """What one of the engines makes of the excerpt; the reference may give its working memory back."""
        return engine.run(excerpt, is_last=engine is self.reference)

    def _say(self, outcome: str) -> None:
        self.verdict = f"{self.name}: {outcome}"
        logger.info(self.verdict)


def loudest_frames(batch: Batch) -> Batch:
    """The excerpt of the loudest item with the most energy, (1, channels, EXCERPT_FRAMES or all, bins)."""
    energy = np.einsum("bcft,bcft->bf", batch, batch)
    n_blocks = max(1, batch.shape[2] // EXCERPT_FRAMES)
    blocks = energy[:, : n_blocks * EXCERPT_FRAMES].reshape(len(batch), n_blocks, -1).sum(-1)
    item, block = np.unravel_index(int(blocks.argmax()), blocks.shape)
    start = int(block) * EXCERPT_FRAMES
    return batch[item : item + 1, :, start : start + EXCERPT_FRAMES]


def loudest_item(batch: Batch) -> Batch:
    """The item with the most energy, as a batch of one."""
    flat = batch.reshape(len(batch), -1)
    item = int(np.einsum("bn,bn->b", flat, flat).argmax())
    return batch[item : item + 1]


def loudest_stretch(batch: Batch, samples: int) -> Batch:
    """The loudest stretch of the loudest item of waveforms (batch, channels, n): (1, channels, samples, n if shorter).

    Stretches begin at multiples of ``samples``.
    """
    loudest = loudest_item(batch)
    n_blocks = loudest.shape[-1] // samples
    if n_blocks < 2:
        return loudest[..., :samples]
    energy = np.einsum("bct,bct->t", loudest, loudest)[: n_blocks * samples].reshape(n_blocks, samples).sum(-1)
    start = int(energy.argmax()) * samples
    return loudest[..., start : start + samples]


def _is_finite(result: Batch) -> bool:
    """Whether all numbers of a result are; a sum beyond the range of float32 counts as one that is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(result.sum()))


def agreement_db(reference: Batch, other: Batch) -> float:
    """Signal-to-difference ratio in dB; infinite where both are the same, minus infinity where one is not finite."""
    exact = reference.astype(np.float64)
    power, error = float(np.sum(exact**2)), float(np.sum((exact - other) ** 2))
    if not math.isfinite(power + error) or (error and not power):
        return -math.inf
    return 10 * math.log10(power / error) if error else math.inf
