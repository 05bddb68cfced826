"""Names and orders of sources; no other file defines an order.

Inside the package stems are a ``dict[str, Waveform]``; orders exist only where a network or a challenge fixes one. They
are those of the published code of each system.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Waveform: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (channels, samples)."""

Stems: TypeAlias = dict[str, Waveform]
"""One waveform per source, all of the same shape."""

MUSIC_SOURCES = ("bass", "drums", "other", "vocals")
"""KUIELab networks, Mixer, the MDX21 scorer and the MDX23 kit."""

DEMUCS_SOURCES = ("drums", "bass", "other", "vocals")
"""Rows of a Demucs v2 output."""

LASAFT_SOURCES = ("vocals", "drums", "bass", "other")
"""Source numbers of LaSAFT, LightSAFT and LASAFT-Net-v2."""

CINEMA_SOURCES = ("dialog", "effect", "music")
"""The CDX23 kit."""

AIMLESS_CINEMA_SOURCES = ("music", "effect", "dialog")
"""Rows of AIMLESS' networks for film sound; its music networks have the rows of Demucs."""

SOURCE_SETS = (MUSIC_SOURCES, CINEMA_SOURCES)
"""Sets of sources that add up to a mixture, one per challenge; no name is in two of them."""

ALIASES = {"speech": "dialog", "sfx": "effect", "effects": "effect", "dialogue": "dialog", "vocal": "vocals"}

COMPLEMENTS = {"instrumental": "vocals", "karaoke": "vocals", "drumless": "drums", "bassless": "bass"}
"""Stems that are the mixture minus one source, to that source; ``no_<source>`` means the same for any source."""

_COMPLEMENT_PREFIX = "no_"


def complemented_source(stem: str) -> str | None:
    """Return the source that a stem leaves out of the mixture, such as vocals for instrumental; None for a source."""
    if stem in COMPLEMENTS:
        return COMPLEMENTS[stem]
    return stem.removeprefix(_COMPLEMENT_PREFIX) if stem.startswith(_COMPLEMENT_PREFIX) else None


def with_complement(source: str) -> tuple[str, str]:
    """Return a source and the stem of everything else: ``("vocals", "instrumental")``, ``("other", "no_other")``."""
    name = next((name for name, known in COMPLEMENTS.items() if known == source), _COMPLEMENT_PREFIX + source)
    return source, name


def needed_source(stem: str) -> str:
    """Return the source that must be estimated for a stem."""
    return complemented_source(stem) or stem


def add_up(stems: Collection[str], sources: Collection[str]) -> bool:
    """Whether stems add up to the mixture: they are all sources, or one source and its complement."""
    if set(stems) == set(sources):
        return True
    complements = {complemented_source(stem) for stem in stems} - {None}
    return len(stems) == 2 and len(complements) == 1 and complements <= set(stems)


_SOURCE_NAME = re.compile(r"[^\W\d_](?:[\w .+-]*[\w+])?")
"""Names of sources: they begin with a letter and end with a letter, a digit, _ or +."""


def canonical_source(name: str) -> str:
    """Return the package's name of a source, whatever its alias."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def source_name(name: str) -> str:
    """Return a name that a source may have, which is part of file names.

    Raises:
        ValueError: it is empty, or has other characters than letters, digits, spaces and . _ + -
    """
    if not _SOURCE_NAME.fullmatch(name):
        allowed = "it must begin with a letter and contain only letters, digits, spaces and . _ + -"
        raise ValueError(f"{name!r} is not the name of a stem: {allowed}")
    return name


def source_set(names: Collection[str]) -> tuple[str, ...]:
    """Return the set of sources that all names belong to.

    Raises:
        ValueError: no set contains all of them, or no name is given.
    """
    found = next((sources for sources in SOURCE_SETS if names and set(names) <= set(sources)), None)
    if found is None:
        choices = " or of ".join(", ".join(sources) for sources in SOURCE_SETS)
        raise ValueError(f"{list(names)} must be names of {choices}")
    return found


def stack_stems(stems: Mapping[str, Waveform], order: Sequence[str]) -> Waveform:
    """Stack stems into one array (len(order), channels, samples); a missing source is a KeyError."""
    return np.stack([stems[name] for name in order])


def unstack_stems(stacked: npt.NDArray[np.float32], order: Sequence[str]) -> Stems:
    """Return the rows of an array (len(order), channels, samples) by name."""
    if len(stacked) != len(order):
        raise ValueError(f"{len(stacked)} rows cannot be named by {len(order)} sources {tuple(order)}")
    return dict(zip(order, stacked, strict=True))
