"""Hybrid Demucs: a spectrogram branch and a waveform branch that meet in the middle."""

from my_submission.networks.hybrid_demucs.network import HybridDemucs
from my_submission.networks.hybrid_demucs.shape import HybridDemucsConfig
from my_submission.networks.hybrid_demucs.weights import from_state_dict

__all__ = ["HybridDemucs", "HybridDemucsConfig", "from_state_dict"]
