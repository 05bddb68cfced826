"""A multichannel Wiener filter over the estimates of all sources.

Networks that estimate one source each are independent: their estimates need not add up to the mixture. The filter takes
their powers and spatial covariances as a model of the sources and distributes the mixture by it, window by window
(dsp/wiener.py).
"""

from __future__ import annotations

import numpy as np

from my_submission.dsp.stft import istft, stft
from my_submission.dsp.wiener import filtered_together
from my_submission.geometry import StftGeometry
from my_submission.stems import Waveform


class MultichannelWienerFilter:
    """The filter over one window of a song.

    Args:
        geometry: the transform; all of its bins must be kept.
    """

    def __init__(self, geometry: StftGeometry) -> None:
        if geometry.kept_bins != geometry.n_bins:
            raise ValueError(f"kept_bins={geometry.kept_bins}: the filter needs all {geometry.n_bins}")
        self.geometry = geometry

    @property
    def context_samples(self) -> int:
        """Samples of context on both sides of a window, so that no frame of it is cut."""
        return self.geometry.n_fft

    def filter(self, estimates: Waveform, mixture: Waveform) -> Waveform:
        """Return a filtered window without its context.

        Args:
            estimates: float32 (sources, 2, context + n + context), silent outside the song.
            mixture: float32 (2, context + n + context).

        Returns:
            float32 (sources, 2, n).
        """
        context, samples = self.context_samples, mixture.shape[-1]
        # The inverse transform ends with the last whole hop.
        padding = [(0, 0), (0, -samples % self.geometry.hop)]
        mixed = stft(np.pad(mixture, padding), self.geometry)
        spectra = stft(np.pad(estimates, [(0, 0), *padding]), self.geometry)
        filtered = istft(filtered_together(spectra, mixed), self.geometry)
        return filtered[..., context : samples - context]
