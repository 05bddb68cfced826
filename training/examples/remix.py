"""Examples: one window a source from random songs, changed at random; the mixture is their sum.

An example is a function of the seed and its number alone: a resumed run sees what an unbroken one would have seen,
and the processes of a distributed run share one stream.
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
from training.experiment import AugmentSettings

REFERENCE_RMS = 0.08
"""Level that a stem's active parts are brought to before a random level is applied."""

Draw = np.random.Generator

CHOICES, TIMING, CHANGES, MIXTURE = range(4)
"""Streams of random numbers in one example: songs and places; changes of pitch and tempo; everything else of a window;
changes of the mixture."""


class RemixDataset(Dataset[Tensor]):
    """Example number n, as ``float32 (sources, 2, n_samples)``.

    Args:
        collections: songs to draw from.
        augment: how windows are put together and changed.
        sources: rows of an example, in order.
        n_samples: length of a window.
        n_examples: how many there are; the numbers a sampler asks for.
        seed: of everything drawn.
        draw: whether a song is drawn as likely as any other, or in proportion to its length.
        cache: folder of measured levels.

    Raises:
        InputError: a source has no stem at all.
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
        self._pools = {source: _Pool(collections, (source,), by_length=draw == "length") for source in self.sources}
        self._whole = self._whole_songs(collections, by_length=draw == "length")
        self._gains: Mapping[Path, float] = {}
        if augment.level_db is not None:
            stems = {stem.path: stem for pool in self._pools.values() for stem in pool.stems}
            self._gains = {path: _levelling_gain(level(stem, cache)) for path, stem in stems.items()}

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, index: int) -> Tensor:
        return from_numpy(self.example(index))

    def heard(self, number: int) -> list[StemFile]:
        """The stems that an example is made of."""
        stems: list[StemFile] = []
        self.example(number, stems)
        return stems

    def example(self, number: int, heard: list[StemFile] | None = None) -> Waveform:
        """One example, ``float32 (sources, 2, n_samples)``; a source may be silent.

        Args:
            number: of the example.
            heard: takes the stems that it is made of.
        """
        heard = [] if heard is None else heard
        rng = self._stream(number, CHOICES)
        shared = self._coherent_song(rng) if rng.random() < self.augment.coherent else None
        start = rng.random()
        example = np.zeros((len(self.sources), 2, self.n_samples), dtype=np.float32)
        for row, source in enumerate(self.sources):
            if rng.random() < self.augment.absent.get(source, 0.0):
                continue
            if shared is not None:
                example[row] = self._coherent_window(number, row, shared, source, start, heard)
            else:
                example[row] = self._drawn(rng, source, (number, row), heard)
            if rng.random() < self.augment.doubled.get(source, 0.0):
                example[row] += self._drawn(rng, source, (number, row + len(self.sources)), heard)
        mixture_rng = self._stream(number, MIXTURE)
        for effect in self.augment.mixture_effects:
            if mixture_rng.random() < effect.probability:
                example = effect.apply(example, mixture_rng)
        return example

    def _stream(self, *key: int) -> Draw:
        return np.random.default_rng([self.seed, *key])

    def _drawn(self, rng: Draw, source: str, key: tuple[int, int], heard: list[StemFile]) -> Waveform:
        """A window of a random song."""
        _, stem = self._pools[source].draw(rng)
        heard.append(stem)
        window = stem.window(self._start(stem.n_samples, rng.random()), self._n_read)
        return self._changed(window, stem, timing=self._stream(*key, TIMING), rng=self._stream(*key, CHANGES))

    def _whole_songs(self, collections: Sequence[SongCollection], *, by_length: bool) -> _Pool | None:
        """Songs with a balance of their own: those that have two sources or more whose level is not set apart."""
        if self.augment.coherent_level_db is None or self.augment.coherent == 0.0:
            return None
        mixed = [source for source in self.sources if source not in self.augment.level_offset_db]
        return _Pool(collections, mixed, least=2, by_length=by_length)

    def _coherent_song(self, rng: Draw) -> TrainingSong:
        """A song with a balance, where that is kept; else one that has one of the two last sources.

        Bass and drums are what songs lack most often.
        """
        if self._whole is not None:
            return self._whole.draw(rng)[0]
        first, second = self.sources[-2:]
        return self._pools[first if rng.random() < 0.5 else second].draw(rng)[0]

    def _coherent_window(
        self, number: int, row: int, song: TrainingSong, source: str, start: float, heard: list[StemFile]
    ) -> Waveform:
        """A window of one song's source; all sources share the place and the change of pitch and tempo."""
        if source not in song.stems:
            return np.zeros((2, self.n_samples), dtype=np.float32)
        heard.append(song.stems[source])
        window = song.window(source, self._start(song.n_samples, start), self._n_read)
        timing, rng = self._stream(number, TIMING), self._stream(number, row, CHANGES)
        is_as_mixed = self.augment.coherent_level_db is not None and source not in self.augment.level_offset_db
        return self._changed(window, song.stems[source], timing=timing, rng=rng, is_as_mixed=is_as_mixed)

    def _changed(
        self, window: Waveform, stem: StemFile, *, timing: Draw, rng: Draw, is_as_mixed: bool = False
    ) -> Waveform:
        changed = fitted(self.chain(window, source=stem.source, timing=timing, rng=rng), self.n_samples)
        if is_as_mixed:
            return changed * np.float32(10.0 ** (rng.normal(0.0, self.augment.coherent_level_db or 0.0) / 20.0))
        if self.augment.level_db is None:
            return changed
        mean_db = self.augment.level_offset_db.get(stem.source, 0.0)
        gain = 10.0 ** (rng.normal(mean_db, self.augment.level_db) / 20.0) * self._gains[stem.path]
        return np.asarray(changed * np.float32(gain), dtype=np.float32)

    @property
    def _n_read(self) -> int:
        return int(np.ceil(self.n_samples * self.chain.reach))

    def _start(self, n_available: int, position: float) -> int:
        return int(position * max(1, n_available - self._n_read + 1))


class _Pool:
    """Songs with a source, or with some of several, drawn by collection weight, then equally or by length."""

    def __init__(
        self, collections: Sequence[SongCollection], sources: Sequence[str], *, least: int = 1, by_length: bool
    ) -> None:
        self._songs: list[TrainingSong] = []
        self.stems: list[StemFile] = []
        chances: list[float] = []
        for collection in collections:
            found = [(song, [song.stems[s] for s in sources if s in song.stems]) for song in collection.songs]
            songs = [(song, stems[0]) for song, stems in found if len(stems) >= least]
            sizes = [float(stem.n_samples) if by_length else 1.0 for _, stem in songs]
            scale = 1.0 if collection.weight is None or not songs else collection.weight / sum(sizes)
            self._songs += [song for song, _ in songs]
            self.stems += [stem for _, stem in songs]
            chances += [scale * size for size in sizes]
        if not self._songs:
            wanted = f"a stem of {sources[0]}" if least == 1 else f"{least} of {', '.join(sources)}"
            raise InputError(f"no song for training has {wanted}", hint="add a collection that has one")
        self._edges: npt.NDArray[np.float64] = np.cumsum(chances) / np.sum(chances)

    def draw(self, rng: Draw) -> tuple[TrainingSong, StemFile]:
        index = min(int(np.searchsorted(self._edges, rng.random(), side="right")), len(self._songs) - 1)
        return self._songs[index], self.stems[index]


def _levelling_gain(active_rms: float) -> float:
    return REFERENCE_RMS / active_rms if active_rms > 0.0 else 0.0
