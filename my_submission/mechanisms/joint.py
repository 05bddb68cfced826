"""One network that estimates several sources in the same run, on trimmed chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from my_submission.engines.joint_onnx import JointGraph, joint_engine
from my_submission.engines.out_of_memory import fitting
from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking
from my_submission.mechanisms.conditioned import ConditionedMechanism
from my_submission.mechanisms.mechanism import Opening, Recipe
from my_submission.mechanisms.spectral_networks import stft_of


@dataclass(frozen=True)
class JointRecipe(Recipe):
    """One network of several sources.

    Attributes:
        network: artefact name.
        sources: sources to estimate, of those in the graph's metadata.
        overlap_ratio: share of a chunk that the next one estimates again.
    """

    network: str
    sources: tuple[str, ...]
    overlap_ratio: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_ratio <= 0.5:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 0.5")

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Name of the network."""
        return (self.network,)

    def with_sources(self, sources: tuple[str, ...]) -> JointRecipe:
        """Return the recipe for some of its sources; the cost stays the same."""
        return replace(self, sources=sources)

    def open(self, opening: Opening) -> ConditionedMechanism:
        """Open the network."""
        options, path = opening.options, opening.path(self.network)
        graph = JointGraph.open(path, device=options.device, threads=options.threads)
        if not set(self.sources) <= set(graph.sources):
            problem = f"the graph estimates {', '.join(graph.sources)}, not all of {', '.join(self.sources)}"
            raise WeightsError(problem, where=path, hint="use a graph of these sources")
        shape = graph.shape()
        stft = stft_of(opening.artefact(self.network), path, shape.bins)
        chunking = SpectralChunking(stft, shape.frames, overlap_ratio=self.overlap_ratio)
        engine = fitting(joint_engine(graph, stft, self.sources), options.device, name=self.network)
        return ConditionedMechanism(self.sources, engine, chunking, options.chunks_per_run)
