"""Five-number summaries for box plots."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

_WHISKER = 1.5
"""Whiskers end at the last value within this many interquartile ranges of the box (Tukey)."""


@dataclass(frozen=True)
class Box:
    """Quartiles, whisker ends (``low``, ``high``) and outliers of a box plot."""

    low: float
    first_quartile: float
    median: float
    third_quartile: float
    high: float
    outliers: tuple[float, ...]


def box_of(values: Collection[float]) -> Box | None:
    """Return the box of some values, or None without values."""
    if not values:
        return None
    ordered = np.sort(np.array(list(values), float))
    first, median, third = np.quantile(ordered, [0.25, 0.5, 0.75])
    reach = _WHISKER * (third - first)
    inside = ordered[(ordered >= first - reach) & (ordered <= third + reach)]
    outside = ordered[(ordered < first - reach) | (ordered > third + reach)]
    return Box(float(inside[0]), float(first), float(median), float(third), float(inside[-1]), tuple(outside.tolist()))
