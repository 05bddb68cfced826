"""Settings of optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch.nn import Parameter

from my_submission.documents import Variant


@dataclass(frozen=True, kw_only=True)
class Optimiser(Variant):
    """Base class of optimiser settings; fields other than the rate are arguments of torch's class."""

    learning_rate: float

    torch_class: ClassVar[Callable[..., torch.optim.Optimizer]]
    """Torch's optimiser."""

    n_moments: ClassVar[int]
    """Values that it keeps per weight."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0:
            raise ValueError(f"learning_rate={self.learning_rate} must be positive")

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimiser for these parameters."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self).torch_class(parameters, lr=options.pop("learning_rate"), **options)


Betas = tuple[float, float]
"""Shares of the means of gradients and of their squares that are kept per step."""

DEFAULT_BETAS: Betas = (0.9, 0.999)
"""Torch's, and those of all published configurations."""


@dataclass(frozen=True, kw_only=True)
class _Moments(Optimiser):
    """Optimisers that keep means of the gradient and of its square."""

    n_moments = 2

    betas: Betas = DEFAULT_BETAS
    weight_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas={list(self.betas)} must be at least 0 and below 1")
        if self.weight_decay < 0.0:
            raise ValueError(f"weight_decay={self.weight_decay} must not be negative")


@dataclass(frozen=True, kw_only=True)
class RmsProp(Optimiser, kind="rmsprop"):
    """RMSprop at torch's defaults, as published for the KUIELab networks: smoothing 0.99, no momentum."""

    torch_class = torch.optim.RMSprop
    n_moments = 1


@dataclass(frozen=True, kw_only=True)
class Adam(_Moments, kind="adam"):
    """Adam at torch's defaults, as the AIMLESS entries use it.

    Attributes:
        betas: shares of the mean gradient and of the mean squared gradient that are kept per step.
        weight_decay: L2 penalty added to the gradient; their X-UMX has 1e-5.
    """

    torch_class = torch.optim.Adam

    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AdamW(_Moments, kind="adamw"):
    """AdamW.

    Attributes:
        betas: as in :class:`Adam`.
        weight_decay: decoupled weight decay.
    """

    torch_class = torch.optim.AdamW

    weight_decay: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimiser, kind="adagrad"):
    """Adagrad at torch's defaults, as the LaSAFT programs offer it."""

    torch_class = torch.optim.Adagrad
    n_moments = 1


@dataclass(frozen=True, kw_only=True)
class Sgd(Optimiser, kind="sgd"):
    """Stochastic gradient descent at torch's defaults, without momentum, as the LaSAFT programs offer it."""

    torch_class = torch.optim.SGD
    n_moments = 0


class LearningRateSchedule(Variant):
    """Base class of learning-rate schedules: a factor on the rate per step."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor of optimisation step ``step``, counted from 0, in a run of ``total_steps``."""
        raise NotImplementedError

    def build(self, optimiser: torch.optim.Optimizer, total_steps: int) -> Any:
        """Return torch's scheduler, to be stepped after every optimisation step."""
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: self.factor(step, total_steps))


@dataclass(frozen=True, kw_only=True)
class Constant(LearningRateSchedule, kind="constant"):
    """Constant rate, as published for the KUIELab networks."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Plateau(LearningRateSchedule, kind="plateau"):
    """Reduced rate whenever validation stops improving, ``auto_lr_schedule`` of the LaSAFT networks.

    Attributes:
        shrink: factor on the rate at each reduction.
        patience: epochs without improvement before a reduction, rounded down to validations.
    """

    shrink: float = 0.5
    patience: int = 50

    def __post_init__(self) -> None:
        if not 0.0 < self.shrink < 1.0:
            raise ValueError(f"shrink={self.shrink} must lie between 0 and 1")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience} must not be negative")

    def build(self, optimiser: torch.optim.Optimizer, total_steps: int, *, mode: Literal["min", "max"] = "max") -> Any:
        """Return torch's scheduler, to be stepped after every validation; ``mode`` is that of the monitored value."""
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, mode=mode, factor=self.shrink, patience=self.patience
        )


@dataclass(frozen=True, kw_only=True)
class Trapezoid(LearningRateSchedule, kind="trapezoid"):
    """Linear warm-up, constant rate, linear cool-down at the end of the run.

    Attributes:
        warmup_steps: steps of the warm-up.
        cooldown_steps: steps of the cool-down.
    """

    warmup_steps: int = 100
    cooldown_steps: int = 600

    def __post_init__(self) -> None:
        if min(self.warmup_steps, self.cooldown_steps) < 0:
            raise ValueError("warmup_steps and cooldown_steps must not be negative")

    def factor(self, step: int, total_steps: int) -> float:
        """Return a factor between 0 and 1."""
        rise = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        fall = (total_steps - step) / self.cooldown_steps if self.cooldown_steps else 1.0
        return max(0.0, min(1.0, rise, fall))
