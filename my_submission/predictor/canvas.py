"""The growing answer: four stems that are complete at any moment and only get better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from my_submission.audio_io import Mixture, SampleStore
from my_submission.separators import Mixer, Piece
from my_submission.stems import Stems, Waveform

BLOCK_SAMPLES = 1 << 18
"""Samples per step of a pass over the whole song (6 s)."""

FADE_SAMPLES = 4_410
"""A refinement that stops inside the song fades out over a tenth of a second."""


class StemCanvas:
    """Estimates of every source, two channels each, in one sample store.

    The value of a source is the weighted mean of what has been painted so far. The first branch paints over
    nothing; every later one is merged with the weight its share has against the shares before it.

    Args:
        stores: source to a store of two channels, as long as the mixture.
        mixture: the song.
    """

    def __init__(self, stores: Mapping[str, SampleStore], mixture: Mixture) -> None:
        self.stores = stores
        self.mixture = mixture
        self._painted = dict.fromkeys(stores, 0)
        self._before_last: tuple[int, dict[str, Waveform]] | None = None

    def paint(self, piece: Piece) -> None:
        """Set a source for the first time."""
        self._write_all(piece.start, piece.stems)
        self._painted.update(dict.fromkeys(piece.stems, piece.stop))

    def mix(self, mixer: Mixer) -> int:
        """Apply a Mixer wherever every source is painted; returns how many samples that was."""
        stop = min(self._painted.values())
        for start, end in _blocks(0, stop):
            self._write_all(start, mixer.mix(self.read(start, end), self.mixture.store.read(start, end)))
        return stop

    def fill(self) -> list[str]:
        """Share out what no network has estimated, equally, among the sources it is missing from.

        Returns:
            The sources that were not complete.
        """
        missing = [source for source in self.stores if self._painted[source] < self.mixture.samples]
        first = min(self._painted.values())
        for start, end in _blocks(first, self.mixture.samples):
            self._fill_block(start, end, missing)
        for source in missing:
            self._painted[source] = self.mixture.samples
        return missing

    def refine(self, piece: Piece, shares: Mapping[str, float], before: Mapping[str, float]) -> None:
        """Merge a better estimate with what is there.

        Args:
            piece: the estimate; sources without a share are left alone.
            shares: source to the share of this estimate.
            before: source to the sum of the shares merged so far.
        """
        old = self.read(piece.start, piece.stop)
        tail = max(piece.start, piece.stop - FADE_SAMPLES)
        self._before_last = tail, {name: block[:, tail - piece.start :].copy() for name, block in old.items()}
        for source, estimate in piece.stems.items():
            if share := shares.get(source, 0.0):
                weight = share / (share + before[source])
                merged = (1 - weight) * old[source].astype(np.float64) + weight * estimate
                self.stores[source].write(piece.start, merged.astype(np.float32))

    def fade_out(self) -> None:
        """Fade the end of the last refinement into what was there before, so that no step is heard."""
        if self._before_last is None:
            return
        start, old = self._before_last
        samples = next(iter(old.values())).shape[-1]
        now = self.read(start, start + samples)
        ramp = (np.arange(1, samples + 1) / (samples + 1)).astype(np.float32)
        self._write_all(start, {name: now[name] + ramp * (old[name] - now[name]) for name in now})
        self._before_last = None

    def read(self, start: int, stop: int) -> Stems:
        """Stems of some samples."""
        return {source: store.read(start, stop) for source, store in self.stores.items()}

    def blocks(self) -> Iterator[Stems]:
        """The whole song, block by block."""
        for start, stop in _blocks(0, self.mixture.samples):
            yield self.read(start, stop)

    def _fill_block(self, start: int, stop: int, missing: list[str]) -> None:
        stems = self.read(start, stop)
        positions = np.arange(start, stop)
        is_missing = {source: positions >= self._painted[source] for source in missing}
        count = np.sum(list(is_missing.values()), axis=0)
        known = sum((np.where(is_missing.get(name, False), 0, block) for name, block in stems.items()), np.float32(0))
        share = (self.mixture.store.read(start, stop) - known) / np.maximum(count, 1)
        self._write_all(
            start, {name: np.where(is_missing[name], share, stems[name]).astype(np.float32) for name in missing}
        )

    def _write_all(self, start: int, stems: Stems) -> None:
        for source, block in stems.items():
            self.stores[source].write(start, block)


def _blocks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for begin in range(start, stop, BLOCK_SAMPLES):
        yield begin, min(begin + BLOCK_SAMPLES, stop)
