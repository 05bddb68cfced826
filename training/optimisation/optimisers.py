"""Optimisers and schedules of their rate, as settings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import Parameter

from my_submission.documents import Variant


@dataclass(frozen=True, kw_only=True)
class Optimiser(Variant):
    """An optimiser and its rate."""

    learning_rate: float

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0:
            raise ValueError(f"learning_rate={self.learning_rate} must be positive")

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Torch's optimiser over these parameters."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class RmsProp(Optimiser, kind="rmsprop"):
    """RMSprop at torch's defaults, as published for the KUIELab networks: smoothing 0.99, no momentum."""

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Torch's RMSprop."""
        return torch.optim.RMSprop(parameters, lr=self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class Adam(Optimiser, kind="adam"):
    """Adam at torch's defaults, as the AIMLESS entries use it.

    Attributes:
        weight_decay: added to the gradient; their X-UMX has 1e-5.
    """

    weight_decay: float = 0.0

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Torch's Adam."""
        return torch.optim.Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimiser, kind="adamw"):
    """AdamW.

    Attributes:
        weight_decay: decoupled decay.
    """

    weight_decay: float = 0.01

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Torch's AdamW."""
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


class LearningRateSchedule(Variant):
    """A factor on the rate, by step."""

    def factor(self, step: int, total_steps: int) -> float:
        """Of optimisation step ``step``, counted from 0, in a run of ``total_steps``."""
        raise NotImplementedError

    def build(self, optimiser: torch.optim.Optimizer, total_steps: int) -> Any:
        """Torch's scheduler, to be moved on once a step."""
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: self.factor(step, total_steps))


@dataclass(frozen=True, kw_only=True)
class Constant(LearningRateSchedule, kind="constant"):
    """The same rate throughout, as published for the KUIELab networks."""

    def factor(self, step: int, total_steps: int) -> float:
        """One."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Plateau(LearningRateSchedule, kind="plateau"):
    """The rate falls each time validation has stopped improving; the LaSAFT networks' ``auto_lr_schedule``.

    Attributes:
        shrink: factor on the rate at each fall.
        patience: validations without improvement before it.
    """

    shrink: float = 0.5
    patience: int = 50

    def __post_init__(self) -> None:
        if not 0.0 < self.shrink < 1.0:
            raise ValueError(f"shrink={self.shrink} must lie between 0 and 1")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience} must not be negative")

    def build(self, optimiser: torch.optim.Optimizer, total_steps: int, *, mode: Literal["min", "max"] = "max") -> Any:
        """Torch's scheduler, to be moved on once a validation with what is watched, to its ``mode``."""
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, mode=mode, factor=self.shrink, patience=self.patience
        )


@dataclass(frozen=True, kw_only=True)
class Trapezoid(LearningRateSchedule, kind="trapezoid"):
    """A linear rise, a plateau, a linear fall to the end of the run.

    Attributes:
        warmup_steps: of the rise.
        cooldown_steps: of the fall.
    """

    warmup_steps: int = 100
    cooldown_steps: int = 600

    def __post_init__(self) -> None:
        if min(self.warmup_steps, self.cooldown_steps) < 0:
            raise ValueError("warmup_steps and cooldown_steps must not be negative")

    def factor(self, step: int, total_steps: int) -> float:
        """Between 0 and 1."""
        rise = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        fall = (total_steps - step) / self.cooldown_steps if self.cooldown_steps else 1.0
        return max(0.0, min(1.0, rise, fall))


@dataclass(frozen=True, kw_only=True)
class Cosine(LearningRateSchedule, kind="cosine"):
    """A linear rise, then half a cosine down to a share of the rate.

    Attributes:
        warmup_steps: of the rise.
        floor: share of the rate at the end.
    """

    warmup_steps: int = 100
    floor: float = 0.0

    def factor(self, step: int, total_steps: int) -> float:
        """Between the floor and 1."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = min(1.0, (step - self.warmup_steps) / max(1, total_steps - self.warmup_steps))
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
