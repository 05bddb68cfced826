"""References and estimates in memory, for tests of BSSEval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.projection import Floats


class ArrayPair:
    """References and estimates in memory, both (sources, channels, samples); ValueError if their shapes differ."""

    def __init__(self, references: npt.NDArray[Any], estimates: npt.NDArray[Any]) -> None:
        if references.shape != estimates.shape or references.ndim != 3:
            raise ValueError(
                f"references {references.shape} and estimates {estimates.shape} must share one shape "
                "(sources, channels, samples)"
            )
        self._references, self._estimates = references, estimates

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sources, channels, samples)."""
        n_sources, n_channels, n_samples = self._references.shape
        return n_sources, n_channels, n_samples

    def blocks(self, block_samples: int) -> Iterator[tuple[Floats, Floats]]:
        """Yield references and estimates in float64 blocks."""
        for start in range(0, self.shape[2], block_samples):
            window = slice(start, start + block_samples)
            yield (
                np.asarray(self._references[..., window], np.float64),
                np.asarray(self._estimates[..., window], np.float64),
            )
