"""``[data]``: training windows and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from training.data.splits import expanded


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Training windows and where they come from.

    Attributes:
        batch: windows per optimisation step, over all devices and micro-batches.
        micro_batch: maximum number of windows per forward pass on one device; the windows of a step are divided evenly.
        workers: processes that read and augment; 0 uses the training process.
        held_out: names of songs to validate on instead of training; ``musdb18`` stands for its 14.
        collections: weight per data folder; empty gives all songs the same weight.
        draw: whether songs are drawn uniformly or in proportion to their length.
        window_seconds: length of a training window; None uses the transform's frames.
        windows_per_song: windows per epoch and training song, if ``run.epoch_steps`` is None.
        clean_list: path of a CSV table with the columns ID and Clean; only songs marked Y are trained on.
        pad_short_stems: whether windows of stems that are shorter than a window are filled with silence; otherwise such
            stems are refused.
    """

    batch: int = 8
    micro_batch: int = 8
    workers: int = 2
    held_out: tuple[str, ...] = ()
    collections: Mapping[str, float] = field(default_factory=dict)
    draw: Literal["song", "length"] = "song"
    window_seconds: float | None = None
    windows_per_song: int | None = None
    clean_list: str | None = None
    pad_short_stems: bool = False

    def __post_init__(self) -> None:
        if min(self.batch, self.micro_batch) < 1:
            raise ValueError(f"batch={self.batch} and micro_batch={self.micro_batch} must be at least 1")
        if self.workers < 0:
            raise ValueError(f"workers={self.workers} must not be negative")
        if any(weight <= 0 for weight in self.collections.values()):
            raise ValueError(f"weights of collections must be positive: {dict(self.collections)}")
        if self.window_seconds is not None and self.window_seconds <= 0:
            raise ValueError(f"window_seconds={self.window_seconds} must be positive")
        if self.windows_per_song is not None and self.windows_per_song < 1:
            raise ValueError(f"windows_per_song={self.windows_per_song} must be at least 1")

    @property
    def held_out_songs(self) -> frozenset[str]:
        """Names of held-out songs, with list names expanded."""
        return expanded(self.held_out)
