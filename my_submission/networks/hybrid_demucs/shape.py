"""Sizes of a Hybrid Demucs and the constants of its published definition."""

from __future__ import annotations

from dataclasses import dataclass

N_FFT = 4096
HOP = N_FFT // 4
BINS = N_FFT // 2
"""Bins inside the network: the Nyquist frequency's is left out."""

DEPTH = 6
"""Levels; the last has no frequency axis and is shared by both branches."""

GROWTH = 2
KERNEL = 8
STRIDE = 4
PAD = KERNEL // 4
SHARED_KERNEL, SHARED_STRIDE, SHARED_PAD = 4, 2, 1
"""Of the shared level, whose frames are halved once more."""

FIRST_DEEP_LEVEL = 4
"""From this level on there are group norms, and a recurrence and an attention in the residual branches."""

NORM_GROUPS = 4
DCONV_DEPTH = 2
DCONV_COMPRESSION = 4
DCONV_KERNEL = 3
DCONV_SCALE = 1e-4
"""What a residual branch is multiplied by before training."""

LSTM_LAYERS = 2
LSTM_SPAN = 200
"""Longest sequence, in steps, that the recurrence takes whole; longer ones go in spans that overlap by half."""

ATTENTION_HEADS = 4
ATTENTION_DECAYS = 4
DECAY_START = -2.0
"""Bias of the decays before training: near frames count almost as much as far ones."""

SELF_SCORE = -100.0
"""Score of a frame with itself: attention looks elsewhere, the residual connection is there for the frame itself."""

EMBEDDING_WEIGHT = 0.2
EMBEDDING_SCALE = 10.0
"""The stored embedding is a tenth of the one that is used, so that it learns ten times as fast."""

NORM_EPS = 1e-5

RESCALE_REFERENCE = 0.1
"""Convolutions begin with the square root of (their usual deviation × this)."""


@dataclass(frozen=True)
class HybridDemucsConfig:
    """Shape of a Hybrid Demucs; everything else is fixed by its definition.

    Attributes:
        sources: rows of the output.
        audio_channels: channels of the mixture and of each source.
        channels: of the outermost level; 48 and 64 are published. They double from level to level.
    """

    sources: int = 4
    audio_channels: int = 2
    channels: int = 48

    def __post_init__(self) -> None:
        if min(self.sources, self.audio_channels) < 1:
            raise ValueError(f"a Hybrid Demucs needs at least one source and one channel: {self}")
        if self.channels < 1 or self.channels % DCONV_COMPRESSION:
            raise ValueError(f"channels={self.channels} must be a positive multiple of {DCONV_COMPRESSION}")

    def width(self, level: int) -> int:
        """Channels of a level."""
        return self.channels * int(GROWTH**level)


PUBLISHED_ARGUMENTS = {
    "growth": GROWTH,
    "nfft": N_FFT,
    "depth": DEPTH,
    "freq_emb": EMBEDDING_WEIGHT,
    "emb_scale": EMBEDDING_SCALE,
    "emb_smooth": True,
    "kernel_size": KERNEL,
    "time_stride": SHARED_STRIDE,
    "stride": STRIDE,
    "context": 1,
    "context_enc": 0,
    "norm_starts": FIRST_DEEP_LEVEL,
    "norm_groups": NORM_GROUPS,
    "dconv_depth": DCONV_DEPTH,
    "dconv_comp": DCONV_COMPRESSION,
    "dconv_attn": FIRST_DEEP_LEVEL,
    "dconv_lstm": FIRST_DEEP_LEVEL,
    "dconv_init": DCONV_SCALE,
}
"""What torchaudio's class calls these constants, which every published checkpoint was trained with."""
