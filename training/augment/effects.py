"""Base class of effects, and chains of effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from my_submission.documents import Variant
from my_submission.stems import Waveform, source_set


@dataclass(frozen=True, kw_only=True)
class Effect(Variant):
    """Base class of random effects on a window; each kind is a frozen dataclass in this package.

    Attributes:
        probability: probability that the effect is applied.
        sources: sources it is applied to; empty means all.
    """

    probability: float = 1.0
    sources: tuple[str, ...] = ()

    is_timing: ClassVar[bool] = False
    """Whether it changes time or pitch, so that stems of one song must share its random numbers."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability} must lie between 0 and 1")
        if self.sources:
            source_set(self.sources)

    @property
    def reach(self) -> float:
        """Maximum input samples per output sample."""
        return 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Return a changed copy of ``float32 (2, samples)``; the number of samples may differ."""
        raise NotImplementedError


class EffectChain:
    """A sequence of effects.

    Args:
        effects: effects in order.
        probability_scale: factor on their probabilities; the product is limited to 1.
    """

    def __init__(self, effects: Sequence[Effect], probability_scale: float = 1.0) -> None:
        self.effects = tuple(effects)
        self._probabilities = [min(1.0, effect.probability * probability_scale) for effect in effects]

    @property
    def reach(self) -> float:
        """Maximum input samples per output sample."""
        return float(np.prod([effect.reach for effect in self.effects]))

    def __call__(
        self, window: Waveform, *, source: str = "", timing: np.random.Generator, rng: np.random.Generator
    ) -> Waveform:
        """Return a changed copy of ``float32 (2, samples)``.

        Args:
            window: the input, which is not changed.
            source: source of the window; effects for other sources are skipped.
            timing: random numbers of effects on time or pitch.
            rng: random numbers of all other effects.
        """
        for effect, probability in zip(self.effects, self._probabilities, strict=True):
            draws = timing if effect.is_timing else rng
            applies = not effect.sources or source in effect.sources
            if draws.random() < probability and applies:
                window = np.asarray(effect.apply(window, draws), dtype=np.float32)
        return window


@dataclass(frozen=True)
class Range:
    """Range of a setting, drawn uniformly, or uniformly on a logarithmic scale."""

    low: float
    high: float
    is_logarithmic: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """Return a random value."""
        if self.is_logarithmic:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


def fitted(window: Waveform, n_samples: int) -> Waveform:
    """Cut or zero-pad ``(2, samples)`` to ``n_samples``."""
    if window.shape[1] >= n_samples:
        return window[:, :n_samples]
    return np.pad(window, ((0, 0), (0, n_samples - window.shape[1])))


def check_range(name: str, low: float, high: float) -> None:
    """Raise ValueError unless ``low <= high``."""
    if not low <= high:
        raise ValueError(f"{name} reaches from {low} to {high}")
