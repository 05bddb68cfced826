"""Examples: windows of stems from random songs, changed at random, to be summed into a mixture.

Every example depends on a seed and a step number only, so a resumed run sees what an unbroken one
would have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from my_submission.stems import MUSIC_SOURCES, Waveform
from training.corpus import SAMPLE_RATE, StemFile


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How windows are changed. Probabilities per source and window unless said otherwise.

    Args:
        coherent: probability per example that all sources come from one song at one time.
        absent: probability per source name that the source is left out.
        doubled: probability per source name that a second window of the same source is added.
        level_db: standard deviation of the random level, around equal levels of all sources.
        speed: largest relative change of playing speed (pitch and tempo together).
        swap: probability that left and right are exchanged.
        mono: probability that a window is folded to the centre or panned from there.
        saturate: probability of soft clipping.
        equalise_db: standard deviation of a random smooth equaliser's points.
    """

    coherent: float = 0.25
    absent: Mapping[str, float]
    doubled: Mapping[str, float]
    level_db: float = 4.0
    speed: float = 0.12
    swap: float = 0.5
    mono: float = 0.15
    saturate: float = 0.15
    equalise_db: float = 3.0

    def __post_init__(self) -> None:
        for name, table in (("absent", self.absent), ("doubled", self.doubled)):
            if set(table) != set(MUSIC_SOURCES) or not all(0.0 <= p < 1.0 for p in table.values()):
                raise ValueError(f"{name} needs a probability below 1 for each of {MUSIC_SOURCES}")


STARTER_AUGMENTATION = Augmentation(
    absent={"bass": 0.1, "drums": 0.15, "other": 0.05, "vocals": 0.25},
    doubled={"bass": 0.0, "drums": 0.1, "other": 0.4, "vocals": 0.15},
)

REFERENCE_RMS = 0.08
"""Level that a stem's active parts are brought to before the random level is applied."""


class Remixer:
    """Draws examples from collections of stems.

    Args:
        collections: each a list of stems and the weight it is drawn with.
        augmentation: how windows are changed.
        n_samples: length of a window.
    """

    def __init__(
        self,
        collections: Sequence[tuple[float, Sequence[StemFile]]],
        augmentation: Augmentation,
        *,
        n_samples: int,
    ) -> None:
        self.augmentation = augmentation
        self.n_samples = n_samples
        self._pools = {source: _Pool(collections, source) for source in MUSIC_SOURCES}
        songs: dict[str, dict[str, StemFile]] = {}
        for _, stems in collections:
            for stem in stems:
                songs.setdefault(str(stem.path.parent), {})[stem.source] = stem
        self._songs = songs

    def batch(self, rng: np.random.Generator, n_examples: int) -> Waveform:
        """``float32 (n_examples, 4, 2, n_samples)``, sources in the order bass, drums, other, vocals."""
        return np.stack([self.example(rng) for _ in range(n_examples)])

    def example(self, rng: np.random.Generator) -> Waveform:
        """One example, ``float32 (4, 2, n_samples)``; a source may be silent."""
        change = self.augmentation
        window_of = self._coherent(rng) if rng.random() < change.coherent else {}
        example = np.zeros((len(MUSIC_SOURCES), 2, self.n_samples), dtype=np.float32)
        for row, source in enumerate(MUSIC_SOURCES):
            if rng.random() < change.absent[source]:
                continue
            example[row] = window_of[source] if source in window_of else self._drawn(rng, source)
            if rng.random() < change.doubled[source]:
                example[row] += self._drawn(rng, source)
        return example

    def _drawn(self, rng: np.random.Generator, source: str) -> Waveform:
        stem = self._pools[source].draw(rng)
        stretch = 1.0 + self.augmentation.speed * rng.uniform(-1.0, 1.0)
        n_read = int(self.n_samples * stretch)
        start = int(rng.integers(0, max(1, stem.n_samples - n_read)))
        return self._changed(rng, resampled(stem.window(start, n_read), self.n_samples), stem)

    def _coherent(self, rng: np.random.Generator) -> dict[str, Waveform]:
        """Windows of all stems of one song at one time, at one speed."""
        anchor = self._pools[str(rng.choice(("other", "vocals")))].draw(rng)
        stretch = 1.0 + self.augmentation.speed * rng.uniform(-1.0, 1.0)
        n_read = int(self.n_samples * stretch)
        start = int(rng.integers(0, max(1, anchor.n_samples - n_read)))
        stems = self._songs[str(anchor.path.parent)].values()
        return {s.source: self._changed(rng, resampled(s.window(start, n_read), self.n_samples), s) for s in stems}

    def _changed(self, rng: np.random.Generator, window: Waveform, stem: StemFile) -> Waveform:
        change = self.augmentation
        if rng.random() < change.swap:
            window = window[::-1]
        if rng.random() < change.mono:
            window = panned(window, rng.normal(0.0, 0.3))
        if rng.random() < change.saturate:
            window = saturated(window, rng.uniform(0.2, 1.0))
        gain = 10.0 ** (rng.normal(0.0, change.level_db) / 20.0) * REFERENCE_RMS / stem.active_rms
        return window * np.float32(gain * rng.choice((-1.0, 1.0)))


class _Pool:
    """The stems of one source, drawn by collection weight, then by length."""

    def __init__(self, collections: Sequence[tuple[float, Sequence[StemFile]]], source: str) -> None:
        self._stems: list[StemFile] = []
        chances: list[float] = []
        for weight, stems in collections:
            found = [s for s in stems if s.source == source]
            total = sum(s.n_samples for s in found)
            self._stems += found
            chances += [weight * s.n_samples / total for s in found]
        if not self._stems:
            raise ValueError(f"the corpus has no stem of {source}")
        self._edges = np.cumsum(chances) / np.sum(chances)

    def draw(self, rng: np.random.Generator) -> StemFile:
        index = int(np.searchsorted(self._edges, rng.random(), side="right"))
        return self._stems[min(index, len(self._stems) - 1)]


def equaliser(rng: np.random.Generator, n_curves: int, n_bins: int, n_fft: int, level_db: float) -> Waveform:
    """Random smooth gains ``float32 (n_curves, n_bins)``: independent points an octave apart, interpolated."""
    points_hz = 31.25 * 2.0 ** np.arange(10)
    bins_hz = np.maximum(np.arange(n_bins) * SAMPLE_RATE / n_fft, points_hz[0])
    octave = np.log2(bins_hz / points_hz[0])
    points_db = rng.normal(0.0, level_db, (n_curves, len(points_hz)))
    curves_db = np.stack([np.interp(octave, np.arange(len(points_hz)), row) for row in points_db])
    return np.asarray(10.0 ** (curves_db / 20.0), dtype=np.float32)


def resampled(window: Waveform, n_samples: int) -> Waveform:
    """``window`` (2, any) stretched to ``n_samples`` by linear interpolation."""
    positions = np.linspace(0.0, window.shape[1] - 1.0, n_samples, dtype=np.float64)
    left = np.minimum(positions.astype(np.int32), window.shape[1] - 2)
    fraction = (positions - left).astype(np.float32)
    stretched = np.empty((len(window), n_samples), dtype=np.float32)
    for row, channel in zip(stretched, window, strict=True):
        before = np.take(channel, left)
        row[:] = before + (np.take(channel, left + 1) - before) * fraction
    return stretched


def saturated(window: Waveform, drive: float) -> Waveform:
    """Soft clipping that keeps the root mean square."""
    rms = float(np.sqrt(np.mean(window * window)))
    if rms == 0.0:
        return window
    bent = np.tanh(window * np.float32(drive / rms))
    return np.asarray(bent * (rms / np.sqrt(np.mean(bent * bent))), dtype=np.float32)


def panned(window: Waveform, position: float) -> Waveform:
    """The mono sum of ``(2, samples)`` at ``position``, from -1 (left) over 0 (centre) to 1 (right)."""
    angle = (position + 1.0) * np.pi / 4.0
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * np.float32(np.sqrt(2.0))
    return np.asarray(window.mean(axis=0, keepdims=True) * gains, dtype=np.float32)
