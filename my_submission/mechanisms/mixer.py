"""The Mixer: a matrix that improves the estimates of all sources by the mixture and by one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.stems import MUSIC_SOURCES, Stems, Waveform, unstack_stems
from my_submission.weights import read_state_dict

SUBMISSION_KEY = "linear.weight"
"""Name of the matrix in the submission's file, which contains nothing else."""

TRAINING_KEY = "mixing_layer.weight"
"""Name of the matrix in a state of the authors' training program, which may also contain the frozen networks."""


class Mixer:
    """A linear map, sample by sample, from all estimates and the mixture to better estimates.

    Phase 2 of KUIELab-MDX-Net: one matrix without bias from ten channels (left and right of every source, then of the
    mixture) to the eight channels of the sources. [I₈ | 0] changes nothing.

    Args:
        matrix: (2 · sources, 2 · sources + 2).
        sources: order of its rows and columns.

    Raises:
        ValueError: the matrix has another shape or contains NaN or infinity.
    """

    def __init__(self, matrix: npt.ArrayLike, *, sources: Sequence[str] = MUSIC_SOURCES) -> None:
        self.sources = tuple(sources)
        self.matrix = np.array(matrix, dtype=np.float32)
        channels = 2 * len(self.sources)
        if self.matrix.shape != (channels, channels + 2):
            raise ValueError(f"the matrix is {self.matrix.shape}, {(channels, channels + 2)} is expected")
        if not np.isfinite(self.matrix).all():
            raise ValueError("the matrix contains NaN or infinity")

    def mix(self, stems: Stems, mixture: Waveform) -> Stems:
        """Return new stems from stems (2, n) of every source and the mixture (2, n)."""
        samples = mixture.shape[-1]
        columns = np.concatenate([*(stems[source] for source in self.sources), mixture])
        return unstack_stems((self.matrix @ columns).reshape(-1, 2, samples), self.sources)


@dataclass(frozen=True)
class MixerRecipe:
    """A Mixer as plain numbers, over the blend of a system.

    Attributes:
        sources: order of its rows and columns; left before right.
        matrix: one row per channel of the sources, with one column per such channel and two for the mixture.
    """

    sources: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(set(self.sources)) < len(self.sources) or not self.sources:
            raise ValueError(f"the Mixer's sources {list(self.sources)} must be different names")
        lengths = {len(row) for row in self.matrix}
        if len(lengths) > 1:
            raise ValueError(f"the Mixer's rows have {' and '.join(map(str, sorted(lengths)))} numbers")
        self.open()

    def open(self) -> Mixer:
        """Return the Mixer.

        Raises:
            ValueError: the matrix has another shape or contains NaN or infinity.
        """
        try:
            return Mixer(self.matrix, sources=self.sources)
        except ValueError as error:
            raise ValueError(f"the Mixer of {', '.join(self.sources)} cannot be used: {error}") from error


def read_mixer(path: Path, sources: Sequence[str]) -> Mixer:
    """Read a Mixer from its checkpoint.

    Raises:
        WeightsError: the file is damaged or contains no Mixer of these sources.
    """
    state = read_state_dict(path)
    key = TRAINING_KEY if TRAINING_KEY in state else SUBMISSION_KEY
    if key not in state or (key == SUBMISSION_KEY and len(state) > 1):
        found = ", ".join(sorted(state))[:200] or "nothing"
        problem = f"a Mixer is one tensor {SUBMISSION_KEY}, or {TRAINING_KEY} among others; this file contains {found}"
        raise WeightsError(problem, where=path, hint="fetch the Mixer again")
    try:
        return Mixer(state[key], sources=sources)
    except ValueError as error:
        raise WeightsError(f"this is not a Mixer: {error}", where=path, hint="fetch the Mixer again") from error
