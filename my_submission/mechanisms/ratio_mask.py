"""A target by the ratio of two networks' masks, as Spleeter applies its 2-stems networks."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.engines.out_of_memory import fitting
from my_submission.engines.ratio_mask import RatioMaskEngine
from my_submission.engines.spectral_engine import SilenceSkipping
from my_submission.engines.spleeter_onnx import BINS, SpleeterGraph
from my_submission.geometry import SpectralChunking
from my_submission.mechanisms.mechanism import Opening, Recipe
from my_submission.mechanisms.spectral import SpectralMechanism, SpectralNetwork
from my_submission.mechanisms.spectral_networks import stft_of

FRAMES = 512
"""Frames of one chunk, as in training."""


@dataclass(frozen=True)
class RatioMaskRecipe(Recipe):
    """The target of a mixture, from the masks of two networks.

    Attributes:
        source: the target.
        target: artefact name of the network for the target's mask.
        rest: artefact name of the network for the mask of everything else.
        exponent: applied to both masks before their ratio.
    """

    source: str
    target: str
    rest: str
    exponent: float = 1.0

    @property
    def sources(self) -> tuple[str, ...]:
        """The target alone."""
        return (self.source,)

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of both networks."""
        return (self.target, self.rest)

    def open(self, opening: Opening) -> SpectralMechanism:
        """Open both networks as one engine, with chunks laid end to end."""
        options, path = opening.options, opening.path(self.target)
        stft = stft_of(opening.artefact(self.target), path, BINS)
        target, rest = (
            SpleeterGraph.open(opening.path(name), device=options.device, threads=options.threads)
            for name in self.artefacts
        )
        engine = SilenceSkipping(RatioMaskEngine(target, rest, stft, exponent=self.exponent))
        fitted = fitting(engine, options.device, name=self.target)
        network = SpectralNetwork(self.source, fitted, SpectralChunking(stft, FRAMES), options.chunks_per_run)
        return SpectralMechanism((network,))
