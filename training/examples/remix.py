"""Training examples: one augmented window per source from random songs; their sum is the mixture.

An example depends only on the seed and its number, so that resumed and distributed runs see the same examples as an
uninterrupted run on one process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, from_numpy
from torch.utils.data import Dataset

from my_submission.errors import InputError
from my_submission.stems import MUSIC_SOURCES, Waveform
from training.augment.effects import EffectChain, fitted
from training.data.songs import SongCollection, TrainingSong
from training.data.stems import StemFile, level
from training.tables.augment import AugmentSettings

REFERENCE_RMS = 0.08
"""Level of the active parts of a stem before the random level is applied."""

Rng = np.random.Generator

CHOICES, TIMING, CHANGES, MIXTURE, FINAL = range(5)
"""Random number streams of an example: songs and positions; effects on time and pitch; other effects on windows;
effects on the mixture; effects on stems after those."""


class RemixDataset(Dataset[Tensor]):
    """Dataset of examples ``float32 (sources, 2, n_samples)`` by number.

    Args:
        collections: songs to draw from.
        augment: augmentation settings.
        sources: rows of an example, in order.
        n_samples: length of a window.
        n_examples: number of examples.
        seed: seed of all random numbers.
        draw: ``song`` draws songs uniformly, ``length`` in proportion to their length.
        cache: folder of cached levels.

    Raises:
        InputError: no song has a stem of a source.
    """

    def __init__(
        self,
        collections: Sequence[SongCollection],
        augment: AugmentSettings,
        *,
        sources: Sequence[str] = MUSIC_SOURCES,
        n_samples: int,
        n_examples: int,
        seed: int,
        draw: str,
        cache: Path,
    ) -> None:
        self.augment = augment
        self.sources = tuple(sources)
        self.n_samples = n_samples
        self.n_examples = n_examples
        self.seed = seed
        self.chain = EffectChain(augment.effects, augment.probability_scale)
        self._final_chain = EffectChain(augment.final_effects, augment.probability_scale)
        groups = [[collection] for collection in collections] if augment.one_collection else [collections]
        self._pools = [
            {source: _Pool(group, (source,), by_length=draw == "length") for source in self.sources} for group in groups
        ]
        self._group_edges = _edges([_chance(group, by_length=draw == "length") for group in groups])
        self._whole = self._whole_songs(collections, by_length=draw == "length")
        self._gains: Mapping[Path, float] = {}
        if augment.level_db is not None:
            stems = {stem.path: stem for pools in self._pools for pool in pools.values() for stem in pool.stems}
            self._gains = {path: _normalising_gain(level(stem, cache)) for path, stem in stems.items()}

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, index: int) -> Tensor:
        return from_numpy(self.example(index))

    def stems_of(self, number: int) -> list[StemFile]:
        """Return the stems used in an example."""
        stems: list[StemFile] = []
        self.example(number, stems)
        return stems

    def example(self, number: int, used: list[StemFile] | None = None) -> Waveform:
        """Return one example, ``float32 (sources, 2, n_samples)``; sources may be silent.

        Args:
            number: number of the example.
            used: list to which the stems of the example are appended.
        """
        used = [] if used is None else used
        rng = self._stream(number, CHOICES)
        pools = self._pools[0 if len(self._pools) == 1 else _index(self._group_edges, rng)]
        shared = self._coherent_song(pools, rng) if rng.random() < self.augment.coherent else None
        start = rng.random()
        example = np.zeros((len(self.sources), 2, self.n_samples), dtype=np.float32)
        for row, source in enumerate(self.sources):
            if rng.random() < self.augment.absent.get(source, 0.0):
                continue
            if shared is not None:
                example[row] = self._coherent_window(number, row, shared, source, start, used)
            else:
                example[row] = self._drawn_window(pools[source], rng, (number, row), used)
            if rng.random() < self.augment.doubled.get(source, 0.0):
                example[row] += self._drawn_window(pools[source], rng, (number, row + len(self.sources)), used)
        mixture_rng = self._stream(number, MIXTURE)
        for effect in self.augment.mixture_effects:
            if mixture_rng.random() < effect.probability:
                example = effect.apply(example, mixture_rng)
        return self._finished(example, number) if self._final_chain.effects else example

    def _finished(self, example: Waveform, number: int) -> Waveform:
        """Apply the final effects to every stem."""
        for row, source in enumerate(self.sources):
            rng = self._stream(number, row, FINAL)
            example[row] = fitted(self._final_chain(example[row], source=source, timing=rng, rng=rng), self.n_samples)
        return example

    def _stream(self, *key: int) -> Rng:
        return np.random.default_rng([self.seed, *key])

    def _drawn_window(self, pool: _Pool, rng: Rng, key: tuple[int, int], used: list[StemFile]) -> Waveform:
        """Return an augmented window of a random song."""
        _, stem = pool.draw(rng)
        used.append(stem)
        window = stem.window(self._start(stem.n_samples, rng.random()), self._n_read)
        return self._augmented(window, stem, timing=self._stream(*key, TIMING), rng=self._stream(*key, CHANGES))

    def _whole_songs(self, collections: Sequence[SongCollection], *, by_length: bool) -> _Pool | None:
        """Return the songs with a balance of their own: at least two sources without a level offset."""
        if self.augment.coherent_level_db is None or self.augment.coherent == 0.0:
            return None
        mixed = [source for source in self.sources if source not in self.augment.level_offset_db]
        return _Pool(collections, mixed, min_sources=2, by_length=by_length)

    def _coherent_song(self, pools: Mapping[str, _Pool], rng: Rng) -> TrainingSong:
        """Draw the song of a coherent example.

        Without ``coherent_level_db``, songs with one of the last two sources are drawn, because bass and drums are
        missing most often.
        """
        if self._whole is not None:
            return self._whole.draw(rng)[0]
        first, second = self.sources[-2:]
        return pools[first if rng.random() < 0.5 else second].draw(rng)[0]

    def _coherent_window(
        self, number: int, row: int, song: TrainingSong, source: str, start: float, used: list[StemFile]
    ) -> Waveform:
        """Return a window of one source; all sources share the position and the effects on time and pitch."""
        if source not in song.stems:
            return np.zeros((2, self.n_samples), dtype=np.float32)
        used.append(song.stems[source])
        window = song.window(source, self._start(song.n_samples, start), self._n_read)
        timing, rng = self._stream(number, TIMING), self._stream(number, row, CHANGES)
        keeps_balance = self.augment.coherent_level_db is not None and source not in self.augment.level_offset_db
        return self._augmented(window, song.stems[source], timing=timing, rng=rng, keeps_balance=keeps_balance)

    def _augmented(
        self, window: Waveform, stem: StemFile, *, timing: Rng, rng: Rng, keeps_balance: bool = False
    ) -> Waveform:
        augmented = fitted(self.chain(window, source=stem.source, timing=timing, rng=rng), self.n_samples)
        if keeps_balance:
            return augmented * np.float32(10.0 ** (rng.normal(0.0, self.augment.coherent_level_db or 0.0) / 20.0))
        if self.augment.level_db is None:
            return augmented
        mean_db = self.augment.level_offset_db.get(stem.source, 0.0)
        gain = 10.0 ** (rng.normal(mean_db, self.augment.level_db) / 20.0) * self._gains[stem.path]
        return np.asarray(augmented * np.float32(gain), dtype=np.float32)

    @property
    def _n_read(self) -> int:
        return int(np.ceil(self.n_samples * self.chain.reach))

    def _start(self, n_available: int, position: float) -> int:
        return int(position * max(1, n_available - self._n_read + 1))


class _Pool:
    """Songs with at least ``min_sources`` of some sources, drawn by collection weight, then uniformly or by length."""

    def __init__(
        self, collections: Sequence[SongCollection], sources: Sequence[str], *, min_sources: int = 1, by_length: bool
    ) -> None:
        self._songs: list[TrainingSong] = []
        self.stems: list[StemFile] = []
        chances: list[float] = []
        for collection in collections:
            found = [(song, [song.stems[s] for s in sources if s in song.stems]) for song in collection.songs]
            songs = [(song, stems[0]) for song, stems in found if len(stems) >= min_sources]
            sizes = [float(stem.n_samples) if by_length else 1.0 for _, stem in songs]
            scale = 1.0 if collection.weight is None or not songs else collection.weight / sum(sizes)
            self._songs += [song for song, _ in songs]
            self.stems += [stem for _, stem in songs]
            chances += [scale * size for size in sizes]
        if not self._songs:
            wanted = f"a stem of {sources[0]}" if min_sources == 1 else f"{min_sources} of {', '.join(sources)}"
            raise InputError(f"no training song has {wanted}", hint="add a collection that has one")
        self._edges = _edges(chances)

    def draw(self, rng: Rng) -> tuple[TrainingSong, StemFile]:
        index = _index(self._edges, rng)
        return self._songs[index], self.stems[index]


def _edges(chances: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the cumulative shares of numbers that are proportional to probabilities."""
    edges: npt.NDArray[np.float64] = np.cumsum(chances) / np.sum(chances)
    return edges


def _index(edges: npt.NDArray[np.float64], rng: Rng) -> int:
    """Draw an index with the probabilities that ``edges`` are the cumulative shares of."""
    return min(int(np.searchsorted(edges, rng.random(), side="right")), len(edges) - 1)


def _chance(collections: Sequence[SongCollection], *, by_length: bool) -> float:
    """Return the total weight with which songs of some collections are drawn."""
    return sum(
        sum(float(song.n_samples) if by_length else 1.0 for song in collection.songs)
        if collection.weight is None
        else collection.weight
        for collection in collections
    )


def _normalising_gain(active_rms: float) -> float:
    return REFERENCE_RMS / active_rms if active_rms > 0.0 else 0.0
