"""Systems: named recipes as values, and the step that opens one from a models folder."""

from my_submission.systems.catalogue import DEFAULT_SYSTEM, SYSTEMS, find_system
from my_submission.systems.loaded_system import Branch, LoadedSystem, content_digests, load_system
from my_submission.systems.mdx_net import (
    NetworkOptions,
    OwnNetwork,
    network_settings,
    with_network_options,
    with_vocals_from,
)
from my_submission.systems.recipes import SYSTEMS_FILE, BranchRecipe, SystemRecipe
from my_submission.systems.stem_choice import for_stems, possible_stems
from my_submission.systems.system_work import SystemWork
from my_submission.systems.systems_file import systems_of

__all__ = [
    "DEFAULT_SYSTEM",
    "SYSTEMS",
    "SYSTEMS_FILE",
    "Branch",
    "BranchRecipe",
    "LoadedSystem",
    "NetworkOptions",
    "OwnNetwork",
    "SystemRecipe",
    "SystemWork",
    "content_digests",
    "find_system",
    "for_stems",
    "load_system",
    "network_settings",
    "possible_stems",
    "systems_of",
    "with_network_options",
    "with_vocals_from",
]
