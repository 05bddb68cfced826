"""``[export]``: graphs that are written with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Export of graphs with every checkpoint.

    Attributes:
        frames: number of frames of the graph; None uses that of training.
        half_weights: store large weights as float16; arithmetic stays float32.
        licence: licence of the weights, for the manifest.
    """

    frames: int | None = None
    half_weights: bool = False
    licence: str = "unpublished"
