"""What a system is made of: artefacts, shares and their order, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from my_submission.geometry import OverlapChunking
from my_submission.separators.waveform import Normalisation
from my_submission.systems.conditioned_recipe import ConditionedRecipe


@dataclass(frozen=True)
class SpectralRecipe:
    """One spectral network a source, and a Mixer over their outputs where there is one.

    Attributes:
        networks: source to artefact name.
        mixer: artefact name of the Mixer.
        trim_samples: samples dropped at each side of a chunk; n_fft/2, as published, when not given.
        overlap_ratio: share of a chunk that the next one estimates again; none, as published.
    """

    networks: Mapping[str, str]
    mixer: str | None = None
    trim_samples: int | None = None
    overlap_ratio: float = 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources in the order they are worked on."""
        return tuple(self.networks)

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact needed."""
        return (*self.networks.values(), *([self.mixer] if self.mixer else []))


@dataclass(frozen=True)
class WaveformRecipe:
    """One waveform network for all sources.

    Attributes:
        network: artefact name.
        sources: rows of its output, in the checkpoint's order.
        normalisation: how the mixture is centred and scaled.
        chunking: segments and overlap.
    """

    network: str
    sources: tuple[str, ...]
    normalisation: Normalisation
    chunking: OverlapChunking

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact needed."""
        return (self.network,)


@dataclass(frozen=True)
class BranchRecipe:
    """A way to estimate the sources, and its share in the blend.

    Attributes:
        name: shown in plans and reports.
        recipe: what computes it.
        shares: source to this branch's share of the blend; a source without one is not blended in.
    """

    name: str
    recipe: SpectralRecipe | WaveformRecipe | ConditionedRecipe
    shares: Mapping[str, float]


@dataclass(frozen=True)
class SystemRecipe:
    """A published system, or one of ours.

    Attributes:
        name: what a user types.
        title: one line for people.
        sources: stems that come out, in the order of the challenge's tables.
        branches: the first one is the complete answer that every other refines.
        published: source (and "song") to the published global SDR in dB, with its board.
        board: where the numbers were published.
        licence: of the weights.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    branches: tuple[BranchRecipe, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    board: str = ""
    licence: str = "MIT"

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError(f"the system {self.name!r} has no branch")
        for source in self.sources:
            shares = [branch.shares.get(source, 0.0) for branch in self.branches]
            if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
                raise ValueError(f"the shares of {source!r} in {self.name!r} are {shares} and must add up to 1")
            if shares[0] <= 0:
                raise ValueError(f"the first branch of {self.name!r} must have a share of {source!r}")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact the system needs, in the order of use."""
        return tuple(name for branch in self.branches for name in branch.recipe.artefacts)
