"""The blend of the estimates so far into complete stems, without steps at the edges of what is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from my_submission.audio_io import Mixture
from my_submission.mechanisms import Mixer
from my_submission.planning import EstimateBuffer
from my_submission.planning.coverage import Coverage
from my_submission.stems import Stems, Waveform

Degree = npt.NDArray[np.floating[Any]] | float
"""0 … 1 per sample, or one number for all samples of a block."""


@dataclass(frozen=True)
class BlendedBuffer:
    """An estimate buffer with its shares of the blend.

    Attributes:
        buffer: the estimates.
        shares: source to its share of the blend.
        mixer: applied where every source of the buffer is covered.
    """

    buffer: EstimateBuffer
    shares: Mapping[str, float]
    mixer: Mixer | None = None

    def is_covered(self, degree: float, start: int, stop: int) -> bool:
        """Whether every source of the buffer is covered to the same degree, 0 or 1, in the whole span."""
        return all(_is_everywhere(self.buffer.degree(source, start, stop), degree) for source in self.buffer.coverage)

    def read(self, mixture: Waveform, start: int, stop: int) -> tuple[Stems, dict[str, Degree]]:
        """Return the estimates after the Mixer, and the degree of coverage of each."""
        stems = self.buffer.read(start, stop)
        degrees = {source: self.buffer.degree(source, start, stop) for source in stems}
        if self.mixer is not None:
            stems = _after_mixer(stems, self.mixer, mixture, list(degrees.values()))
        return stems, degrees


class StemBlender:
    """Blends the stems of a song from the estimate buffers of a system.

    A source is the mean of the buffers that cover it, weighted by their shares. Elsewhere it is the estimate of the
    fallback, and without one an equal share of the mixture minus the other sources. All weights change slowly, so the
    stems have no steps at the edges of what is estimated.

    Args:
        sources: names of the stems.
        mixture: the song.
        buffers: buffers in the order of the system's branches.
        fallback: a cheaper complete estimate.
        rest: the source that is the mixture minus all others.
        n_omitted: number of sources of the mixture that are not among ``sources``.
        mixer: applied to the filtered blend where every buffer and the filter cover all of their sources.
        completing: sources that get an equal part each of what the stems lack of the mixture, so that all stems add up
            to it, whatever is estimated; empty leaves the stems as they are. Where there is a rest, it gets everything.

    Attributes:
        filtered: filtered estimates so far, with their shares.
        block_samples: samples per step of a pass over the whole song (6 s).
    """

    block_samples: ClassVar[int] = 1 << 18

    def __init__(
        self,
        sources: Sequence[str],
        mixture: Mixture,
        buffers: Sequence[BlendedBuffer],
        fallback: BlendedBuffer | None = None,
        *,
        rest: str | None = None,
        n_omitted: int = 0,
        mixer: Mixer | None = None,
        completing: Sequence[str] = (),
    ) -> None:
        self.sources = tuple(sources)
        self.mixture = mixture
        self.buffers = tuple(buffers)
        self.fallback = fallback
        self.rest = rest
        self.n_omitted = n_omitted
        self.mixer = mixer
        self.completing = tuple(completing) if rest is None else (rest,)
        self._estimated = tuple(source for source in self.sources if source != rest)
        self.filtered: BlendedBuffer | None = None

    def compose(self, start: int, stop: int) -> Stems:
        """Return stems (2, stop − start) of every source, float32."""
        stems = self._mixed(self._filtered(self.estimates(start, stop), start, stop), start, stop)
        return self._completed(stems, start, stop) if self.completing else stems

    def is_estimated(self, start: int, stop: int) -> bool:
        """Whether every buffer covers all of its sources in the span."""
        return all(blended.is_covered(1, start, stop) for blended in self.buffers)

    def estimates(self, start: int, stop: int) -> Stems:
        """Return stems (2, stop − start) of every source but the rest, float32, before any filter."""
        mixture = self.mixture.store.read(start, stop)
        stems, degrees = self._blend(mixture, start, stop)
        if all(_is_everywhere(degree, 1) for degree in degrees.values()):
            return stems
        if self.fallback is not None:
            stems, degrees = self._over(self.fallback, stems, degrees, mixture, start, stop)
        return _filled(stems, degrees, mixture, n_omitted=self.n_omitted)

    def known_estimates(self, mixture: Waveform, start: int, stop: int) -> Stems:
        """Return stems (2, stop − start) that fall to zero where no buffer covers them, float32.

        ``mixture`` holds the samples [start, stop) of the song.
        """
        stems, degrees = self._blend(mixture, start, stop)
        return {source: _between(np.zeros_like(stem), stem, degrees[source]) for source, stem in stems.items()}

    def coverage(self) -> dict[str, Coverage]:
        """Return source to the samples of the song that a buffer or the fallback covers.

        A source that no buffer estimates is the rest of the mixture; it has the least coverage of all others.
        """
        buffers = [*self.buffers, *([self.fallback] if self.fallback else [])]
        unions: dict[str, Coverage] = {}
        for blended in buffers:
            for source, coverage in blended.buffer.coverage.items():
                if blended.shares.get(source):
                    union = unions.setdefault(source, Coverage(self.mixture.samples))
                    for start, stop in coverage.stretches:
                        union.add(start, stop)
        least = min(unions.values(), key=lambda union: union.covered_samples, default=Coverage(self.mixture.samples))
        return {source: unions.get(source, least) for source in self.sources}

    def estimated_shares(self) -> dict[str, float]:
        """Return source to the share of the song that a buffer or the fallback covers, 0 … 1."""
        return {source: each.covered_samples / self.mixture.samples for source, each in self.coverage().items()}

    def block_bounds(self) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the blocks of the song."""
        for start in range(0, self.mixture.samples, self.block_samples):
            yield start, min(start + self.block_samples, self.mixture.samples)

    def _filtered(self, stems: Stems, start: int, stop: int) -> Stems:
        """Return the stems blended with the filtered estimates."""
        if self.filtered is None or self.filtered.is_covered(0, start, stop):
            return stems
        buffer, shares = self.filtered.buffer, self.filtered.shares
        filtered = buffer.read(start, stop)
        for source, estimate in filtered.items():
            weight = shares[source] * _double(buffer.degree(source, start, stop))
            stems[source] = _between(stems[source], estimate, weight)
        return stems

    def _completed(self, stems: Stems, start: int, stop: int) -> Stems:
        """Return stems of every source that add up to the mixture."""
        missing = self.mixture.store.read(start, stop)
        for source in sorted(stems):  # in an order of its own, so that the sum does not depend on that of the sources
            missing -= stems[source]
        missing /= len(self.completing)
        for source in self.completing:
            stems[source] = stems[source] + missing if source in stems else missing
        return {source: stems[source] for source in self.sources}

    def _mixed(self, stems: Stems, start: int, stop: int) -> Stems:
        """Return the stems after the Mixer, where all estimates that it was fitted on are present."""
        if self.mixer is None:
            return stems
        needed = [*self.buffers, *([self.filtered] if self.filtered else [])]
        degrees = [
            each.buffer.degree(source, start, stop)
            for each in needed
            for source in each.buffer.coverage
            if each.shares.get(source)
        ]
        return _after_mixer(stems, self.mixer, self.mixture.store.read(start, stop), degrees)

    def _blend(self, mixture: Waveform, start: int, stop: int) -> tuple[Stems, dict[str, Degree]]:
        """Return weighted means over the buffers, and the largest degree of coverage by any of them."""
        stems: Stems = {source: np.zeros_like(mixture) for source in self._estimated}
        degrees: dict[str, Degree] = dict.fromkeys(self._estimated, 0.0)
        weights: dict[str, Degree] = dict.fromkeys(self._estimated, 0.0)
        for blended in self.buffers:
            if blended.is_covered(0, start, stop):
                continue
            estimates, covered = blended.read(mixture, start, stop)
            for source in self._estimated:
                share, degree = blended.shares.get(source, 0.0), covered.get(source, 0.0)
                if not share or _is_everywhere(degree, 0):
                    continue
                weight = share * _double(degree)
                stems[source] = _between(stems[source], estimates[source], _quotient(weight, weights[source]))
                weights[source] = _double(weights[source]) + weight
                degrees[source] = _maximum(degrees[source], degree)
        return stems, degrees

    def _over(
        self,
        fallback: BlendedBuffer,
        stems: Stems,
        degrees: Mapping[str, Degree],
        mixture: Waveform,
        start: int,
        stop: int,
    ) -> tuple[Stems, dict[str, Degree]]:
        """Return the stems over the fallback, which fills what they do not cover."""
        estimates, covered = fallback.read(mixture, start, stop)
        blended, sure = dict(stems), dict(degrees)
        for source in self._estimated:
            degree, below = _double(degrees[source]), _double(covered.get(source, 0.0))
            if not _is_everywhere(below, 0):
                added = (1 - degree) * below
                blended[source] = _between(estimates[source], stems[source], _quotient(degree, added))
                sure[source] = degree + added
        return blended, sure


def _filled(stems: Stems, degrees: Mapping[str, Degree], mixture: Waveform, *, n_omitted: int = 0) -> Stems:
    """Return stems whose missing samples are equal shares of the mixture minus the other sources.

    ``n_omitted`` sources are not among the stems and count as missing.
    """
    known = {source: _double(degrees[source]) * stem for source, stem in stems.items()}
    missing = {source: 1 - _double(degree) for source, degree in degrees.items()}
    rest = mixture - sum(known.values())
    n_missing = sum(missing.values()) + n_omitted
    filled = {}
    for source in stems:
        share = (rest + known[source]) / (1 + n_missing - missing[source])
        filled[source] = (known[source] + missing[source] * share).astype(np.float32)
    return filled


def _after_mixer(stems: Stems, mixer: Mixer, mixture: Waveform, degrees: Sequence[Degree]) -> Stems:
    """Return the stems after a Mixer, weighted by the smallest degree of coverage."""
    common = _minimum(degrees)
    if _is_everywhere(common, 0):
        return stems
    mixed = mixer.mix(stems, mixture)
    return {**stems, **{source: _between(stems[source], stem, common) for source, stem in mixed.items()}}


def _between(old: Waveform, new: Waveform, weight: Degree) -> Waveform:
    """Return (1 − weight) · old + weight · new; exactly one of them for a weight of 0 or 1.

    The result is bit-identical for one number and for an array of it.
    """
    if _is_everywhere(weight, 1):
        return new
    if _is_everywhere(weight, 0):
        return old
    share = np.asarray(weight, np.float32)
    merged: Waveform = old * (1 - share)
    merged += new * share
    return merged


def _quotient(new: Degree, before: Degree) -> Degree:
    """Return new / (new + before); 0 where both are 0."""
    total = new + _double(before)
    if isinstance(total, float):
        return float(new) / total if total else 0.0
    quotient: Degree = np.divide(new, total, out=np.zeros_like(total), where=total > 0)
    return quotient


def _double(degree: Degree) -> Degree:
    return degree if isinstance(degree, float) else degree.astype(np.float64)


def _minimum(degrees: Sequence[Degree]) -> Degree:
    minimum = degrees[0]
    for degree in degrees[1:]:
        minimum = _plain(np.minimum(minimum, degree))
    return minimum


def _maximum(first: Degree, second: Degree) -> Degree:
    return _plain(np.maximum(first, second))


def _plain(value: Any) -> Degree:
    return value if isinstance(value, np.ndarray) else float(value)


def _is_everywhere(degree: Degree, value: float) -> bool:
    return isinstance(degree, float) and degree == value
