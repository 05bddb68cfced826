"""Separators by mechanism: a mixture in, stems out, piece by piece."""

from my_submission.separators.base import Piece, Separator
from my_submission.separators.conditioned import ConditionedSeparator
from my_submission.separators.joint_filter import JointFilter
from my_submission.separators.masking import MaskingSeparator
from my_submission.separators.mid_side import MidSideEngine
from my_submission.separators.mixer import Mixer
from my_submission.separators.spectral import SpectralSeparator
from my_submission.separators.waveform import WaveformSeparator

__all__ = [
    "ConditionedSeparator",
    "JointFilter",
    "MaskingSeparator",
    "MidSideEngine",
    "Mixer",
    "Piece",
    "Separator",
    "SpectralSeparator",
    "WaveformSeparator",
]
