"""Every system by name. Adding one is adding a constant here and its artefacts to the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from my_submission.errors import UnknownNameError
from my_submission.geometry import OverlapChunking
from my_submission.mechanisms import SpectralRecipe, WaveformRecipe
from my_submission.stems import DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems.aimless import AIMLESS_SYSTEMS
from my_submission.systems.lasaft import LASAFT_SYSTEMS
from my_submission.systems.mdx_net import MDX_NET_SYSTEMS
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from my_submission.systems.starters import STARTER, STARTERS, all_of, networks_of
from terminal.program import program_name

DEMUCS_CHUNKING = OverlapChunking(segment_samples=40 * 44_100, overlap_ratio=0.5)
"""Segments of 40 s, as in training of Demucs v2, half overlapping, as in both leaderboard entries."""

KUIELAB_SHARES = {"bass": 0.5, "drums": 0.5, "other": 0.7, "vocals": 0.9}
"""Share of the spectral networks in the blend of leaderboards A and B; the rest is Demucs."""


KUIELAB_LICENCE = "MIT (networks and Mixer); the Demucs weights are for research only, says their author"


_DEMUCS_SHARES = {source: round(1 - share, 10) for source, share in KUIELAB_SHARES.items()}

KUIELAB_A = SystemRecipe(
    name="kuielab-a",
    title="KUIELAB-MDX-Net, leaderboard A (submission 151907): four TFC-TDF networks, Mixer, Demucs v2",
    sources=MUSIC_SOURCES,
    branches=(
        BranchRecipe("networks", SpectralRecipe(networks_of("kuielab-a"), mixer="kuielab-a/mixer"), KUIELAB_SHARES),
        BranchRecipe(
            "demucs", WaveformRecipe("demucs/demucs", DEMUCS_SOURCES, "joint", DEMUCS_CHUNKING), _DEMUCS_SHARES
        ),
    ),
    published={"song": 7.236, "bass": 7.232, "drums": 7.173, "other": 5.636, "vocals": 8.901},
    board="MDXDB21, leaderboard A",
    licence=KUIELAB_LICENCE,
    fallback=STARTER,
)

KUIELAB_B = SystemRecipe(
    name="kuielab-b",
    title="KUIELAB-MDX-Net, leaderboard B (submission 151249): four TFC-TDF networks, Demucs v2 with extra data",
    sources=MUSIC_SOURCES,
    branches=(
        BranchRecipe("networks", SpectralRecipe(networks_of("kuielab-b")), KUIELAB_SHARES),
        BranchRecipe(
            "demucs", WaveformRecipe("demucs/demucs-extra", DEMUCS_SOURCES, "mono", DEMUCS_CHUNKING), _DEMUCS_SHARES
        ),
    ),
    published={"song": 7.37, "bass": 7.50, "drums": 7.55, "other": 5.53, "vocals": 8.90},
    board="MDXDB21, leaderboard B",
    licence=KUIELAB_LICENCE,
    fallback=STARTER,
    uses_external_data=True,
)

KUIELAB_A_NETWORKS = SystemRecipe(
    name="kuielab-a-networks",
    title="the networks and the Mixer of kuielab-a without Demucs: a third of the work",
    sources=MUSIC_SOURCES,
    branches=(
        BranchRecipe("networks", SpectralRecipe(networks_of("kuielab-a"), mixer="kuielab-a/mixer"), all_of(1.0)),
    ),
    fallback=STARTER,
)

DEMUCS48_HQ = SystemRecipe(
    name="demucs48-hq",
    title="Demucs v2 with 48 channels, trained on MUSDB18-HQ: a baseline of leaderboard A",
    sources=MUSIC_SOURCES,
    branches=(
        BranchRecipe(
            "demucs", WaveformRecipe("demucs/demucs48-hq", DEMUCS_SOURCES, "mono", DEMUCS_CHUNKING), all_of(1.0)
        ),
    ),
    published={"song": 5.873, "bass": 6.470, "drums": 6.509, "other": 4.018, "vocals": 6.496},
    board="MDXDB21, leaderboard A",
    licence="research only: the Demucs weights, says their author",
    fallback=STARTER,
)

SYSTEMS: dict[str, SystemRecipe] = {
    system.name: system
    for system in (
        *STARTERS,
        KUIELAB_A,
        KUIELAB_B,
        KUIELAB_A_NETWORKS,
        DEMUCS48_HQ,
        *LASAFT_SYSTEMS,
        *AIMLESS_SYSTEMS,
        *MDX_NET_SYSTEMS,
    )
}


DEFAULT_SYSTEM = "starter-plus"
"""The default system; its weights are in the repository."""


def find_system(name: str, systems: Mapping[str, SystemRecipe] = SYSTEMS) -> SystemRecipe:
    """Return the system of a name, among those of this program or others.

    Raises:
        UnknownNameError: there is none; the hint names the nearest three.
    """
    if name in systems:
        return systems[name]
    near = get_close_matches(name, systems, n=3, cutoff=0.0)
    hint = f"the nearest are {', '.join(near)}; {program_name()} systems lists all"
    raise UnknownNameError(f"there is no system {name!r}", hint=hint)
