"""Facts on the pages of systems, compared with the recipes, the manifest and the networks of the configurations."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from my_submission.geometry import SAMPLE_RATE
from my_submission.systems import SYSTEMS
from my_submission.weights import ModelsFolder
from my_submission.weights.folder import DEFAULT_MODELS_DIR

PAGES = Path(__file__).resolve().parents[2] / "docs/systems"
KEPT_BINS = 2048


@cache
def rows(page: str) -> list[list[str]]:
    """Cells of all rows of all tables of a page."""
    lines = (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines if line.startswith("| ")]


def cells(page: str, first: str) -> list[str]:
    """Cells of the row that begins with a cell, without that one."""
    (found,) = [row[1:] for row in rows(page) if row[0] == first]
    return found


def words(page: str) -> str:
    return " ".join((PAGES / f"{page}.md").read_text(encoding="utf-8").split())


def geometry(artefact: str) -> tuple[int, int, int | None]:
    found = ModelsFolder(DEFAULT_MODELS_DIR).artefact(artefact).geometry
    assert found is not None
    return found.n_fft, found.hop, found.frames


def test_kuielab_s_transforms_and_cutoffs_are_those_of_the_manifest() -> None:
    page, sources = "kuielab-mdx-net", ("bass", "drums", "other", "vocals")
    for family in ("kuielab-a", "kuielab-b"):
        stated = [geometry(f"{family}/{source}") for source in sources]
        assert cells(page, "n_fft") == [str(n_fft) for n_fft, _, _ in stated]
        assert cells(page, "hop") == [str(hop) for _, hop, _ in stated]
        kilohertz = [float(cell.removesuffix(" kHz")) for cell in cells(page, "cutoff")]
        assert kilohertz == pytest.approx([KEPT_BINS * SAMPLE_RATE / n_fft / 1000 for n_fft, _, _ in stated], abs=0.05)


def test_kuielab_s_shares_segments_and_scales_are_those_of_the_recipes() -> None:
    text = words("kuielab-mdx-net")
    for name, scale in (("kuielab-a", "joint"), ("kuielab-b", "mono")):
        networks, demucs = SYSTEMS[name].branches
        shares = networks.shares
        assert shares["bass"] == shares["drums"]
        told = f"share of the networks is {shares['bass']} for bass and drums, {shares['other']} for other"
        assert f"{told} and {shares['vocals']} for vocals" in text
        assert demucs.shares == pytest.approx({source: 1 - share for source, share in shares.items()})
        chunking = demucs.recipe.chunking
        assert f"in segments of {chunking.segment_samples // SAMPLE_RATE} s that overlap by half" in text
        assert (chunking.overlap_ratio, demucs.recipe.normalisation) == (0.5, scale)
        assert (networks.recipe.mixer is not None) == (name == "kuielab-a")


@pytest.mark.parametrize(
    ("page", "column", "system"),
    [
        ("lasaft", 0, "lightsaft"),
        ("lasaft", 1, "lasaft-v1"),
        ("lasaft", 2, "lasaft-v1-large"),
        ("lasaft", 2, "lasaft-v1-large-2019"),
        ("lasaft", 2, "lasaft-v1-large-2021"),
        ("lasaft-net-v2", 0, "lasaft-v2-light"),
        ("lasaft-net-v2", 1, "lasaft-v2"),
        ("lasaft-net-v2", 2, "lasaft-v2-large"),
        ("lasaft-net-v2", 3, "lightsaft-plus"),
    ],
)
def test_the_lasaft_family_s_transforms_and_chunks(page: str, column: int, system: str) -> None:
    (branch,) = SYSTEMS[system].branches
    recipe = branch.recipe
    assert cells(page, "n_fft, hop, frames")[column] == "{}, {}, {}".format(*geometry(recipe.network))
    overlap = "end to end" if not recipe.overlap_ratio else "half overlapping"
    assert recipe.overlap_ratio in (0.0, 0.5)
    if page == "lasaft":
        chunks = cells(page, "chunks")[column]
        assert chunks.startswith(f"{overlap}, trim of {recipe.trim_samples}")
    else:
        _, hop, frames = geometry(recipe.network)
        assert frames is not None
        n_samples = f"{hop * (frames - 1):,}".replace(",", " ")
        told = f"Chunks of {n_samples} samples overlap by half, with a trim of {recipe.trim_samples} samples"
        assert told in words(page)


def test_segments_of_the_aimless_systems() -> None:
    film, whole = (SYSTEMS[name].branches[0].recipe for name in ("aimless-cdx-a", "aimless-cdx-a-whole"))
    seconds = film.chunking.segment_samples / SAMPLE_RATE
    assert round(seconds) == 20
    assert f"segments of {seconds:.0f} s that overlap by a quarter" in words("aimless-films")
    assert film.chunking.overlap_ratio == 0.25
    assert whole.chunking.__class__.__name__ == "WholeSong"
    music = SYSTEMS["aimless-mdx-a"].branches[0].recipe.chunking
    assert f"process segments of {music.segment_samples / SAMPLE_RATE:.0f} s" in words("aimless-music")
    masks = SYSTEMS["aimless-xumx"].branches[0].recipe.chunking
    stretch, shared = (n * 1024 / SAMPLE_RATE for n in (masks.frames, masks.overlap_frames))
    assert f"in stretches of {stretch:.0f} s that overlap by {shared:.0f} s" in words("aimless-music")
    page = SYSTEMS["hdemucs-musdb-plus"].branches[0].recipe.chunking
    seconds, fade = page.stride_samples / SAMPLE_RATE, page.fade_samples / SAMPLE_RATE
    assert f"Segments of {seconds:.0f} s are joined by cross-fades of {fade} s" in words("demucs")


def test_public_networks_are_as_many_as_the_page_says_and_silence_as_many_bins() -> None:
    public = [system for system in SYSTEMS.values() if system.name.startswith("mdx-net/")]
    text = words("mdx-net")
    assert text.split("``` ")[-1].startswith(f"{len(public)} networks of KUIELab's architecture")
    assert {branch.recipe.silent_bins for system in public for branch in system.branches} == {3}
    assert "the first three bins of the spectrum are silenced" in text
    assert {branch.recipe.compensation for system in public for branch in system.branches} == {1.0}
    assert "The default is 1 |" in text


PARAMETERS = [
    ("kuielab-mdx-net", "parameters, A / B", 1, "kuielab-a/drums", "kuielab-b/drums"),
    ("lasaft", "parameters", 0, "lasaft/lightsaft"),
    ("lasaft", "parameters", 1, "lasaft/v1"),
    ("lasaft", "parameters", 2, "lasaft/v1-large"),
    ("lasaft-net-v2", "parameters", 0, "lasaft/v2-light"),
    ("lasaft-net-v2", "parameters", 1, "lasaft/v2"),
    ("lasaft-net-v2", "parameters", 2, "lasaft/v2-large"),
    ("aimless-films", "parameters", 0, "aimless/cdx-hdemucs"),
    ("aimless-films", "parameters", 1, "aimless/cdx-bsrnn"),
    ("aimless-music", "parameters", 0, "aimless/mdx-hdemucs"),
    ("aimless-music", "parameters", 1, "aimless/xumx"),
    ("aimless-music", "parameters", 2, "aimless/demucs-split"),
]
"""Page, row, column, and the configurations of the networks that the cell tells of."""


@pytest.mark.slow
@pytest.mark.needs("lightning")
def test_numbers_of_parameters_and_windows_are_those_of_the_networks() -> None:
    """Counted without memory for them; stated to a tenth of a million."""
    import torch

    from my_submission.networks.demucs import Demucs, DemucsConfig
    from training.modules.registry import load_experiment

    def millions(network: torch.nn.Module) -> str:
        return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.1f} M"

    with torch.device("meta"):
        for page, row, column, *names in PARAMETERS:
            experiments = [load_experiment(name, []) for name in names]
            counted = " / ".join(millions(each.network.network(each)) for each in experiments)
            stated = cells(page, row)[column]
            assert stated.partition(" (")[0] == counted, (page, names)
            if page == "aimless-music":
                windows = cells(page, "windows in training")[column]
                assert windows == f"{experiments[0].data.window_seconds:g} s"
        (demucs,) = [row[1:] for row in rows("demucs") if row[0] == "parameters" and len(row) == 4]
        assert demucs == [millions(Demucs(DemucsConfig(channels=channels))) for channels in (48, 64, 64)]


def test_scores_on_pages_of_systems_are_the_published_ones() -> None:
    text = {page.stem: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    for name, page in (
        ("lightsaft", "lasaft"),
        ("lasaft-v2-light", "lasaft-net-v2"),
        ("lightsaft-plus", "lasaft-net-v2"),
    ):
        stated = [float(cell) for cell in cells(page, f"`{name}`")]
        assert stated == pytest.approx(list(SYSTEMS[name].published.values()), abs=0.0051)
    for name, first in (("kuielab-a", "A, MDXDB21"), ("kuielab-b", "B, MDXDB21")):
        stated = [float(cell) for cell in cells("kuielab-mdx-net", first)]
        assert stated == pytest.approx(list(SYSTEMS[name].published.values()), abs=0.0051)
    assert f"{SYSTEMS['aimless-cdx-a'].published['song']:.3f} dB" in text["aimless-films"]
    assert re.search(rf"{SYSTEMS['demucs48-hq'].published['song']:.2f} dB", text["demucs"])
