"""Weights into a module: every key, no other key, every shape, or an error that names the first that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from torch import Tensor, nn

from my_submission.errors import WeightsError


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> None:
    """Fill a module.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    expected = module.state_dict()
    for key in expected:
        if key not in state:
            raise WeightsError(f"the weight {key} is missing", where=where, cure="use the network it was saved from")
    for key, value in state.items():
        if key not in expected:
            raise WeightsError(f"the weight {key} belongs to another network", where=where)
        if value.shape != expected[key].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(expected[key].shape)}"
            raise WeightsError(f"the weight {key} has the shape {shapes}", where=where)
    module.load_state_dict(dict(state))
