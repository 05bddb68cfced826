"""What an effect is, and a chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from my_submission.documents import Variant
from my_submission.stems import Waveform, source_set


@dataclass(frozen=True, kw_only=True)
class Effect(Variant):
    """A random change of one window; each kind is a frozen dataclass in this package.

    Attributes:
        probability: that a window is changed at all.
        sources: the sources it concerns; all when empty.
    """

    probability: float = 1.0
    sources: tuple[str, ...] = ()

    is_timing: ClassVar[bool] = False
    """Whether it moves what is heard in time or pitch, so that stems played together must share its draws."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability} must lie between 0 and 1")
        if self.sources:
            source_set(self.sources)

    @property
    def reach(self) -> float:
        """Samples it may consume for one that it returns."""
        return 1.0

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """A changed copy of ``float32 (2, samples)``; the number of samples may differ."""
        raise NotImplementedError


class EffectChain:
    """Effects one after the other.

    Args:
        effects: in order.
        probability_scale: multiplies their probabilities, up to certainty.
    """

    def __init__(self, effects: Sequence[Effect], probability_scale: float = 1.0) -> None:
        self.effects = tuple(effects)
        self._chances = [min(1.0, effect.probability * probability_scale) for effect in effects]

    @property
    def reach(self) -> float:
        """Samples that one returned sample may need."""
        return float(np.prod([effect.reach for effect in self.effects]))

    def __call__(
        self, window: Waveform, *, source: str = "", timing: np.random.Generator, rng: np.random.Generator
    ) -> Waveform:
        """A changed copy of ``float32 (2, samples)``.

        Args:
            window: not changed.
            source: whose window it is; effects made for other sources pass it by.
            timing: draws of effects that move what is heard in time or pitch.
            rng: draws of all others.
        """
        for effect, chance in zip(self.effects, self._chances, strict=True):
            draws = timing if effect.is_timing else rng
            is_meant = not effect.sources or source in effect.sources
            if draws.random() < chance and is_meant:
                window = np.asarray(effect.apply(window, draws), dtype=np.float32)
        return window


def fitted(window: Waveform, n_samples: int) -> Waveform:
    """The first ``n_samples`` of ``(2, any)``; zeros where there are fewer."""
    if window.shape[1] >= n_samples:
        return window[:, :n_samples]
    return np.pad(window, ((0, 0), (0, n_samples - window.shape[1])))


def check_range(name: str, low: float, high: float) -> None:
    """Raises ValueError unless ``low <= high``."""
    if not low <= high:
        raise ValueError(f"{name} reaches from {low} to {high}")
