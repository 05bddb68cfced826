"""``[validation]``: validation on whole songs, early stopping and ranking of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.optimisation.losses import LossName


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Validation on whole songs.

    Attributes:
        every_epochs: epochs between validations.
        max_songs: maximum number of songs; None validates on all.
        max_seconds: maximum length per song; None uses whole songs.
        patience: epochs without improvement before the run ends, rounded up to a validation; None never ends it early.
        min_delta_db: minimum increase of the SDR that counts as improvement.
        min_delta_l1: minimum decrease of the mean absolute error that counts as improvement.
        monitor: value that ranks checkpoints: the SDR of whole songs, or a loss as a mean over chunks, such as ``l1``,
            ``raw_l1`` of the LaSAFT networks.
        keep_best: number of checkpoints kept besides the last one.
        on_training_songs: validate on the training songs too, as one AIMLESS run did, to detect divergence.
    """

    every_epochs: int = 1
    max_songs: int | None = None
    max_seconds: float | None = None
    patience: int | None = None
    min_delta_db: float = 0.0
    min_delta_l1: float = 0.0
    monitor: Literal["sdr", LossName] = "sdr"
    keep_best: int = 5
    on_training_songs: bool = False

    def __post_init__(self) -> None:
        for name in ("every_epochs", "max_songs", "patience", "keep_best"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"max_seconds={self.max_seconds} must be positive")
        if min(self.min_delta_db, self.min_delta_l1) < 0.0:
            raise ValueError("min_delta_db and min_delta_l1 must not be negative")

    @property
    def patience_validations(self) -> int | None:
        """Validations without improvement before the run ends."""
        return None if self.patience is None else -(-self.patience // self.every_epochs)
