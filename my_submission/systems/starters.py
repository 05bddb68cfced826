"""The starters: systems whose weights are in the repository; some are fallbacks where others are too slow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from my_submission.geometry import SAMPLE_RATE, FadeChunking, StftGeometry
from my_submission.mechanisms import ConditionedRecipe, RatioMaskRecipe, SpectralRecipe, WienerRecipe
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SystemRecipe


def networks_of(folder: str, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, str]:
    """Return source to artefact name, for a folder with one network per source."""
    return {source: f"{folder}/{source}" for source in sources}


def all_of(share: float, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, float]:
    """Return the same share for every source."""
    return dict.fromkeys(sources, share)


def _wiener(shares: Mapping[str, float], minus: tuple[str, ...] = ()) -> WienerRecipe:
    return WienerRecipe(shares, StftGeometry(8192, 4096, 4097), FadeChunking(10 * SAMPLE_RATE, SAMPLE_RATE), minus)


WIENER = _wiener({"bass": 0.6, "drums": 0.9, "other": 0.4, "vocals": 0.6})
"""Best shares, to a tenth, on two excerpts of 20 s of each of the six songs that the starter was trained on."""

STARTER = SystemRecipe(
    name="starter",
    title="four small TFC-TDF networks of our own; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=4.64,
    branches=(BranchRecipe("networks", SpectralRecipe(networks_of("starter"), mixer="starter/mixer"), all_of(1.0)),),
    wiener=WIENER,
    uses_external_data=True,
)

CONDITIONED_TRIM = 2048
"""Trim in samples: half of n_fft, as for the starter's other networks."""

_CONDITIONED = ConditionedRecipe("starter-conditioned/network", MUSIC_SOURCES, CONDITIONED_TRIM, overlap_ratio=0.25)

STARTER_CONDITIONED = SystemRecipe(
    name="starter-conditioned",
    title="one small network of our own, conditioned on the source; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=4.24,
    branches=(BranchRecipe("network", _CONDITIONED, all_of(1.0)),),
    wiener=WIENER,
    uses_external_data=True,
)

CONDITIONED_SHARES = all_of(0.5)
"""Shares of the conditioned network in the blend: halves. Both were trained on the songs, so no fit."""

STARTER_BLEND = SystemRecipe(
    name="starter-blend",
    title="starter and starter-conditioned together; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=4.74,
    branches=(
        BranchRecipe(
            "networks",
            SpectralRecipe(networks_of("starter"), mixer="starter/mixer"),
            {source: 1.0 - share for source, share in CONDITIONED_SHARES.items()},
        ),
        BranchRecipe("conditioned", _CONDITIONED, CONDITIONED_SHARES),
    ),
    wiener=WIENER,
    uses_external_data=True,
)

ACCOMPANIMENT = ("bass", "drums", "other")

PLUS_SHARES = all_of(0.5, ACCOMPANIMENT)
"""Shares of each of the two branches after the vocals: halves, as in ``starter-blend``. No multiple of a quarter is
better by more than 0.06 dB on the dev songs that neither branch was trained on."""

PLUS_CONDITIONED = replace(_CONDITIONED, sources=ACCOMPANIMENT, overlap_ratio=0.0)
"""Without overlaps, which gain at most 0.03 dB on the dev songs and take a third more time."""

PLUS_WIENER = _wiener({"bass": 0.4, "drums": 0.8, "other": 1.0}, minus=("vocals",))
"""Best shares, to a tenth, on the dev songs that no network was trained on: Sodium and four rendered bands."""

STARTER_PLUS = SystemRecipe(
    name="starter-plus",
    title="vocals by Spleeter, then our bass, drums and other from what is left; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=5.44,
    branches=(
        BranchRecipe(
            "vocals",
            RatioMaskRecipe("vocals", "spleeter-2stems/vocals", "spleeter-2stems/accompaniment"),
            {"vocals": 1.0},
        ),
        BranchRecipe("networks", SpectralRecipe(networks_of("starter", ACCOMPANIMENT)), PLUS_SHARES, minus=("vocals",)),
        BranchRecipe("conditioned", PLUS_CONDITIONED, PLUS_SHARES, minus=("vocals",)),
    ),
    wiener=PLUS_WIENER,
    fallback=STARTER,
    uses_external_data=True,
)

STARTER_CINEMA = SystemRecipe(
    name="starter-cinema",
    title="three small TFC-TDF networks of our own for film sound; runs with no download",
    sources=CINEMA_SOURCES,
    branches=(
        BranchRecipe(
            "networks", SpectralRecipe(networks_of("starter-cinema", CINEMA_SOURCES)), all_of(1.0, CINEMA_SOURCES)
        ),
    ),
    wiener=_wiener(all_of(0.6, CINEMA_SOURCES)),
    uses_external_data=True,
)

STARTERS = (STARTER_PLUS, STARTER, STARTER_CONDITIONED, STARTER_BLEND, STARTER_CINEMA)
