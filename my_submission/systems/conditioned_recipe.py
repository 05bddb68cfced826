"""Recipe of one network that serves any source, as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.stems import LASAFT_SOURCES


@dataclass(frozen=True)
class ConditionedRecipe:
    """One network that is asked for each source by its number.

    Attributes:
        network: artefact name.
        sources: what is estimated; any choice of ``order``, at a cost that grows with their number.
        trim_samples: dropped at each side of a chunk.
        overlap_ratio: share of a chunk that the next one estimates again; it gives way first when time is short.
        legacy: repeat the published fault at the end of overlapped tracks.
        order: source numbers of the network.
    """

    network: str
    sources: tuple[str, ...]
    trim_samples: int
    overlap_ratio: float = 0.0
    legacy: bool = False
    order: tuple[str, ...] = LASAFT_SOURCES

    def __post_init__(self) -> None:
        if not self.sources or not set(self.sources) <= set(self.order):
            raise ValueError(f"sources={self.sources} must be among {self.order}")
        if self.trim_samples < 0:
            raise ValueError(f"trim_samples={self.trim_samples} must not be negative")
        if not 0 <= self.overlap_ratio <= 0.5:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 0.5")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every artefact needed."""
        return (self.network,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Source numbers, in the order of ``sources``."""
        return tuple(self.order.index(source) for source in self.sources)
