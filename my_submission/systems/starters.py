"""The starters: systems whose weights are in the repository; some are fallbacks if other systems are too slow."""

from __future__ import annotations

from collections.abc import Mapping

from my_submission.geometry import SAMPLE_RATE, FadeChunking, StftGeometry
from my_submission.mechanisms import ConditionedRecipe, JointRecipe, RatioMaskRecipe, SpectralRecipe, WienerRecipe
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SystemRecipe


def networks_of(folder: str, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, str]:
    """Return source to artefact name, for a folder with one network per source."""
    return {source: f"{folder}/{source}" for source in sources}


def all_of(share: float, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, float]:
    """Return the same share for every source."""
    return dict.fromkeys(sources, share)


def _wiener(shares: Mapping[str, float], minus: tuple[str, ...] = (), *, adds_up: bool = False) -> WienerRecipe:
    windows = FadeChunking(10 * SAMPLE_RATE, SAMPLE_RATE)
    return WienerRecipe(shares, StftGeometry(8192, 4096, 4097), windows, minus, adds_up)


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

PLUS_OVERLAP = 0.25
"""Share of a chunk that the next one estimates again: the network is worse near the ends of its window."""

PLUS_WIENER = _wiener({"bass": 0.5, "drums": 0.3, "other": 0.6}, minus=("vocals",), adds_up=True)
"""Shares within 0.02 dB of the best, on the dev songs: Sodium, Rubidium and four rendered bands."""

_ACCOMPANIMENT_BRANCH = BranchRecipe(
    "accompaniment",
    JointRecipe("starter-plus/accompaniment", ACCOMPANIMENT, PLUS_OVERLAP),
    all_of(1.0, ACCOMPANIMENT),
    minus=("vocals",),
)

STARTER_OWN = SystemRecipe(
    name="starter-own",
    title="vocals by our network, then our network for bass, drums and other of the rest; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=4.79,
    branches=(
        BranchRecipe("vocals", SpectralRecipe({"vocals": "starter/vocals"}), {"vocals": 1.0}),
        _ACCOMPANIMENT_BRANCH,
    ),
    wiener=PLUS_WIENER,
    uses_external_data=True,
)

STARTER_PLUS = SystemRecipe(
    name="starter-plus",
    title="vocals by Spleeter, then our network for bass, drums and other of the rest; runs with no download",
    sources=MUSIC_SOURCES,
    own_sdr=6.14,
    branches=(
        BranchRecipe(
            "vocals",
            RatioMaskRecipe("vocals", "spleeter-2stems/vocals", "spleeter-2stems/accompaniment"),
            {"vocals": 1.0},
        ),
        _ACCOMPANIMENT_BRANCH,
    ),
    wiener=PLUS_WIENER,
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

STARTERS = (STARTER_PLUS, STARTER_OWN, STARTER, STARTER_CONDITIONED, STARTER_BLEND, STARTER_CINEMA)
