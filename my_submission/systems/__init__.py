"""Systems: named recipes as values, and the step that builds one from a models folder."""

from my_submission.systems.assembly import Assembly, Branch, assemble
from my_submission.systems.catalogue import SYSTEMS, find_system
from my_submission.systems.conditioned_networks import is_conditioned, spectra_of
from my_submission.systems.conditioned_recipe import ConditionedRecipe
from my_submission.systems.lasaft import only
from my_submission.systems.options import Precision, RunOptions, Runtime
from my_submission.systems.recipes import (
    BranchRecipe,
    JointFilterRecipe,
    MaskingRecipe,
    MidSideRecipe,
    SpectralRecipe,
    SystemRecipe,
    WaveformRecipe,
)
from my_submission.systems.spectral_networks import chunking_of

__all__ = [
    "SYSTEMS",
    "Assembly",
    "Branch",
    "BranchRecipe",
    "ConditionedRecipe",
    "JointFilterRecipe",
    "MaskingRecipe",
    "MidSideRecipe",
    "Precision",
    "RunOptions",
    "Runtime",
    "SpectralRecipe",
    "SystemRecipe",
    "WaveformRecipe",
    "assemble",
    "chunking_of",
    "find_system",
    "is_conditioned",
    "only",
    "spectra_of",
]
