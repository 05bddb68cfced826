"""Systems: named recipes as values, and the step that opens one from a models folder."""

from my_submission.systems.catalogue import DEFAULT_SYSTEM, SYSTEMS, find_system
from my_submission.systems.loaded_system import Branch, LoadedSystem, load_system
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from my_submission.systems.source_choice import only

__all__ = [
    "DEFAULT_SYSTEM",
    "SYSTEMS",
    "Branch",
    "BranchRecipe",
    "LoadedSystem",
    "SystemRecipe",
    "find_system",
    "load_system",
    "only",
]
