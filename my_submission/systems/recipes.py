"""What a system is made of: mechanisms, shares and their order, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from my_submission.geometry import SAMPLE_RATE
from my_submission.mechanisms import Recipe, WienerRecipe


@dataclass(frozen=True)
class BranchRecipe:
    """A way to estimate sources, and its share in the blend.

    Attributes:
        name: shown in plans and reports.
        recipe: the mechanism.
        shares: source to this branch's share of the blend; a source without one is not blended in.
        minus: sources, estimated by earlier branches, that are taken out of the mixture before this branch runs on it.
            What a deadline left unestimated is not taken out.
    """

    name: str
    recipe: Recipe
    shares: Mapping[str, float]
    minus: tuple[str, ...] = ()


@dataclass(frozen=True)
class SystemRecipe:
    """A published system, or one of ours.

    Attributes:
        name: what a user types.
        title: one line for people.
        sources: stems that come out, in the order of the challenge's tables.
        branches: in the order of work; the first one, or the first ones in a cascade, are a complete answer that all
            others refine.
        published: source (and "song") to the published global SDR in dB, with its board.
        board: where the numbers were published.
        licence: of the weights.
        fallback: a cheaper system for the parts of a song that the first branch cannot reach in time, if its artefacts
            are there.
        wiener: the filter over the blended estimates; none if not given.
        rest: the source that is the mixture minus all others, as in systems of a target and an accompaniment.
        uses_external_data: whether its weights were trained on other data than the challenges gave out.
        keeps_native_rate: hear every song at its own sample rate, as if it were 44.1 kHz, instead of resampling it.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    branches: tuple[BranchRecipe, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    board: str = ""
    licence: str = "MIT"
    fallback: SystemRecipe | None = None
    wiener: WienerRecipe | None = None
    rest: str | None = None
    uses_external_data: bool = False
    keeps_native_rate: bool = False

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError(f"the system {self.name!r} has no branch")
        if self.rest is not None and self.rest not in self.sources:
            raise ValueError(f"the rest {self.rest!r} of {self.name!r} must be among {self.sources}")
        for source in self.estimated:
            self._check_source(source)
        self._check_order()

    @property
    def estimated(self) -> tuple[str, ...]:
        """Sources that branches estimate: all but the rest."""
        return tuple(source for source in self.sources if source != self.rest)

    def _check_source(self, source: str) -> None:
        shares = [branch.shares.get(source, 0.0) for branch in self.branches]
        if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares of {source!r} in {self.name!r} are {shares} and must add up to 1")
        if self.fallback is not None and source not in self.fallback.branches[0].shares:
            raise ValueError(f"{self.fallback.name!r} cannot stand in for {self.name!r}: it has no {source!r}")
        if self.wiener is not None and source not in {*self.wiener.shares, *self.wiener.minus}:
            raise ValueError(f"the Wiener filter of {self.name!r} has no share of {source!r}")

    def _check_order(self) -> None:
        known: set[str] = set()
        for branch in self.branches:
            if unknown := set(branch.minus) - known:
                names = ", ".join(sorted(unknown))
                raise ValueError(f"no branch before {branch.name!r} of {self.name!r} estimates {names}")
            if branch.minus and branch.recipe.needs_statistics:
                problem = "needs statistics of what it hears before the work begins, and a residual has none yet"
                raise ValueError(f"the branch {branch.name!r} of {self.name!r} {problem}")
            known |= {source for source, share in branch.shares.items() if share > 0}
        if self.wiener is not None and not set(self.wiener.minus) <= known:
            raise ValueError(f"no branch of {self.name!r} estimates all of {self.wiener.minus}")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that the system needs, in the order of use."""
        return tuple(name for branch in self.branches for name in branch.recipe.artefacts)

    def working_rate(self, sample_rate: int) -> int:
        """The rate, in Hz, that a song of some rate is separated at."""
        return sample_rate if self.keeps_native_rate else SAMPLE_RATE
