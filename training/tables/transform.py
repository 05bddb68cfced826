"""``[transform]``: the STFT and the length of a window in frames."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.geometry import SpectralChunking, StftGeometry


@dataclass(frozen=True, kw_only=True)
class Transform:
    """STFT of a spectral network and the length of its training windows.

    Attributes:
        n_fft: window and transform length, in samples.
        hop: distance between frames, in samples.
        kept_bins: number of lowest bins in the network's input.
        frames: number of frames of a training window.
    """

    n_fft: int
    hop: int = 1024
    kept_bins: int = 2048
    frames: int = 256

    def __post_init__(self) -> None:
        self.chunking()  # raises ValueError for invalid chunks

    @property
    def stft(self) -> StftGeometry:
        """Geometry of the transform."""
        return StftGeometry(self.n_fft, self.hop, self.kept_bins)

    def chunking(self, frames: int | None = None) -> SpectralChunking:
        """Return chunks of ``frames``, by default those of a training window."""
        return SpectralChunking(self.stft, self.frames if frames is None else frames)
