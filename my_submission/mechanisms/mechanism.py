"""The contract of a mechanism: one way to estimate sources.

A recipe is data. ``recipe.open(opening)`` checks and opens its weights and returns the mechanism. For every song the
mechanism returns the stages of its work and the buffer that they fill, so no caller asks for the kind of a mechanism.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from my_submission.engines import Engine
from my_submission.engines.spectral_engine import remarks_of
from my_submission.mechanisms.memory_limits import DeviceLimit, MemoryLimit
from my_submission.mechanisms.mixer import Mixer
from my_submission.mechanisms.options import RunOptions
from my_submission.mechanisms.song_context import SongContext
from my_submission.planning import ClosingStage, EstimateBuffer, Stage
from my_submission.weights import Artefact, ModelsFolder

M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True)
class SongStages:
    """Work of a mechanism on one song.

    Attributes:
        buffer: where the estimates are put.
        stages: the published work, in order.
        refinements: work that goes beyond the published one.
        closing: filters over the estimates of all stages, in order; a mechanism that is a whole system has them.
        reads: stage to the stages of the same mechanism whose estimates it reads.
        mixer: applied to the estimates where every source is covered.
    """

    buffer: EstimateBuffer
    stages: tuple[Stage, ...]
    refinements: tuple[Stage, ...] = ()
    closing: tuple[ClosingStage, ...] = ()
    reads: Mapping[Stage, Sequence[Stage]] = field(default_factory=dict)
    mixer: Mixer | None = None

    @property
    def all(self) -> tuple[Stage, ...]:
        """Stages, refinements and filters."""
        return (*self.stages, *self.refinements, *self.closing)


@dataclass(frozen=True)
class Fitted(Generic[M_co]):
    """A mechanism that fits a limit.

    Attributes:
        mechanism: the mechanism to use.
        notes: how it differs from the published method, one sentence each.
    """

    mechanism: M_co
    notes: tuple[str, ...] = ()


class Mechanism(ABC):
    """One way to estimate sources, opened and ready; it keeps no state of a song."""

    if TYPE_CHECKING:  # a field of some mechanisms, which an abstract property would give a default

        @property
        def sources(self) -> tuple[str, ...]:
            """Sources that it estimates."""

    @property
    @abstractmethod
    def engines(self) -> tuple[Engine, ...]:
        """The engine of every network; empty if the work needs no network."""

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Library and device of every network."""
        return tuple(engine.runs_on for engine in self.engines)

    @abstractmethod
    def stages(self, song: SongContext) -> SongStages:
        """Return the stages of the work on a song, and the buffer that they fill."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks of the engines so far, such as batches that did not fit the GPU."""
        return tuple(remark for engine in self.engines for remark in remarks_of(engine))

    @property
    def cutoffs_hz(self) -> Mapping[str, float]:
        """Source to the frequency above which its network is silent, for networks with a cutoff."""
        return {}

    @property
    def trial_samples(self) -> int | None:
        """Best number of samples for a trial run; None if any number will do."""
        return None

    @property
    def is_streamable(self) -> bool:
        """Whether it can go through a song from start to end, without a pass over the whole song."""
        return True

    def long_song_passes(self, samples: int) -> float:
        """Return how many times a long song goes through the network per pass over a song of ``samples`` samples."""
        return 1.0

    def open_weights(self) -> None:
        """Open all weights now, including those that are otherwise opened at their first use."""
        return

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the mechanism with batches or segments that fit the memory of the process.

        Raises:
            MdxError: not even the smallest unit of work fits.
        """
        return Fitted(self)

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the mechanism with batches or segments that probably fit the free memory of a GPU."""
        return Fitted(self)


@dataclass(frozen=True)
class Opening:
    """Arguments of :meth:`Recipe.open`.

    Attributes:
        models: the models folder.
        weights: artefact name to its file, verified.
        options: device, precision, runtime, threads.
    """

    models: ModelsFolder
    weights: Mapping[str, Path]
    options: RunOptions

    def artefact(self, name: str) -> Artefact:
        """Return the manifest entry of an artefact."""
        return self.models.artefact(name)

    def path(self, name: str) -> Path:
        """Return the verified file of an artefact."""
        return self.weights[name]


class Recipe(ABC):
    """A mechanism as data: its artefacts and their geometry. Recipes are frozen dataclasses."""

    if TYPE_CHECKING:  # a field of some recipes, which an abstract property would give a default

        @property
        def sources(self) -> tuple[str, ...]:
            """Sources that it estimates."""

    @property
    @abstractmethod
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that it needs."""

    @abstractmethod
    def open(self, opening: Opening) -> Mechanism:
        """Open the weights.

        Raises:
            WeightsError: a file is damaged or does not fit its place.
            DeviceError: the device cannot be used.
        """

    @property
    def needs_statistics(self) -> bool:
        """Whether it scales its input by statistics of the whole song, which must be known before the work."""
        return False

    @property
    def cutoff_artefacts(self) -> Mapping[str, str]:
        """Source to the artefact whose graph states the frequency above which the source is silent."""
        return {}

    @property
    def takes_network_options(self) -> bool:
        """Whether :meth:`with_network_options` changes anything."""
        return False

    def with_network_options(self, *, denoises: bool, compensation: float | None, silent_bins: int) -> Recipe:
        """Return a recipe whose graph is applied with these options; the same one if it takes none."""
        return self

    def with_network(self, source: str, network: str) -> Recipe:
        """Return a recipe that estimates a source by another network; the same one if it has none for it alone."""
        return self

    def with_sources(self, sources: tuple[str, ...]) -> Recipe:
        """Return a recipe whose estimates of some sources are the same, without the work that they do not need.

        A recipe that estimates all sources in one run, or that combines them, returns itself.
        """
        return self
