"""Systems: named recipes as values, and the step that builds one from a models folder."""

from my_submission.systems.assembly import Assembly, Branch, assemble, graph_geometry
from my_submission.systems.catalogue import SYSTEMS, find_system
from my_submission.systems.recipes import BranchRecipe, SpectralRecipe, SystemRecipe, WaveformRecipe

__all__ = [
    "SYSTEMS",
    "Assembly",
    "Branch",
    "BranchRecipe",
    "SpectralRecipe",
    "SystemRecipe",
    "WaveformRecipe",
    "assemble",
    "find_system",
    "graph_geometry",
]
