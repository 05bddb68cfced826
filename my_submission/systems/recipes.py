"""What a system is made of: artefacts, shares and their order, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from my_submission.dsp.wiener import WienerSettings
from my_submission.geometry import SAMPLE_RATE, FadeChunking, FrameChunking, Segmentation, StftGeometry
from my_submission.separators.waveform import Normalisation
from my_submission.stems import AIMLESS_CINEMA_SOURCES
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
        chunking: segments and overlap, or the whole song.
        reduced_overlaps: overlaps to fall back on when time is short, largest first; those that are not below the
            published one are left out.
        shifted_passes: passes on shifted segments, averaged with the published one where time is left over.
    """

    network: str
    sources: tuple[str, ...]
    normalisation: Normalisation
    chunking: Segmentation
    reduced_overlaps: tuple[float, ...] = (0.25, 0.1)
    shifted_passes: int = 2

    def __post_init__(self) -> None:
        overlaps = self.reduced_overlaps
        if list(overlaps) != sorted(set(overlaps), reverse=True) or not all(0 < overlap < 1 for overlap in overlaps):
            raise ValueError(f"the reduced overlaps {overlaps} of {self.network!r} must fall, between 1 and 0")
        if self.shifted_passes < 0:
            raise ValueError(f"shifted_passes={self.shifted_passes} of {self.network!r} must not be negative")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact needed."""
        return (self.network,)


@dataclass(frozen=True)
class MidSideRecipe(WaveformRecipe):
    """A mono waveform network of film sound, run on left, right, their difference and their mean.

    Attributes:
        order: rows of the network; ``sources`` are those that the combination gives.
    """

    order: tuple[str, ...] = AIMLESS_CINEMA_SOURCES


@dataclass(frozen=True)
class MaskingRecipe:
    """A network that masks the mixture's spectrogram, and the Wiener filter after it.

    Attributes:
        network: artefact name.
        sources: what its masks are of, in the checkpoint's order.
        chunking: stretches of frames that it looks at.
        wiener: the filter.
        is_whole: show it the whole song at once, as published, where time allows; memory grows with it.
    """

    network: str
    sources: tuple[str, ...]
    chunking: FrameChunking
    wiener: WienerSettings
    is_whole: bool = False

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact needed."""
        return (self.network,)


@dataclass(frozen=True)
class JointFilterRecipe:
    """A multichannel Wiener filter over the blended estimates of all sources, and its share of the answer.

    Attributes:
        shares: source to the share of what the filter makes of it; the rest is as it was blended.
        geometry: the filter's transform.
        windows: stretches of the song that have spatial covariances of their own.
    """

    shares: Mapping[str, float]
    geometry: StftGeometry
    windows: FadeChunking

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in self.shares.values()):
            raise ValueError(f"the joint filter's shares {dict(self.shares)} must lie between 0 and 1")


@dataclass(frozen=True)
class BranchRecipe:
    """A way to estimate the sources, and its share in the blend.

    Attributes:
        name: shown in plans and reports.
        recipe: what computes it.
        shares: source to this branch's share of the blend; a source without one is not blended in.
    """

    name: str
    recipe: SpectralRecipe | WaveformRecipe | ConditionedRecipe | MaskingRecipe
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
        fallback: a cheaper system for what the first branch cannot reach in time, where its artefacts are there.
        joint_filter: what shares the mixture out once all sources are estimated; nothing where not given.
        is_at_any_rate: hear every song at its own sample rate, as if it were 44.1 kHz, instead of resampling it.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    branches: tuple[BranchRecipe, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    board: str = ""
    licence: str = "MIT"
    fallback: SystemRecipe | None = None
    joint_filter: JointFilterRecipe | None = None
    is_at_any_rate: bool = False

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError(f"the system {self.name!r} has no branch")
        for source in self.sources:
            shares = [branch.shares.get(source, 0.0) for branch in self.branches]
            if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
                raise ValueError(f"the shares of {source!r} in {self.name!r} are {shares} and must add up to 1")
            if self.fallback is not None and source not in self.fallback.branches[0].shares:
                raise ValueError(f"{self.fallback.name!r} cannot stand in for {self.name!r}: it has no {source!r}")
            if self.joint_filter is not None and source not in self.joint_filter.shares:
                raise ValueError(f"the joint filter of {self.name!r} has no share of {source!r}")
            if shares[0] <= 0:
                raise ValueError(f"the first branch of {self.name!r} must have a share of {source!r}")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact the system needs, in the order of use."""
        return tuple(name for branch in self.branches for name in branch.recipe.artefacts)

    def working_rate(self, sample_rate: int) -> int:
        """The rate, in Hz, that a song of some rate is separated at."""
        return sample_rate if self.is_at_any_rate else SAMPLE_RATE
