"""Systems as frozen values: mechanisms, their order and their shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import MixerRecipe, Recipe, WienerRecipe
from my_submission.stems import add_up, needed_source, source_name

SYSTEMS_FILE = "systems.toml"
"""File of a models folder that defines systems of the user's own."""


@dataclass(frozen=True)
class BranchRecipe:
    """A mechanism and its share of the blend.

    Attributes:
        name: shown in plans and reports.
        recipe: the mechanism.
        shares: source to the share of the blend; sources without a share are not blended.
        minus: sources, estimated by earlier branches, that are subtracted from the mixture before this branch runs on
            it. Nothing is subtracted where a deadline left them unestimated.
    """

    name: str
    recipe: Recipe
    shares: Mapping[str, float]
    minus: tuple[str, ...] = ()


@dataclass(frozen=True)
class SystemRecipe:
    """A published system, or one of ours.

    Attributes:
        name: its name on the command line.
        title: one line of description.
        sources: sources that it estimates, in the order of the challenge's tables.
        branches: branches in the order of work. The first ones that together estimate all sources are a complete
            result, which the others refine.
        published: source (and "song") to the published global SDR in dB, with its board.
        board: the leaderboard of the published numbers.
        own_sdr: our own measurement if none is published: global SDR in dB, mean over sources and the two test
            excerpts of docs/scores.md, which no network was trained on.
        licence: licence of the weights.
        fallback: a cheaper system whose first branch is run if there is no time for a complete result, if its
            artefacts are there.
        wiener: the filter over the blended estimates.
        mixer: applied to the blended and filtered estimates, where all of them are complete.
        rest: the source that is the mixture minus all others, as in systems of a target and an accompaniment.
        uses_external_data: whether its weights were trained on other data than the challenges gave out.
        keeps_native_rate: process every song at its own sample rate, as if it were 44.1 kHz, without resampling.
        default_stems: stems to write if none are chosen: sources, or the mixture without one; empty for all sources.
        chosen_stems: stems to write that were chosen; empty if none were.
        omitted: sources of the whole system that are not among ``sources``, because no stem needs them.
        definition: SHA-256 of its entry in ``systems.toml``, hexadecimal; empty for systems of this program.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    branches: tuple[BranchRecipe, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    board: str = ""
    own_sdr: float | None = None
    licence: str = "MIT"
    fallback: SystemRecipe | None = None
    wiener: WienerRecipe | None = None
    mixer: MixerRecipe | None = None
    rest: str | None = None
    uses_external_data: bool = False
    keeps_native_rate: bool = False
    default_stems: tuple[str, ...] = ()
    chosen_stems: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    definition: str = ""

    def __post_init__(self) -> None:
        for source in self.sources:
            source_name(source)
        if unknown := {needed_source(stem) for stem in self.stems} - set(self.sources):
            raise ValueError(f"{self.name!r} does not estimate {', '.join(sorted(unknown))}")
        if not self.branches:
            raise ValueError(f"the system {self.name!r} has no branch")
        if not self.sources:
            raise ValueError(f"the system {self.name!r} estimates no source")
        if empty := [branch.name for branch in self.branches if not branch.shares]:
            raise ValueError(f"the branch {empty[0]!r} of {self.name!r} has a share of no source")
        if self.rest is not None and self.rest not in self.sources:
            raise ValueError(f"the rest {self.rest!r} of {self.name!r} must be among {self.sources}")
        for source in self.estimated:
            self._check_source(source)
        if self.mixer is not None and (unknown := set(self.mixer.sources) - set(self.estimated)):
            raise ValueError(f"{self.name!r} does not estimate {', '.join(sorted(unknown))}, which its Mixer needs")
        self._check_order()

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems to write."""
        return self.chosen_stems or self.default_stems or self.sources

    @property
    def stems_add_up(self) -> bool:
        """Whether the stems to write are all of the mixture."""
        return add_up(self.stems, (*self.sources, *self.omitted))

    @property
    def estimated(self) -> tuple[str, ...]:
        """Sources that branches estimate: all but ``rest``."""
        return tuple(source for source in self.sources if source != self.rest)

    def _check_source(self, source: str) -> None:
        shares = [branch.shares.get(source, 0.0) for branch in self.branches]
        if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares of {source!r} in {self.name!r} are {shares} and must add up to 1")
        if self.fallback is not None and source not in self.fallback.branches[0].shares:
            raise ValueError(f"{self.fallback.name!r} cannot be the fallback of {self.name!r}: it has no {source!r}")
        if self.wiener is not None and source not in {*self.wiener.shares, *self.wiener.minus}:
            raise ValueError(f"the Wiener filter of {self.name!r} has no share of {source!r}")

    def _check_order(self) -> None:
        known: set[str] = set()
        for branch in self.branches:
            if unknown := set(branch.minus) - known:
                names = ", ".join(sorted(unknown))
                raise ValueError(f"no branch before {branch.name!r} of {self.name!r} estimates {names}")
            if branch.minus and branch.recipe.needs_statistics:
                problem = "needs statistics of its input before the work begins, and a residual has none yet"
                raise ValueError(f"the branch {branch.name!r} of {self.name!r} {problem}")
            known |= {source for source, share in branch.shares.items() if share > 0}
        if self.wiener is not None and not set(self.wiener.minus) <= known:
            raise ValueError(f"no branch of {self.name!r} estimates all of {self.wiener.minus}")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of all artefacts of the system, in the order of use."""
        return tuple(name for branch in self.branches for name in branch.recipe.artefacts)

    def working_rate(self, sample_rate: int) -> int:
        """Return the sample rate, in Hz, at which a song is separated."""
        return sample_rate if self.keeps_native_rate else SAMPLE_RATE
