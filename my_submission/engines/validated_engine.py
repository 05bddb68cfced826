"""A faster engine, used if it agrees with the reference on an excerpt of the song."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from my_submission.engines.base import Batch, Engine
from my_submission.engines.onnx_engine import is_finite
from my_submission.errors import DeviceMemoryError, MdxError

logger = logging.getLogger(__name__)

Results = TypeVar("Results", bound=Batch | list[Batch])

MIN_AGREEMENT_DB = 45.0
"""Minimum signal-to-difference ratio of the two engines. At 45 dB an estimate of 15 dB SDR, better than any published,
changes by 0.004 dB; a worse one by less."""

EXCERPT_FRAMES = 64
"""Frames that both engines run for the comparison: 1.5 s, an eighth of a published chunk."""


def sdr_change_db(agreement_db: float, sdr_db: float = 15.0) -> float:
    """Return the loss of an estimate of ``sdr_db`` when an uncorrelated error ``agreement_db`` below it is added."""
    return 10 * math.log10(1 + 10 ** ((sdr_db - agreement_db) / 10))


class ValidatedEngine:
    """An engine that switches to a faster one if that agrees with the reference.

    They are compared once, on an excerpt of the first batch that is not silent; ``verdict`` and the log report the
    result. Engines of spectra are compared by their waveforms, because the inverse transform removes inconsistencies
    between frames but not rounding errors (20 dB for a network of random weights). If the output of the faster engine
    is not finite later, the reference takes over from that batch on.

    Args:
        reference: the engine in fp32.
        candidates: name of an arithmetic to the function that opens its engine, the fastest first. They are opened for
            the comparison, one after the other until one agrees.
        excerpt: returns the part of a batch that is compared.
        to_waves: the inverse transform of engines of spectra.
        name: name of the network, for the verdict.
    """

    def __init__(
        self,
        reference: Engine,
        candidates: Mapping[str, Callable[[], Engine]],
        *,
        excerpt: Callable[[Batch], Batch],
        to_waves: Callable[[Batch], Batch] = lambda waves: waves,
        name: str,
    ) -> None:
        self.reference = reference
        self.excerpt = excerpt
        self.to_waves = to_waves
        self.name = name
        self.verdict = ""
        self._candidates = dict(candidates)
        self._chosen: Engine | None = None

    @property
    def runs_on(self) -> str:
        """All engines, because the choice depends on the song."""
        return f"{self.reference.runs_on}; {' or '.join(self._candidates)} where it agrees"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the chosen engine; choose it at the first batch that is not silent."""
        return self._run_chosen(batch, lambda engine: engine.run(batch, is_last=is_last))

    def _run_chosen(self, batch: Batch, run: Callable[[Engine], Results]) -> Results:
        """Call ``run`` with the engine chosen by ``batch``, again with the reference if a result is not finite."""
        if self._chosen is None and batch.any():
            self._chosen = self._choose(batch)
        chosen = self._chosen or self.reference
        results = run(chosen)
        if chosen is self.reference or all(map(is_finite, results)):
            return results
        self._report(f"fp32 from here on, because {chosen.runs_on} left the range of its numbers")
        self._chosen = self.reference
        return run(self.reference)

    def _choose(self, batch: Batch) -> Engine:
        """Return the first candidate that agrees, else the reference."""
        excerpt = self.excerpt(batch)
        expected = self.to_waves(self._tried(self.reference, excerpt))
        refusals = []
        for arithmetic, open_faster in self._candidates.items():
            try:
                faster = open_faster()
                agreement = agreement_db(expected, self.to_waves(self._tried(faster, excerpt)))
            except DeviceMemoryError:
                raise
            except MdxError as error:
                refusals.append(f"{arithmetic} cannot be used ({error.problem})")
                continue
            except Exception as error:  # runtimes raise many types for an unsupported arithmetic
                logger.warning("%s: %s cannot be used", self.name, arithmetic, exc_info=True)
                refusals.append(f"{arithmetic} cannot be used ({' '.join(str(error).split())})")
                continue
            if agreement >= MIN_AGREEMENT_DB:
                change = f"at most {sdr_change_db(agreement):.4f} dB of SDR at 15 dB"
                verdict = f"{faster.runs_on}, agrees with fp32 to {agreement:.0f} dB ({change})"
                self._report("; ".join([verdict, *refusals]))
                return faster
            del faster
            overflows = agreement == -math.inf
            refusal = "overflows" if overflows else f"agrees with it to only {agreement:.0f} dB"
            refusals.append(f"{arithmetic} {refusal}")
        self._report(f"fp32, because {' and '.join(refusals)}")
        return self.reference

    def _tried(self, engine: Engine, excerpt: Batch) -> Batch:
        """Run an engine on the excerpt; the reference may release its working memory."""
        return engine.run(excerpt, is_last=engine is self.reference)

    def _report(self, outcome: str) -> None:
        self.verdict = f"{self.name}: {outcome}"
        logger.info(self.verdict)


def loudest_frames(batch: Batch) -> Batch:
    """Return the loudest EXCERPT_FRAMES of any item of spectra (batch, channels, frames, bins), as a batch of one."""
    energy = np.einsum("bcft,bcft->bf", batch, batch)
    n_blocks = max(1, batch.shape[2] // EXCERPT_FRAMES)
    blocks = energy[:, : n_blocks * EXCERPT_FRAMES].reshape(len(batch), n_blocks, -1).sum(-1)
    item, block = np.unravel_index(int(blocks.argmax()), blocks.shape)
    start = int(block) * EXCERPT_FRAMES
    return batch[item : item + 1, :, start : start + EXCERPT_FRAMES]


def loudest_item(batch: Batch) -> Batch:
    """Return the item with the most energy, as a batch of one."""
    flat = batch.reshape(len(batch), -1)
    item = int(np.einsum("bn,bn->b", flat, flat).argmax())
    return batch[item : item + 1]


def loudest_stretch(batch: Batch, samples: int) -> Batch:
    """Return the loudest ``samples`` of the loudest item of waveforms (batch, channels, n), as a batch of one.

    Excerpts start at multiples of ``samples``; a shorter item is returned whole.
    """
    loudest = loudest_item(batch)
    n_blocks = loudest.shape[-1] // samples
    if n_blocks < 2:
        return loudest[..., :samples]
    energy = np.einsum("bct,bct->t", loudest, loudest)[: n_blocks * samples].reshape(n_blocks, samples).sum(-1)
    start = int(energy.argmax()) * samples
    return loudest[..., start : start + samples]


def agreement_db(reference: Batch, other: Batch) -> float:
    """Return the signal-to-difference ratio in dB; inf for equal arrays, −inf if one is not finite."""
    exact = reference.astype(np.float64)
    power, error = float(np.sum(exact**2)), float(np.sum((exact - other) ** 2))
    if not math.isfinite(power + error) or (error and not power):
        return -math.inf
    return 10 * math.log10(power / error) if error else math.inf
