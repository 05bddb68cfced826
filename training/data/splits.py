"""Published lists of validation songs."""

from __future__ import annotations

from collections.abc import Iterable

MUSDB18_VALIDATION = (
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
)
"""The 14 training songs of MUSDB18 used for validation, in the order of the package ``musdb``."""

KUIELAB_B_VALIDATION = MUSDB18_VALIDATION[:5]
"""The five of them that the configuration of KUIELab's leaderboard B holds out; it trains on the other nine."""

LISTS = {"musdb18": MUSDB18_VALIDATION, "kuielab-b": KUIELAB_B_VALIDATION}


def expanded(names: Iterable[str]) -> frozenset[str]:
    """Return song names, with names of lists replaced by their songs."""
    return frozenset(song for name in names for song in LISTS.get(name, (name,)))


def validation_order(names: Iterable[str]) -> list[str]:
    """Sort validation songs: those of MUSDB18 in their published order, then the others by name."""
    rank = {name: index for index, name in enumerate(MUSDB18_VALIDATION)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))
