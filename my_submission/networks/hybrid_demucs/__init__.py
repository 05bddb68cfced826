"""Hybrid Demucs: a spectrogram branch and a waveform branch with a shared innermost level."""

from my_submission.networks.hybrid_demucs.network import HybridDemucs, from_state_dict
from my_submission.networks.hybrid_demucs.shape import HybridDemucsConfig

__all__ = ["HybridDemucs", "HybridDemucsConfig", "from_state_dict"]
