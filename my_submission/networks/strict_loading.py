"""Strict loading of weights: every key, no other key, every shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from my_submission.errors import WeightsError
from my_submission.weights.other_architectures import refuse_other_architectures

Network = TypeVar("Network", bound=nn.Module)

Where: TypeAlias = str | PathLike[str] | None
"""The file of some weights, for error messages."""


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, where: Where = None) -> None:
    """Copy a state into a module.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    _check(module, state, where)
    module.load_state_dict(dict(state))


def network_of(make: Callable[[], Network], state: Mapping[str, Tensor], *, where: Where = None) -> Network:
    """Return the network that ``make`` builds, frozen in evaluation mode, on the memory of a state's tensors.

    Only floating-point tensors other than float32 are copied.

    Raises:
        WeightsError: as :func:`load_strictly`.
    """
    with torch.device("meta"):
        module = make()
    _check(module, state, where)
    float32 = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(float32, assign=True)
    return module.eval().requires_grad_(False)


def shape_of(
    state: Mapping[str, Tensor], key: str, expected: Sequence[int | None], *, where: Where = None
) -> tuple[int, ...]:
    """Return the shape of a weight; ``expected`` has its axes, and the sizes that are known.

    Raises:
        WeightsError: the key is missing, or the shape does not fit.
    """
    if key not in state:
        refuse_other_architectures(state, where=where)
        raise WeightsError(f"the weight {key} is missing", where=where, hint="use the network it was saved from")
    shape = tuple(state[key].shape)
    fits = len(shape) == len(expected) and all(e in {None, s} for s, e in zip(shape, expected, strict=True))
    if not fits or 0 in shape:
        sizes = ", ".join("any" if size is None else str(size) for size in expected)
        raise WeightsError(f"the weight {key} has the shape {shape}, expected ({sizes})", where=where)
    return shape


def count_of(state: Mapping[str, Tensor], pattern: str) -> int:
    """Return how many different numbers the group of ``pattern`` matches at the start of the keys."""
    return len({match.group(1) for key in state if (match := re.match(pattern, key))})


@contextmanager
def known_shapes(network: str, where: Where) -> Iterator[None]:
    """Turn errors of a configuration that is computed from shapes into a WeightsError."""
    try:
        yield
    except (ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"the shapes are not those of a {network}: {error}", where=where) from error


def _check(module: nn.Module, state: Mapping[str, Tensor], where: Where) -> None:
    expected = module.state_dict()
    if set(state) != set(expected):
        refuse_other_architectures(state, where=where)
    for key in expected:
        if key not in state:
            raise WeightsError(f"the weight {key} is missing", where=where, hint="use the network it was saved from")
    for key, value in state.items():
        if key not in expected:
            raise WeightsError(f"the weight {key} belongs to another network", where=where)
        if value.shape != expected[key].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(expected[key].shape)}"
            raise WeightsError(f"the weight {key} has the shape {shapes}", where=where)
