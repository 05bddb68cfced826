"""Windows of training: a transform and the frames of one window, over the transforms of the library."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from my_submission.geometry import StftGeometry
from my_submission.networks.spectra import from_channels, to_channels


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Transform of one network: lengths in samples, kept bins, frames of one window."""

    n_fft: int
    hop: int
    bins: int
    frames: int

    def __post_init__(self) -> None:
        if not 0 < self.bins <= self.n_fft // 2 + 1:
            raise ValueError(f"bins={self.bins} does not fit n_fft={self.n_fft}")
        if self.hop < 1 or self.frames < 2 or self.chunk_samples <= self.n_fft:
            raise ValueError(f"hop={self.hop} and frames={self.frames} leave no chunk longer than n_fft={self.n_fft}")

    @property
    def stft(self) -> StftGeometry:
        """The transform alone."""
        return StftGeometry(self.n_fft, self.hop, self.bins)

    @property
    def chunk_samples(self) -> int:
        """Samples whose transform has exactly ``frames`` frames."""
        return self.hop * (self.frames - 1)

    @property
    def trim_samples(self) -> int:
        """Samples at each end of a chunk that lack real context."""
        return self.n_fft // 2


def spectrum(waves: Tensor, geometry: Geometry) -> Tensor:
    """``float32 [N, 2, samples]`` to ``float32 [N, 4, bins, frames]``."""
    return to_channels(waves, geometry.stft)


def waveform(spectra: Tensor, geometry: Geometry, n_samples: int) -> Tensor:
    """``[N, 4, bins, frames]`` to ``[N, 2, n_samples]``; bins beyond the kept ones are zero."""
    return from_channels(spectra, geometry.stft, samples=n_samples)
