"""The LaSAFT family as systems: one network each, asked for four sources."""

from __future__ import annotations

from dataclasses import replace

from my_submission.mechanisms import ConditionedRecipe
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SystemRecipe

LIGHTSAFT_TRIM = 8192
"""Trim in samples of the LightSAFT submission, which lays its chunks end to end."""

LASAFT_TRIM = 5120
"""Trim in samples of the authors' programs: 5000 rounded up to whole hops."""

LASAFT_OVERLAP = 0.5
"""Overlap ratio of the authors' programs. Without it inference takes half the time and loses 0.1 dB, they say."""

LICENCE = "MIT"


def _overlapped(network: str) -> ConditionedRecipe:
    return ConditionedRecipe(network, MUSIC_SOURCES, LASAFT_TRIM, LASAFT_OVERLAP)


def _alone(recipe: ConditionedRecipe) -> tuple[BranchRecipe, ...]:
    return (BranchRecipe("network", recipe, dict.fromkeys(recipe.sources, 1.0)),)


LIGHTSAFT = SystemRecipe(
    name="lightsaft",
    title="LightSAFT with GPoCM, the light conditioned network submitted to leaderboard A",
    sources=MUSIC_SOURCES,
    branches=_alone(ConditionedRecipe("lightsaft/network", MUSIC_SOURCES, LIGHTSAFT_TRIM)),
    published={"song": 5.394, "bass": 5.498, "drums": 5.272, "other": 4.121, "vocals": 6.685},
    board="MDXDB21, leaderboard A",
    licence=LICENCE,
)

LASAFT_V1 = SystemRecipe(
    name="lasaft-v1",
    title="LaSAFT with GPoCM, the first paper's network",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lasaft-v1/network")),
    licence=LICENCE,
)

LASAFT_V1_LARGE = SystemRecipe(
    name="lasaft-v1-large",
    title="LaSAFT with GPoCM, large (lasaft_large_2020); slower than the challenge allowed",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lasaft-v1/large")),
    licence=LICENCE,
)

LASAFT_V1_LARGE_2019 = replace(
    LASAFT_V1_LARGE,
    name="lasaft-v1-large-2019",
    title="LaSAFT with GPoCM, large, trained with the seed 2019 (lasaft_large_2019)",
    branches=_alone(_overlapped("lasaft-v1/large-2019")),
)

LASAFT_V1_LARGE_2021 = replace(
    LASAFT_V1_LARGE,
    name="lasaft-v1-large-2021",
    title="LaSAFT with GPoCM, large, trained with the seed 2021 (lasaft_large_2021)",
    branches=_alone(_overlapped("lasaft-v1/large-2021")),
)

LIGHTSAFT_PLUS = SystemRecipe(
    name="lightsaft-plus",
    title="LightSAFT-Net+, a LASAFT-Net-v2 without listening; by its options the entry of leaderboard A",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lightsaft-plus/network")),
    published={"song": 5.897, "bass": 5.823, "drums": 5.935, "other": 4.557, "vocals": 7.275},
    board="MDXDB21, leaderboard A",
    licence=LICENCE,
)

LASAFT_V2_LIGHT = SystemRecipe(
    name="lasaft-v2-light",
    title="LASAFT-Net-v2, light, as submitted to leaderboard A",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lasaft-v2/light")),
    published={"song": 5.957, "bass": 5.884, "drums": 5.976, "other": 4.642, "vocals": 7.324},
    board="MDXDB21, leaderboard A",
    licence=LICENCE,
)

LASAFT_V2 = SystemRecipe(
    name="lasaft-v2",
    title="LASAFT-Net-v2, medium",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lasaft-v2/medium")),
    licence=LICENCE,
)

LASAFT_V2_LARGE = SystemRecipe(
    name="lasaft-v2-large",
    title="LASAFT-Net-v2, large",
    sources=MUSIC_SOURCES,
    branches=_alone(_overlapped("lasaft-v2/large")),
    licence=LICENCE,
)

LASAFT_SYSTEMS = (
    LIGHTSAFT,
    LIGHTSAFT_PLUS,
    LASAFT_V1,
    LASAFT_V1_LARGE,
    LASAFT_V1_LARGE_2019,
    LASAFT_V1_LARGE_2021,
    LASAFT_V2_LIGHT,
    LASAFT_V2,
    LASAFT_V2_LARGE,
)
