"""Weights into a module: every key, no other key, every shape, or an error that names the first that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TypeVar

from torch import Tensor, nn

from my_submission.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> None:
    """Fill a module.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    _check(module, state, where)
    module.load_state_dict(dict(state))


def take_over(module: Network, state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> Network:
    """Give a module, such as one on the meta device, a state's own tensors, and return it frozen for evaluation.

    Only tensors of another floating type than float32 are copied.

    Raises:
        WeightsError: as :func:`load_strictly`.
    """
    _check(module, state, where)
    kept = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(kept, assign=True)
    return module.eval().requires_grad_(False)


def shape_of(
    state: Mapping[str, Tensor],
    key: str,
    expected: Sequence[int | None],
    *,
    where: str | PathLike[str] | None = None,
) -> tuple[int, ...]:
    """The shape of a weight that must have as many axes as ``expected``, and its sizes where they are given.

    Raises:
        WeightsError: the key is missing, or its shape is another.
    """
    if key not in state:
        raise WeightsError(f"the weight {key} is missing", where=where, hint="use the network it was saved from")
    shape = tuple(state[key].shape)
    fits = len(shape) == len(expected) and all(e in {None, s} for s, e in zip(shape, expected, strict=True))
    if not fits or 0 in shape:
        sizes = ", ".join("any" if size is None else str(size) for size in expected)
        raise WeightsError(f"the weight {key} has the shape {shape}, expected ({sizes})", where=where)
    return shape


def _check(module: nn.Module, state: Mapping[str, Tensor], where: str | PathLike[str] | None) -> None:
    expected = module.state_dict()
    for key in expected:
        if key not in state:
            raise WeightsError(f"the weight {key} is missing", where=where, hint="use the network it was saved from")
    for key, value in state.items():
        if key not in expected:
            raise WeightsError(f"the weight {key} belongs to another network", where=where)
        if value.shape != expected[key].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(expected[key].shape)}"
            raise WeightsError(f"the weight {key} has the shape {shapes}", where=where)
