"""``[augment]``: changes of training windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from my_submission.stems import SOURCE_SETS
from training.augment.effects import Effect
from training.augment.limiting import MixtureEffect

_KNOWN_SOURCES = tuple(name for sources in SOURCE_SETS for name in sources)


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Augmentation of training windows.

    Attributes:
        coherent: probability that all sources of an example come from the same time of one song.
        absent: probability per source that it is left out.
        doubled: probability per source that a second window of it is added.
        level_db: standard deviation of the random level around equal levels of all sources; None keeps the recorded
            levels.
        coherent_level_db: standard deviation around the song's own balance, for coherent examples; None treats them
            like other examples.
        level_offset_db: offset of the random level per source.
        effects: effects on every window in order, each with its own probability.
        probability_scale: factor on the probabilities of all effects; the product is limited to 1.
        mixture_effects: effects on the stems of every example together.
        final_effects: effects on every stem after those, which change the mixture's sum once more.
        one_collection: whether all sources of an example come from one collection.
    """

    coherent: float = 0.0
    absent: Mapping[str, float] = field(default_factory=dict)
    doubled: Mapping[str, float] = field(default_factory=dict)
    level_db: float | None = None
    coherent_level_db: float | None = None
    level_offset_db: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    probability_scale: float = 1.0
    mixture_effects: tuple[MixtureEffect, ...] = ()
    final_effects: tuple[Effect, ...] = ()
    one_collection: bool = False

    def __post_init__(self) -> None:
        for name in ("absent", "doubled"):
            if any(not 0.0 <= chance < 1.0 for chance in getattr(self, name).values()):
                raise ValueError(f"{name} contains probabilities below 1")
        if unknown := self.sources_named - set(_KNOWN_SOURCES):
            raise ValueError(f"{', '.join(sorted(unknown))} are none of {', '.join(_KNOWN_SOURCES)}")
        if not 0.0 <= self.coherent <= 1.0:
            raise ValueError(f"coherent={self.coherent} is not a probability")
        if self.probability_scale < 0.0:
            raise ValueError(f"probability_scale={self.probability_scale} must not be negative")
        for name in ("level_db", "coherent_level_db"):
            value = getattr(self, name)
            if value is not None and value < 0.0:
                raise ValueError(f"{name}={value} must not be negative")
        if self.level_offset_db and self.level_db is None:
            raise ValueError("level_offset_db needs level_db")

    @property
    def sources_named(self) -> frozenset[str]:
        """All sources named in a setting."""
        effects = (*self.effects, *self.final_effects)
        tables = (self.absent, self.doubled, self.level_offset_db, *(effect.sources for effect in effects))
        return frozenset(name for table in tables for name in table)
