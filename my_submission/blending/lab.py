"""Fits a blend of several systems on songs whose true stems are known.

The stems of every system are read block by block, so memory does not grow with the length of the songs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.blending.fit import (
    Gain,
    MixerProducts,
    Products,
    Shares,
    best_mixer,
    best_shares,
    held_out,
    held_out_gain,
    held_out_mixer_gain,
    sweep,
)
from my_submission.dsp.stft import istft, stft
from my_submission.dsp.wiener import filtered_together
from my_submission.geometry import StftGeometry

FILTER_STFT = StftGeometry(8192, 4096, 4097)
"""Transform of the Wiener filter, as in the starters."""

FILTER_BLOCK_SAMPLES = 108 * FILTER_STFT.hop
"""Samples of a block (10 s); each has spatial covariances of its own, as the starters' windows."""

Block = tuple[npt.NDArray[np.float32], list[dict[str, npt.NDArray[np.float32]]]]
"""True stems (sources, 2, n), and for every system source to its estimate (2, n)."""


@dataclass(frozen=True)
class SourceFit:
    """The best blend of one source.

    Attributes:
        systems: names of those that estimate it.
        shares: of each in the blend.
        alone: mean SDR of each alone, in dB.
        blended: mean SDR of the blend on the songs it was fitted on, in dB.
        gain: gain over the best system alone, on songs that were not fitted on.
        sweep: share of the first of two systems and mean SDR; empty for any other number of systems.
    """

    systems: tuple[str, ...]
    shares: tuple[float, ...]
    alone: tuple[float, ...]
    blended: float
    gain: Gain
    sweep: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class BlendFit:
    """The best blend of some systems.

    Attributes:
        sources: source to its fit.
        filter_shares: source to the share of the Wiener filter over the blend.
        filter_gain: gain of the filter over the blend alone in mean SDR, on songs that were not fitted on.
        mixer_gain: gain of a Mixer over the blend alone, likewise.
        mixer: the Mixer, (2 · sources, 2 · sources + 2).
        n_songs: number of songs.
    """

    sources: Mapping[str, SourceFit]
    filter_shares: Mapping[str, float]
    filter_gain: Gain
    mixer_gain: Gain
    mixer: npt.NDArray[np.float64]
    n_songs: int


def products_of(blocks: Iterable[Block], sources: Sequence[str]) -> dict[str, Products]:
    """Return source to the inner products of a song.

    Args:
        blocks: of the song, in order.
        sources: of the true stems.
    """
    found: dict[str, Products] = {}
    for references, estimates in blocks:
        for reference, source in zip(references, sources, strict=True):
            rows = [stems[source] for stems in estimates if source in stems]
            if rows:
                found.setdefault(source, Products(len(rows))).add(reference, np.stack(rows))
    return found


def fit_shares(songs: Sequence[Mapping[str, Products]], systems: Mapping[str, Sequence[str]]) -> dict[str, SourceFit]:
    """Return the best blend of every source."""
    fits = {}
    for source in songs[0]:
        products = [song[source] for song in songs]
        names = tuple(name for name, sources in systems.items() if source in sources)
        shares = best_shares(products)
        fits[source] = SourceFit(
            names,
            tuple(float(share) for share in shares),
            tuple(_mean_sdr(products, alone) for alone in np.eye(len(names))),
            _mean_sdr(products, shares),
            held_out_gain(products),
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
    songs: Iterable[Iterator[Block]], fits: Mapping[str, SourceFit], sources: Sequence[str]
) -> tuple[dict[str, float], Gain, Gain, npt.NDArray[np.float64]]:
    """Return the filter's shares, its gain, the Mixer's gain, and the Mixer, over the blends of some songs."""
    filtered_songs: list[dict[str, Products]] = []
    mixer_songs: list[MixerProducts] = []
    order = [sources.index(source) for source in fits]
    for song in songs:
        filtered = {source: Products(2) for source in fits}
        mixer = MixerProducts(len(fits))
        for references, estimates in song:
            true = references[order]
            blend = blended(estimates, fits)
            mixture = references.sum(axis=0)
            made = _filtered(blend, mixture)
            mixer.add(true, blend, mixture)
            for number, source in enumerate(fits):
                filtered[source].add(true[number], np.stack([blend[number], made[number]]))
        filtered_songs.append(filtered)
        mixer_songs.append(mixer)
    shares = {source: float(best_shares([song[source] for song in filtered_songs])[1]) for source in fits}
    return shares, _filter_gain(filtered_songs), held_out_mixer_gain(mixer_songs), best_mixer(mixer_songs)


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


def _filter_gain(songs: Sequence[Mapping[str, Products]]) -> Gain:
    def gain_of(song: Mapping[str, Products], others: Sequence[Mapping[str, Products]]) -> float:
        fitted = {source: best_shares([other[source] for other in others]) for source in song}
        return float(np.mean([each.sdr(fitted[source]) - each.sdr([1.0, 0.0]) for source, each in song.items()]))

    return held_out(songs, gain_of)


def _mean_sdr(songs: Sequence[Products], shares: Shares) -> float:
    return float(np.mean([song.sdr(shares) for song in songs]))
