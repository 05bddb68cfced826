"""Fits a blend of several systems on songs whose true stems are known.

The stems of every system are read block by block, so memory does not grow with the length of the songs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from my_submission.blending.fit import Gain, Products, Shares, audible, best_shares, held_out, held_out_gain, sweep
from my_submission.blending.mixer_fit import Matrix, MixerProducts, best_mixer
from my_submission.dsp.stft import istft, stft
from my_submission.dsp.wiener import filtered_together
from my_submission.geometry import StftGeometry

FILTER_STFT = StftGeometry(8192, 4096, 4097)
"""Transform of the Wiener filter, as in the starters."""

FILTER_BLOCK_SAMPLES = 108 * FILTER_STFT.hop
"""Samples of a block (10 s); each has spatial covariances of its own, as the starters' windows."""


class Block(NamedTuple):
    """Consecutive samples of a song.

    Attributes:
        references: true stems, float32 (sources, 2, n).
        mixture: the song, float32 (2, n); it may contain more than the stems.
        estimates: for every system source to its estimate, float32 (2, n).
    """

    references: npt.NDArray[np.float32]
    mixture: npt.NDArray[np.float32]
    estimates: list[dict[str, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class SourceFit:
    """The best blend of one source.

    Attributes:
        systems: names of those that estimate it.
        shares: shares of each in the blend.
        alone: mean SDR of each alone, in dB.
        blended: mean SDR of the blend on the songs it was fitted on, in dB.
        gain: gain over the best system alone, on held-out songs.
        n_songs: number of songs in which the source is not silent; only these are used for the fit.
        sweep: share of the first of two systems and mean SDR; empty for any other number of systems.
    """

    systems: tuple[str, ...]
    shares: tuple[float, ...]
    alone: tuple[float, ...]
    blended: float
    gain: Gain
    n_songs: int
    sweep: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class AfterwardsFit:
    """The filter and the Mixer that may follow a blend.

    Attributes:
        filter_shares: source to the share of the Wiener filter over the blend.
        filter_gain: gain of the filter over the blend alone in mean SDR, on held-out songs.
        mixer: the Mixer over the blend, or over the filtered blend if the filter is used, (2 · sources,
            2 · sources + 2).
        mixer_gain: its gain over that blend, likewise.
    """

    filter_shares: Mapping[str, float]
    filter_gain: Gain
    mixer: Matrix
    mixer_gain: Gain

    @property
    def uses_filter(self) -> bool:
        """Whether the filter gains on held-out songs; with one source there is nothing to filter."""
        return self.filter_gain.is_positive and len(self.filter_shares) > 1

    @property
    def uses_mixer(self) -> bool:
        """Whether the Mixer gains on held-out songs."""
        return self.mixer_gain.is_positive


@dataclass(frozen=True)
class BlendFit:
    """The best blend of some systems.

    Attributes:
        sources: source to its fit.
        afterwards: the filter and the Mixer over the blend.
        n_songs: number of songs.
    """

    sources: Mapping[str, SourceFit]
    afterwards: AfterwardsFit
    n_songs: int


def products_of(blocks: Iterable[Block], sources: Sequence[str]) -> dict[str, Products]:
    """Return source to the inner products of a song.

    Args:
        blocks: blocks of the song, in order.
        sources: sources of the true stems.
    """
    found: dict[str, Products] = {}
    for block in blocks:
        for reference, source in zip(block.references, sources, strict=True):
            rows = [stems[source] for stems in block.estimates if source in stems]
            if rows:
                found.setdefault(source, Products(len(rows))).add(reference, np.stack(rows))
    return found


def fit_shares(songs: Sequence[Mapping[str, Products]], systems: Mapping[str, Sequence[str]]) -> dict[str, SourceFit]:
    """Return the best blend of every source."""
    fits = {}
    for source in songs[0]:
        products = audible([song[source] for song in songs])
        names = tuple(name for name, sources in systems.items() if source in sources)
        shares = best_shares(products)
        fits[source] = SourceFit(
            names,
            tuple(float(share) for share in shares),
            tuple(_mean_sdr(products, alone) for alone in np.eye(len(names))),
            _mean_sdr(products, shares),
            held_out_gain(products),
            len(products),
            tuple(sweep(products, 0, 1)) if len(names) == 2 else (),
        )
    return fits


def blended(
    estimates: Sequence[Mapping[str, npt.NDArray[np.float32]]], fits: Mapping[str, SourceFit]
) -> npt.NDArray[np.float32]:
    """Return the blend of a block by fitted shares, (sources, 2, n)."""
    rows = []
    for source, fit in fits.items():
        having = [stems[source] for stems in estimates if source in stems]
        rows.append(sum(share * stem for share, stem in zip(fit.shares, having, strict=True)))
    return np.stack(rows).astype(np.float32)


def fit_afterwards(
    songs: Iterable[Iterable[Block]], fits: Mapping[str, SourceFit], sources: Sequence[str]
) -> AfterwardsFit:
    """Return the filter and the Mixer over the blends of some songs.

    Args:
        songs: blocks of each song, in order.
        fits: the blend.
        sources: sources of the true stems.
    """
    filtered_songs: list[dict[str, Products]] = []
    mixer_songs: list[MixerProducts] = []
    order = [sources.index(source) for source in fits]
    for song in songs:
        filtered, mixer = {source: Products(2) for source in fits}, MixerProducts(len(fits), 2 * len(fits))
        for block in song:
            true, blend = block.references[order], blended(block.estimates, fits)
            made = _filtered(blend, block.mixture)
            mixer.add(true, np.concatenate([blend, made]), block.mixture)
            for number, source in enumerate(fits):
                filtered[source].add(true[number], np.stack([blend[number], made[number]]))
        filtered_songs.append(filtered)
        mixer_songs.append(mixer)
    return _afterwards(filtered_songs, mixer_songs)


def _afterwards(filtered: Sequence[Mapping[str, Products]], mixed: Sequence[MixerProducts]) -> AfterwardsFit:
    """Return the filter, and the Mixer over the blend with or without it, whichever gains on songs left out."""

    def filter_gain(song: Mapping[str, Products], others: Sequence[Mapping[str, Products]]) -> float:
        shares = filter_shares(others)
        gains = [each.sdr([1 - shares[name], shares[name]]) - each.sdr([1, 0]) for name, each in _audible(song)]
        return float(np.mean(gains)) if gains else 0.0

    both = list(zip(filtered, mixed, strict=True))
    without = AfterwardsFit(filter_shares(filtered), held_out(filtered, filter_gain), np.zeros(0), Gain.of([]))

    def inputs(songs: Sequence[tuple[Mapping[str, Products], MixerProducts]]) -> Callable[..., MixerProducts]:
        """Return a function that gives a song's products after the filter that was fitted on some songs."""
        shares = filter_shares([song for song, _ in songs])
        used = [share if without.uses_filter else 0.0 for share in shares.values()]
        return lambda products: products.combined(_after_filter(used))

    def mixer_gain(
        song: tuple[Mapping[str, Products], MixerProducts],
        others: Sequence[tuple[Mapping[str, Products], MixerProducts]],
    ) -> float:
        after = inputs(others)
        return after(song[1]).gain_of(best_mixer([after(other) for _, other in others]))

    after = inputs(both)
    return replace(without, mixer=best_mixer([after(each) for each in mixed]), mixer_gain=held_out(both, mixer_gain))


def filter_shares(songs: Sequence[Mapping[str, Products]]) -> dict[str, float]:
    """Return source to the best share of the second of two estimates: the filtered one."""
    return {source: float(best_shares(audible([song[source] for song in songs]))[1]) for source in songs[0]}


def _audible(song: Mapping[str, Products]) -> list[tuple[str, Products]]:
    return [(name, products) for name, products in song.items() if not products.is_silent]


def _after_filter(shares: Sequence[float]) -> Matrix:
    """Return the blend with the filter as combinations of the columns of :class:`MixerProducts`, row by row.

    The columns are those of the blend, of the filtered blend, and of the mixture.
    """
    channels = np.diag(np.repeat(np.asarray(shares, np.float64), 2))
    unfiltered = np.eye(len(channels)) - channels
    top = np.hstack([unfiltered, channels, np.zeros((len(channels), 2))])
    return np.vstack([top, np.eye(2, top.shape[1], top.shape[1] - 2)])


def _filtered(estimates: npt.NDArray[np.float32], mixture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the estimates (sources, 2, n) after a Wiener filter over them."""
    samples = mixture.shape[-1]
    if samples <= FILTER_STFT.n_fft:
        return estimates
    padding = [(0, 0), (0, -samples % FILTER_STFT.hop)]
    spectra = filtered_together(
        stft(np.pad(estimates, [(0, 0), *padding]), FILTER_STFT), stft(np.pad(mixture, padding), FILTER_STFT)
    )
    return istft(spectra, FILTER_STFT)[..., :samples]


def _mean_sdr(songs: Sequence[Products], shares: Shares) -> float:
    return float(np.mean([song.sdr(shares) for song in songs]))
