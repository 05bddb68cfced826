"""Mechanisms: ways to estimate sources. Each is a recipe (data) and an opened mechanism, in a file of its own."""

from my_submission.mechanisms.conditioned import ConditionedMechanism, ConditionedRecipe
from my_submission.mechanisms.joint import JointRecipe
from my_submission.mechanisms.masking import MaskingMechanism, MaskingRecipe
from my_submission.mechanisms.mdx_net import MdxNetMechanism, MdxNetRecipe
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import DeviceLimit, MemoryLimit
from my_submission.mechanisms.mid_side import MidSideRecipe
from my_submission.mechanisms.mixer import Mixer, MixerRecipe
from my_submission.mechanisms.options import Precision, RunOptions, Runtime
from my_submission.mechanisms.ratio_mask import RatioMaskRecipe
from my_submission.mechanisms.song_context import NewStore, SongContext
from my_submission.mechanisms.spectral import SpectralMechanism, SpectralNetwork, SpectralRecipe
from my_submission.mechanisms.waveform import WaveformMechanism, WaveformRecipe
from my_submission.mechanisms.wiener import MultichannelWienerFilter, WienerRecipe

__all__ = [
    "ConditionedMechanism",
    "ConditionedRecipe",
    "DeviceLimit",
    "Fitted",
    "JointRecipe",
    "MaskingMechanism",
    "MaskingRecipe",
    "MdxNetMechanism",
    "MdxNetRecipe",
    "Mechanism",
    "MemoryLimit",
    "MidSideRecipe",
    "Mixer",
    "MixerRecipe",
    "MultichannelWienerFilter",
    "NewStore",
    "Opening",
    "Precision",
    "RatioMaskRecipe",
    "Recipe",
    "RunOptions",
    "Runtime",
    "SongContext",
    "SongStages",
    "SpectralMechanism",
    "SpectralNetwork",
    "SpectralRecipe",
    "WaveformMechanism",
    "WaveformRecipe",
    "WienerRecipe",
]
