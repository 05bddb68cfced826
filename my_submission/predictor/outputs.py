"""Stems to write, from blocks of the estimated sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from my_submission.audio_io import Mixture
from my_submission.dsp.resampling import StreamResampler
from my_submission.stems import Stems, Waveform, complemented_source, needed_source


class StemOutputs:
    """Makes the chosen stems of consecutive blocks: estimates, or the mixture minus one of them.

    Complements are taken from the mixture at its original rate, so that a source and its complement add up to the song
    as it was read. Only then are the blocks at that rate; otherwise they stay at the working rate.

    Args:
        stems: names of the stems.
        mixture: the song, with ``original`` if a stem is a complement.
        working_rate: rate of the estimates, in Hz.

    Attributes:
        rate: sample rate of the blocks that are returned, in Hz.
    """

    def __init__(self, stems: Sequence[str], mixture: Mixture, working_rate: int) -> None:
        self._complements = {stem: source for stem in stems if (source := complemented_source(stem)) is not None}
        self._stems, self._mixture = tuple(stems), mixture
        self._position = 0
        self._resamplers: dict[str, StreamResampler] = {}
        self.rate = working_rate
        if self._complements and mixture.source_rate != working_rate:
            self.rate = mixture.source_rate
            self._resamplers = {
                source: StreamResampler(working_rate, self.rate, channels=2, samples=mixture.source_samples)
                for source in map(needed_source, stems)
            }

    def push(self, estimates: Stems) -> Stems:
        """Return the stems, float32 (2, m), of the next block of all estimates, float32 (2, n).

        With resampling m differs from n, and may be zero.
        """
        if self._resamplers:
            estimates = {source: each.push(estimates[source]) for source, each in self._resamplers.items()}
        return self._chosen(estimates)

    def finish(self) -> Stems:
        """Return the last samples of the stems, float32 (2, m); empty if nothing was resampled."""
        if not self._resamplers:
            return {stem: np.zeros((2, 0), np.float32) for stem in self._stems}
        return self._chosen({source: each.finish() for source, each in self._resamplers.items()})

    def _chosen(self, estimates: Stems) -> Stems:
        mixture = self._next_mixture(next(iter(estimates.values())).shape[-1])
        chosen = {}
        for stem in self._stems:
            source = self._complements.get(stem)
            chosen[stem] = estimates[stem] if source is None else mixture - estimates[source]
        return chosen

    def _next_mixture(self, n_samples: int) -> Waveform:
        """Return the next samples of the song; nothing is read if no stem needs them."""
        original = self._mixture.original
        if not self._complements or original is None:
            return np.zeros((2, 0), np.float32)
        start = self._position
        self._position += n_samples
        return original.read(start, self._position)
