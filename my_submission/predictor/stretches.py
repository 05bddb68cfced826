"""Stretches of finished stems at the song's own rate, which are emitted while the work goes on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.dsp.resampling import StreamResampler
from my_submission.events import StretchDone
from my_submission.stems import Stems


class Stretches:
    """Makes stretches of consecutive blocks of all stems.

    Args:
        stems: names of the stems.
        mixture: the song.
        rate: sample rate of the blocks, in Hz; they are resampled if the song's rate differs.
    """

    def __init__(self, stems: Sequence[str], mixture: Mixture, *, rate: int) -> None:
        self._rate, self._samples = mixture.source_rate, mixture.source_samples
        self._position = 0
        self._resamplers = {
            stem: StreamResampler(rate, self._rate, channels=2, samples=self._samples)
            for stem in (stems if rate != self._rate else ())
        }

    def push(self, block: Stems) -> StretchDone:
        """Return the stretch, float32 (2, m) per stem, that is ready after the next block (2, n) of every stem.

        With resampling m differs from n, and may be zero.
        """
        return self._next({stem: each.push(block[stem]) for stem, each in self._resamplers.items()} or block)

    def finish(self, block: Stems) -> StretchDone:
        """Return the last stretch, (2, m) per stem, after the last block (2, n) of every stem; m may be zero."""
        last = {
            stem: np.concatenate([each.push(block[stem]), each.finish()], axis=1)
            for stem, each in self._resamplers.items()
        }
        return self._next(last or block)

    def _next(self, stems: Stems) -> StretchDone:
        start = self._position
        stretch = StretchDone(start, self._samples, stems, self._rate)
        self._position = stretch.stop
        return stretch
