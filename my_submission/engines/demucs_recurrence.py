"""The LSTM in the middle of a Demucs v2, a direction of a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from my_submission.engines.base import Batch
from my_submission.engines.subgraphs import OpenPiece, deferred_piece
from my_submission.errors import WeightsError
from my_submission.graphs.demucs_lstm import (
    LENGTHS,
    LSTM_LINEAR_TENSORS,
    lstm_direction,
    lstm_direction_tensors,
    lstm_linear,
)
from my_submission.graphs.demucs_shape import DemucsConfig
from my_submission.graphs.rounded_weights import BLOCK
from my_submission.graphs.subgraph import INPUT


class DemucsRecurrence:
    """What several segments run through together, each at its own length.

    Args:
        path: the checkpoint.
        config: its sizes.
        open_piece: the runtime.
        is_rounded: whether the recurrent weights are rounded to 8 bits.

    Raises:
        WeightsError: they cannot be, because the width is no multiple of a block.
    """

    def __init__(self, path: Path, config: DemucsConfig, open_piece: OpenPiece, *, is_rounded: bool = False) -> None:
        if is_rounded and config.hidden % BLOCK:
            problem = f"an LSTM of width {config.hidden} cannot be rounded in blocks of {BLOCK}"
            raise WeightsError(problem, where=path, hint="use --precision fp32")
        self._path = path
        self._config = config
        self._open_piece = open_piece

        self._layers = [
            [
                deferred_piece(
                    open_piece,
                    path,
                    lstm_direction_tensors(layer, is_backward),
                    partial(lstm_direction, layer=layer, is_backward=is_backward, is_rounded=is_rounded),
                )
                for is_backward in (False, True)
            ]
            for layer in range(config.lstm_layers)
        ]
        self._linear = deferred_piece(open_piece, path, LSTM_LINEAR_TENSORS, lstm_linear)

    def rounded(self) -> DemucsRecurrence:
        """The same with its recurrent weights rounded; see the class."""
        return DemucsRecurrence(self._path, self._config, self._open_piece, is_rounded=True)

    def open(self) -> None:
        """Open all weights now."""
        for piece in (*chain.from_iterable(self._layers), self._linear):
            piece.open()

    def run(self, bottoms: Sequence[Batch], *, is_lean: bool) -> list[Batch]:
        """All bottoms (1, C, 1, T), to the same shapes; ``is_lean`` lets go of each direction when it has been used."""
        lengths = np.array([bottom.shape[-1] for bottom in bottoms], np.int64)
        x = np.zeros((int(lengths.max()), len(bottoms), bottoms[0].shape[1]), np.float32)
        for index, bottom in enumerate(bottoms):
            x[: lengths[index], index] = bottom[0, :, 0].T
        for layer in self._layers:
            sides = []
            for direction, told in zip(layer, ({}, {LENGTHS: lengths}), strict=True):
                # It projects all steps at once: a tenth of a gigabyte that the decoder has a better use for.
                sides.append(direction({INPUT: x, **told}, is_last=True))
                if is_lean:
                    direction.close()
            x = np.concatenate(sides, axis=-1)
        x = self._linear({INPUT: x}, is_last=True)
        return [np.ascontiguousarray(x[:length, index].T)[None, :, None] for index, length in enumerate(lengths)]
