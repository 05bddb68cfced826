"""Shapes of the conditioned U-Nets, under the option names that their authors published.

The first generation (LaSAFT, LightSAFT) conditions every block by latent-source attention, and the decoders also by a
modulation; the second (LASAFT-Net-v2) conditions only the decoders.

``…Options`` are the authors' options; a ``…Config`` adds the spectrum, which training takes from its transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Activation = Literal["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", "identity"]
Block = Literal["tfc", "tdf", "tdc", "tfc_tdf", "tfc_lasaft", "tfc_lightsaft"]
Modulation = Literal["film", "gfilm", "pocm", "gpocm"]
SpecType = Literal["complex", "magnitude"]
SpecEstMode = Literal["mapping", "masking", "complex_masking"]
ConditionTo = Literal["decoder", "encoder", "full"]
Norm = Literal["bn", "gn", "in"]

ATTENTIVE_BLOCKS: tuple[Block, ...] = ("tfc_lasaft", "tfc_lightsaft")
"""Blocks with attention to latent sources."""

STEREO = 2


@dataclass(frozen=True, kw_only=True)
class ConditionedUNetOptions:
    """Options of both generations.

    Args:
        internal_channels: C, channels of every block.
        n_blocks: odd number of encoders, bottleneck and decoders.
        n_internal_layers: convolutions in a block.
        kernel_size_t: their kernel over frames, odd.
        kernel_size_f: their kernel over rows, odd.
        first_conv_activation: activation after the first convolution.
        last_activation: activation of the output; identity for mapping, a bounded one for masks.
        t_down_layers: levels that halve the frames; all by default.
        f_down_layers: levels that halve the rows; all by default.
        tfc_tdf_activation: inside the blocks.
        bn_factor: the factor by which a frequency transformation narrows its axis.
        min_bn_units: its minimum width.
        tfc_tdf_bias: whether the linear layers of frequency transformations have a bias.
        num_tdfs: L, latent sources.
        dk: length of attention keys and queries.
        control_input_dim: number of sources.
        embedding_dim: E, length of a source's embedding.
    """

    internal_channels: int = 24
    n_blocks: int = 7
    n_internal_layers: int = 5
    kernel_size_t: int = 3
    kernel_size_f: int = 3
    first_conv_activation: Activation = "relu"
    last_activation: Activation = "identity"
    t_down_layers: tuple[int, ...] | None = None
    f_down_layers: tuple[int, ...] | None = None
    tfc_tdf_activation: Activation = "relu"
    bn_factor: int = 16
    min_bn_units: int = 16
    tfc_tdf_bias: bool = False
    num_tdfs: int = 6
    dk: int = 32
    control_input_dim: int = 4
    embedding_dim: int = 32

    def __post_init__(self) -> None:
        counts = ("internal_channels", "n_internal_layers", "bn_factor", "min_bn_units", "num_tdfs", "dk")
        for name in (*counts, "control_input_dim", "embedding_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("n_blocks", "kernel_size_t", "kernel_size_f"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise ValueError(f"{name}={getattr(self, name)} must be odd and positive")
        if self.n_blocks < 3:
            raise ValueError(f"n_blocks={self.n_blocks} must be at least 3: an encoder, a bottleneck and a decoder")
        for name in ("first_conv_activation", "last_activation", "tfc_tdf_activation"):
            refuse_unknown(name, getattr(self, name), get_args(Activation))
        for name in ("t_down_layers", "f_down_layers"):
            levels = getattr(self, name)
            if levels is not None and not set(levels) <= set(range(self.levels)):
                raise ValueError(f"{name}={levels} names a level outside 0 … {self.levels - 1}")

    @property
    def levels(self) -> int:
        """Number of encoder blocks, and of decoder blocks."""
        return self.n_blocks // 2

    @property
    def frame_multiple(self) -> int:
        """The frame count must be a multiple of this."""
        return self._halvings(self.t_down_layers)

    def step(self, level: int) -> tuple[int, int]:
        """Return the factors by which a level shortens frames and rows."""
        t = 2 if self.t_down_layers is None or level in self.t_down_layers else 1
        f = 2 if self.f_down_layers is None or level in self.f_down_layers else 1
        return t, f

    def narrowed(self, rows: int) -> int:
        """Return the bottleneck width of a frequency transformation of ``rows``."""
        return max(rows // self.bn_factor, self.min_bn_units)

    def _halvings(self, levels: tuple[int, ...] | None) -> int:
        return 1 << (self.levels if levels is None else len(set(levels)))


@dataclass(frozen=True, kw_only=True)
class LasaftV1Options(ConditionedUNetOptions):
    """The first generation: LaSAFT and LightSAFT with GPoCM, and older blocks and modulations.

    Args:
        block: type of every block.
        modulation: FiLM scales and shifts channels, PoCM multiplies them by a matrix and shifts them; a ``g`` in front
            means gated, h·σ(modulated h).
        control_vector_type: a learned embedding, or the one-hot vector.
        control_type: network that generates modulations; only the dense one is published.
        control_n_layer: number of lengths E, 2E, 4E … in it.
        condition_to: which blocks are modulated; attention is in every block.
        pocm_type: ``matmul`` multiplies features as row vectors, as published; ``naive``, a 1×1 convolution, by the
            transposed matrix.
        pocm_norm: norm of the modulation's coefficients.
        gamma_activation: activation after the layer that generates the factors.
        beta_activation: activation after the layer that generates the shifts.
        dropout: dropout in the control network.
    """

    block: Block = "tfc_lasaft"
    modulation: Modulation = "gpocm"
    control_vector_type: Literal["embedding", "one_hot_mode"] = "embedding"
    control_type: Literal["dense"] = "dense"
    control_n_layer: int = 4
    condition_to: ConditionTo = "decoder"
    pocm_type: Literal["matmul", "naive"] = "matmul"
    pocm_norm: Literal["batch_norm", "none"] = "batch_norm"
    gamma_activation: Activation = "identity"
    beta_activation: Activation = "identity"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        known: dict[str, tuple[object, ...]] = {
            "block": get_args(Block),
            "modulation": get_args(Modulation),
            "control_vector_type": ("embedding", "one_hot_mode"),
            "control_type": ("dense",),
            "condition_to": get_args(ConditionTo),
            "gamma_activation": get_args(Activation),
            "beta_activation": get_args(Activation),
            "pocm_type": ("matmul", "naive"),
            "pocm_norm": ("batch_norm", "none"),
        }
        for name, values in known.items():
            refuse_unknown(name, getattr(self, name), values)
        if self.control_n_layer < 2:
            raise ValueError(f"control_n_layer={self.control_n_layer} must be at least 2")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ConditionedUNetConfig(ConditionedUNetOptions):
    """Shape of a network of either generation.

    Args:
        n_fft: transform length; half of it is the number of rows F inside the network.
        input_channels: 4 for complex stereo spectra (real left and right, imaginary left and right), 2 for magnitudes.
    """

    n_fft: int = 2048
    input_channels: int = 2 * STEREO

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_channels not in {STEREO, 2 * STEREO}:
            raise ValueError(f"input_channels={self.input_channels} must be 4 (complex stereo) or 2 (magnitudes)")
        if self.n_fft < 4 or (self.n_fft // 2) % self._halvings(self.f_down_layers):
            raise ValueError(f"n_fft={self.n_fft} must be a multiple of {2 * self._halvings(self.f_down_layers)}")

    @property
    def bins(self) -> int:
        """Bins of the spectrum, including that of the Nyquist frequency."""
        return self.n_fft // 2 + 1

    def rows(self, level: int) -> int:
        """Return the length of the frequency axis in the blocks of a level; the bottleneck's level is ``levels``."""
        rows = self.n_fft // 2
        for above in range(level):
            rows //= self.step(above)[1]
        return rows


@dataclass(frozen=True, kw_only=True)
class LasaftV1Config(LasaftV1Options, ConditionedUNetConfig):
    """Shape of a network of the first generation."""

    @property
    def condition_dim(self) -> int:
        """Length of a source's condition vector."""
        return self.embedding_dim if self.control_vector_type == "embedding" else self.control_input_dim

    @property
    def modulated_blocks(self) -> tuple[int, ...]:
        """Numbers of the modulated blocks, in the order in which they run."""
        return conditioned_blocks(self.condition_to, self.n_blocks)

    def lasaft_units(self, rows: int) -> int:
        """Return the width of LaSAFT's bottleneck, which is common to all latent sources."""
        return self.narrowed(rows * self.num_tdfs)


@dataclass(frozen=True, kw_only=True)
class LasaftV2Options(ConditionedUNetOptions):
    """The second generation: TFC-TDF blocks without condition, and blocks that attend to the mixture's content.

    ``tfc_tdf_activation`` is that of the blocks; generators, queries and keys always have ReLU, as published.

    Args:
        downsampling_activation: activation after every downsampling; None for that of the blocks.
        upsampling_activation: activation after every upsampling; None for that of the blocks.
        condition_to: which blocks are conditioned; the others are TFC-TDF.
        query_listen: whether the query of the attention is made of the features and the condition, not of the
            condition alone.
        key_listen: whether its keys are made of the features, not learned once for all.
        norm: batch, group or instance norm; that of the keys is always a batch norm.
        control_vector_type: an embedding, or a linear layer on the one-hot vector, which is the same function.
    """

    num_tdfs: int = 16
    downsampling_activation: Activation | None = None
    upsampling_activation: Activation | None = None
    condition_to: ConditionTo = "decoder"
    query_listen: bool = True
    key_listen: bool = True
    norm: Norm = "bn"
    control_vector_type: Literal["embedding", "linear"] = "embedding"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unknown("condition_to", self.condition_to, get_args(ConditionTo))
        refuse_unknown("norm", self.norm, get_args(Norm))
        refuse_unknown("control_vector_type", self.control_vector_type, ("embedding", "linear"))
        for name in ("downsampling_activation", "upsampling_activation"):
            if getattr(self, name) is not None:
                refuse_unknown(name, getattr(self, name), get_args(Activation))

    @property
    def after_downsampling(self) -> Activation:
        """Activation after every downsampling."""
        return self.downsampling_activation or self.tfc_tdf_activation

    @property
    def after_upsampling(self) -> Activation:
        """Activation after every upsampling."""
        return self.upsampling_activation or self.tfc_tdf_activation

    @property
    def conditioned(self) -> tuple[int, ...]:
        """Numbers of the conditioned blocks, in the order in which they run."""
        return conditioned_blocks(self.condition_to, self.n_blocks)


@dataclass(frozen=True, kw_only=True)
class LasaftV2Config(LasaftV2Options, ConditionedUNetConfig):
    """Shape of a network of the second generation."""


def conditioned_blocks(condition_to: ConditionTo, n_blocks: int) -> tuple[int, ...]:
    """Return the numbers of the conditioned blocks among encoders, bottleneck and decoders, in this order."""
    levels = n_blocks // 2
    chosen = {"encoder": range(levels), "decoder": range(levels + 1, n_blocks), "full": range(n_blocks)}
    return tuple(chosen[condition_to])


def refuse_unknown(name: str, value: object, known: tuple[object, ...]) -> None:
    """Raise a ValueError that lists the known values if ``value`` is not one of them."""
    if value not in known:
        raise ValueError(f"{name}={value!r} is none of {', '.join(map(str, known))}")
