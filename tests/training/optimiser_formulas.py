"""Steps of every optimiser by their published formulas, in numpy and in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from training.optimisation.optimisers import Adam, AdamW, Optimiser

Array = npt.NDArray[np.float64]
Steps = Callable[[Array, Sequence[Array], Optimiser], Array]


def sgd(weight: Array, gradients: Sequence[Array], optimiser: Optimiser) -> Array:
    """``w ← w − η·g``."""
    return weight - optimiser.learning_rate * np.sum(gradients, axis=0)


def adagrad(weight: Array, gradients: Sequence[Array], optimiser: Optimiser) -> Array:
    """``w ← w − η·g / (√Σg² + 1e-10)``, over all gradients so far."""
    squares = np.zeros_like(weight)
    for gradient in gradients:
        squares = squares + gradient**2
        weight = weight - optimiser.learning_rate * gradient / (np.sqrt(squares) + 1e-10)
    return weight


def rmsprop(weight: Array, gradients: Sequence[Array], optimiser: Optimiser) -> Array:
    """``w ← w − η·g / (√v + 1e-8)`` with a running mean ``v`` of ``g²`` that keeps 0.99."""
    mean_square = np.zeros_like(weight)
    for gradient in gradients:
        mean_square = 0.99 * mean_square + 0.01 * gradient**2
        weight = weight - optimiser.learning_rate * gradient / (np.sqrt(mean_square) + 1e-8)
    return weight


def adam(weight: Array, gradients: Sequence[Array], optimiser: Optimiser) -> Array:
    """Adam of Kingma and Ba; the penalty is part of the gradient, or with AdamW a shrinkage of the weight."""
    assert isinstance(optimiser, Adam | AdamW)
    rate, decay, (beta1, beta2) = optimiser.learning_rate, optimiser.weight_decay, optimiser.betas
    mean, mean_square = np.zeros_like(weight), np.zeros_like(weight)
    for step, raw in enumerate(gradients, start=1):
        gradient = raw if isinstance(optimiser, AdamW) else raw + decay * weight
        mean = beta1 * mean + (1 - beta1) * gradient
        mean_square = beta2 * mean_square + (1 - beta2) * gradient**2
        if isinstance(optimiser, AdamW):
            weight = weight - rate * decay * weight
        weight = weight - rate * (mean / (1 - beta1**step)) / (np.sqrt(mean_square / (1 - beta2**step)) + 1e-8)
    return weight


STEPS: dict[str, Steps] = {"sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adam}


def stepped(weight: Array, gradients: Sequence[Array], optimiser: Optimiser) -> Array:
    """Return a weight after one step for each gradient."""
    return STEPS[optimiser.kind](weight, gradients, optimiser)
