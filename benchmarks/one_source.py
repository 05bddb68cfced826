"""One network of leaderboard A alone, for comparison with --sources of the published schedule.

Usage: python -m benchmarks.one_source SONG OUT --models-dir DIR [--source vocals|demucs] [--precision fp32]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from my_submission.audio_io import WAV_FLOAT
from my_submission.cli.huge_pages import restart_with_huge_pages
from my_submission.engines import Device
from my_submission.mechanisms import RunOptions, SpectralRecipe
from my_submission.predictor import Predictor
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.systems.catalogue import KUIELAB_A
from my_submission.weights import ModelsFolder


def branch_of(source: str) -> BranchRecipe:
    """Return the network of one source, or Demucs, which estimates all four."""
    if source == "demucs":
        recipe = KUIELAB_A.branches[1].recipe
        return BranchRecipe("demucs", recipe, dict.fromkeys(recipe.sources, 1.0))
    return BranchRecipe("network", SpectralRecipe({source: f"kuielab-a/{source}"}), {source: 1.0})


def main() -> None:
    """Separate one song from disk to disk, as the command line does."""
    restart_with_huge_pages()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--source", default="vocals", help="of a network, or demucs")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "auto"))
    options = parser.parse_args()
    branch = branch_of(options.source)
    recipe = SystemRecipe("one-source", "one network of leaderboard A", branch.recipe.sources, (branch,))
    run = RunOptions(device=Device("cpu"), precision=options.precision)
    predictor = Predictor(load_system(recipe, ModelsFolder(options.models_dir), run, allow_unverified=True))
    predictor.separate_file(options.song, options.out, audio_format=WAV_FLOAT)


if __name__ == "__main__":
    main()
