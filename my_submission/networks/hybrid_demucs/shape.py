"""Sizes of a Hybrid Demucs and the constants of its published definition."""

from __future__ import annotations

from dataclasses import dataclass

N_FFT = 4096
HOP = N_FFT // 4
BINS = N_FFT // 2
"""Bins inside the network, without that of the Nyquist frequency."""

DEPTH = 6
"""Number of levels; the last has no frequency axis and is shared by both branches."""

GROWTH = 2
KERNEL = 8
STRIDE = 4
PAD = KERNEL // 4
SHARED_KERNEL, SHARED_STRIDE, SHARED_PAD = 4, 2, 1
"""Convolution of the shared level."""

FIRST_DEEP_LEVEL = 4
"""First level with group norms, and with an LSTM and attention in the residual branches."""

NORM_GROUPS = 4
DCONV_DEPTH = 2
DCONV_COMPRESSION = 4
DCONV_KERNEL = 3
DCONV_SCALE = 1e-4
"""Initial scale of residual branches."""

LSTM_LAYERS = 2
LSTM_SPAN = 200
"""Maximum sequence of the LSTM, in steps; longer ones are cut into spans that overlap by half."""

ATTENTION_HEADS = 4
ATTENTION_DECAYS = 4
DECAY_START = -2.0
"""Initial bias of the decays, at which scores hardly fall with distance."""

SELF_SCORE = -100.0
"""Score of a frame with itself, which excludes it; the residual connection passes the frame itself."""

EMBEDDING_WEIGHT = 0.2
EMBEDDING_SCALE = 10.0
"""Ratio of the embedding to the stored parameters, which makes its learning ten times as fast."""

NORM_EPS = 1e-5

RESCALE_REFERENCE = 0.1
"""Convolutions are initialised to the standard deviation √(usual one × this)."""


@dataclass(frozen=True)
class HybridDemucsConfig:
    """Shape of a Hybrid Demucs; everything else is fixed by its definition.

    Attributes:
        sources: sources of the output.
        audio_channels: channels of the mixture and of each source.
        channels: channels of the outermost level; 48 and 64 are published. They double from level to level.
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
        """Return the channels of a level."""
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
"""Arguments of torchaudio's class with which every published checkpoint was trained."""
