"""The LSTM in the middle of a Demucs v2, one direction of a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from my_submission.engines.base import Batch
from my_submission.engines.subgraph_engine import subgraph_of
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
    """LSTM and linear layer over several segments together, each of its own length.

    Args:
        path: the checkpoint.
        config: its sizes.
        threads: processors per run.
        is_rounded: whether the recurrent weights are rounded to 8 bits.

    Raises:
        WeightsError: they cannot be rounded, because the width is not a multiple of a block.
    """

    def __init__(self, path: Path, config: DemucsConfig, *, threads: int, is_rounded: bool = False) -> None:
        if is_rounded and config.hidden % BLOCK:
            problem = f"an LSTM of width {config.hidden} cannot be rounded in blocks of {BLOCK}"
            raise WeightsError(problem, where=path, hint="use --precision fp32")
        self._path = path
        self._config = config
        self._threads = threads
        self._layers = [
            [
                subgraph_of(
                    path,
                    lstm_direction_tensors(layer, is_backward),
                    partial(lstm_direction, layer=layer, is_backward=is_backward, is_rounded=is_rounded),
                    threads=threads,
                )
                for is_backward in (False, True)
            ]
            for layer in range(config.lstm_layers)
        ]
        self._linear = subgraph_of(path, LSTM_LINEAR_TENSORS, lstm_linear, threads=threads)

    def rounded(self) -> DemucsRecurrence:
        """Return the same recurrence with rounded weights; see the class."""
        return DemucsRecurrence(self._path, self._config, threads=self._threads, is_rounded=True)

    def open(self) -> None:
        """Open all weights now."""
        for subgraph in (*chain.from_iterable(self._layers), self._linear):
            subgraph.open()

    def run(self, bottoms: Sequence[Batch], *, is_lean: bool) -> list[Batch]:
        """Map activations (1, C, 1, T) to the same shapes; ``is_lean`` closes each direction after use."""
        lengths = np.array([bottom.shape[-1] for bottom in bottoms], np.int64)
        x = np.zeros((int(lengths.max()), len(bottoms), bottoms[0].shape[1]), np.float32)
        for index, bottom in enumerate(bottoms):
            x[: lengths[index], index] = bottom[0, :, 0].T
        for layer in self._layers:
            sides = []
            for direction, extra in zip(layer, ({}, {LENGTHS: lengths}), strict=True):
                # is_last releases the input projection of all steps, 0.1 GB that the decoder needs.
                sides.append(direction({INPUT: x, **extra}, is_last=True))
                if is_lean:
                    direction.close()
            x = np.concatenate(sides, axis=-1)
        x = self._linear({INPUT: x}, is_last=True)
        return [np.ascontiguousarray(x[:length, index].T)[None, :, None] for index, length in enumerate(lengths)]
