"""A song as the input of a mechanism: samples, stores, deadline, and the value of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from my_submission.audio_io import Mixture, SampleStore
from my_submission.planning import Benefit, EstimateBuffer, Forecast
from my_submission.planning.calibration import part_key
from my_submission.planning.energy import EnergyProfile


class NewStore(Protocol):
    """Makes stores of zeros; by default of two channels and as long as the song."""

    def __call__(self, channels: int = ..., samples: int = ...) -> SampleStore:
        """Return a store of zeros."""
        ...


@dataclass(frozen=True, kw_only=True)
class SongContext:
    """One song, for one branch of a system.

    Attributes:
        name: name of the branch, for its stages.
        mixture: input of the branch.
        new_store: makes stores.
        forecast: whether work would end in time.
        has_deadline: whether work is ordered by its value; else it stays in the published order.
        shares: source to the branch's share of the blend.
        energy: energy of the mixture over time; None without a deadline.
        earlier: buffers of the branches before this one.
        system: name of the system, for cost keys.
        fingerprint: fingerprint of the system's weights, for cost keys.
    """

    name: str
    mixture: Mixture
    new_store: NewStore
    forecast: Forecast
    has_deadline: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    energy: EnergyProfile | None = None
    earlier: Sequence[EstimateBuffer] = ()
    system: str = ""
    fingerprint: str = ""

    @property
    def samples(self) -> int:
        """Length of the song, in samples."""
        return self.mixture.samples

    def stores(self, sources: Sequence[str]) -> dict[str, SampleStore]:
        """Return one stereo store per source."""
        return {source: self.new_store() for source in sources}

    def cost_key(self, stage: str, *, runs_on: str, chunking: object, batch_size: int = 1) -> str:
        """Return the key of a stage's cost in the calibration."""
        return part_key(
            stage,
            system=self.system,
            weights=self.fingerprint,
            runs_on=runs_on,
            chunking=chunking,
            batch_size=batch_size,
        )

    @property
    def benefit(self) -> Benefit | None:
        """Energy of the mixture in a span; None without a deadline, when the published order stays."""
        return self.energy.between if self.energy is not None else None

    @property
    def blended_benefit(self) -> Benefit:
        """Share in the blend times energy of the source, summed over the sources.

        The energy of a source that no earlier branch has estimated is an equal part of the mixture's.
        """
        energy, shares, earlier = self.energy, self.shares, self.earlier

        def benefit(start: int, stop: int) -> float:
            mixed = energy.between(start, stop) if energy is not None else float(stop - start)
            total = 0.0
            for source, share in shares.items():
                energies = (buffer.energy_between(source, start, stop) for buffer in earlier)
                known = next((value for value in energies if value is not None), None)
                total += share * (mixed / len(shares) if known is None else known)
            return total

        return benefit
