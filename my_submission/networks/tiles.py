"""Results computed tile by tile, so that only the result and one tile are in memory."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def assembled(tiles: Iterable[Tensor], size: int, *, axis: int) -> Tensor:
    """Concatenate tiles of ``size`` elements in total along an axis, copying each before the next is computed.

    Raises:
        ValueError: there is no tile, because the input is too small for the layers.
    """
    whole: Tensor | None = None
    position = 0
    for tile in tiles:
        if whole is None:
            shape = list(tile.shape)
            shape[axis] = size
            whole = tile.new_empty(shape)
        whole.narrow(axis, position, tile.shape[axis]).copy_(tile)
        position += tile.shape[axis]
    if whole is None:
        raise ValueError("the input is too small for the layers")
    return whole
