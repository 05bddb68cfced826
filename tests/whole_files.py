"""The Wiener filter over a whole file at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from my_submission.dsp.wiener import Masks, Spectra, WienerFilter, WienerSettings


def wiener(masks: Masks, mixture: Spectra, settings: WienerSettings) -> npt.NDArray[np.complex64]:
    """Filter a whole file at once.

    Args:
        masks: float32 (targets, channels, frames, bins).
        mixture: complex64 (channels, frames, bins).
        settings: which filter.

    Returns:
        complex64 (sources, channels, frames, bins); the residual, where there is one, is the last.
    """
    learned = WienerFilter(len(masks), mixture.shape[0], mixture.shape[-1], settings)
    for _ in range(settings.iterations):
        learned.learn(masks, mixture)
        learned.finish_pass()
    return learned.apply(masks, mixture).astype(np.complex64)
