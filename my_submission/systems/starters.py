"""The starters: small networks of our own, which run with no download and stand in where others are too slow."""

from __future__ import annotations

from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SpectralRecipe, SystemRecipe


def networks_of(folder: str, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, str]:
    """Source to artefact name, for one network a source in a folder of them."""
    return {source: f"{folder}/{source}" for source in sources}


def all_of(share: float, sources: tuple[str, ...] = MUSIC_SOURCES) -> dict[str, float]:
    """The same share of every source."""
    return dict.fromkeys(sources, share)


STARTER = SystemRecipe(
    name="starter",
    title="four small TFC-TDF networks of our own; runs with no download",
    sources=MUSIC_SOURCES,
    branches=(BranchRecipe("networks", SpectralRecipe(networks_of("starter"), mixer="starter/mixer"), all_of(1.0)),),
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
)
