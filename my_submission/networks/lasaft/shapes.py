"""Shape and framework of a conditioned U-Net from the shapes of its weights and the options that its files state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.lasaft.config import (
    ATTENTIVE_BLOCKS,
    STEREO,
    Block,
    ConditionedUNetConfig,
    ConditionTo,
    LasaftV1Config,
    LasaftV2Config,
    Norm,
    SpecType,
)
from my_submission.networks.lasaft.framework import FrameworkConfig, LasaftConfig
from my_submission.networks.lasaft.options import StatedOptions
from my_submission.networks.strict_loading import Where, count_of, known_shapes, shape_of


def infer_framework(
    state: Mapping[str, Tensor], stated: StatedOptions, *, n_fft: int | None = None, where: Where = None
) -> FrameworkConfig:
    """Return network and framework of a state.

    Args:
        state: as :func:`~.weights.canonical_state` returns it.
        stated: options of its files.
        n_fft: length of its window, if it contains one.
        where: the file, for error messages.

    Raises:
        WeightsError: a key is missing, a shape belongs to no such network, an option that matters is missing, or an
            option differs from what the weights show.
    """
    _refuse_unknown_kinds(state, where)
    with known_shapes("conditioned U-Net", where):
        network: LasaftConfig
        if is_second_generation(state):
            network = _v2_config(state, stated, where)
        else:
            network = _v1_config(state, stated, n_fft, where)
        spec_type: SpecType = "magnitude" if network.input_channels == STEREO else "complex"
        stated.check({**_shown(network), "spec_type": spec_type})
        mode = stated.require(["spec_est_mode"])["spec_est_mode"]
        lengths = {name: _length(stated, option) for name, option in (("hop", "hop_length"), ("frames", "num_frame"))}
        return FrameworkConfig(network=network, spec_type=spec_type, spec_est_mode=mode, **lengths)


def is_second_generation(state: Mapping[str, Tensor]) -> bool:
    """Whether a state is that of a LASAFT-Net-v2."""
    return any(".tfc_lightsaft." in key for key in state)


def _refuse_unknown_kinds(state: Mapping[str, Tensor], where: Where) -> None:
    for part in ("tfc_lasaft", "embedding.fc"):
        if any(f"{part}." in key for key in state):
            hint = "use a network of LightSAFT blocks, with embeddings of source numbers"
            raise WeightsError(f"its part {part} belongs to a LASAFT-Net-v2 of an unknown kind", where=where, hint=hint)


_NOT_COMPARED = frozenset(
    {"t_down_layers", "f_down_layers", "control_vector_type", "dropout", "block", "modulation"}
    | {"bn_factor", "min_bn_units"}
)
"""Options that a network has in another form, or from which only widths follow, whose shapes are compared."""


def _shown(network: LasaftConfig) -> dict[str, Any]:
    """Return the options that the weights show, or that matter for the network."""
    hidden = set(_NOT_COMPARED)
    if isinstance(network, LasaftV1Config):
        if network.block not in ATTENTIVE_BLOCKS:
            hidden |= {"num_tdfs", "dk"}
        if network.block == "tfc":
            hidden |= {"tfc_tdf_bias", "tfc_tdf_activation"}
        is_film = network.modulation == "film"
        hidden |= {"pocm_type", "pocm_norm"} if is_film else {"gamma_activation", "beta_activation"}
    return {name: value for name, value in vars(network).items() if name not in hidden}


def _length(stated: StatedOptions, name: str) -> int | None:
    value = stated.get(name)
    return value if isinstance(value, int) and value > 0 else None


def _common(
    state: Mapping[str, Tensor], stated: StatedOptions, where: Where, *, rows: int, narrow: int, deepest: int
) -> dict[str, Any]:
    """Return the options of both generations.

    ``narrow`` and ``deepest`` are the widths of the outermost and the innermost bottleneck; 0 without bottlenecks.
    """
    default = ConditionedUNetConfig()
    min_units = min(default.min_bn_units, deepest) or default.min_bn_units
    channels, inputs, *_ = shape_of(state, "first_conv.0.weight", (None,) * 4, where=where)
    convolutions = r"mid_block\.(?:tfc_lightsaft\.)?tfc\.H"
    first = next(
        (key for key in state if re.match(rf"{convolutions}\.0\.0\.weight", key)), "mid_block.tfc.H.0.0.weight"
    )
    *_, kernel_t, kernel_f = shape_of(state, first, (None,) * 4, where=where)
    levels = count_of(state, r"encoders\.(\d+)\.")
    steps = [shape_of(state, f"downsamplings.{i}.0.weight", (None,) * 4, where=where)[2:] for i in range(levels)]
    values: dict[str, Any] = {
        "n_fft": 2 * rows,
        "input_channels": inputs,
        "internal_channels": channels,
        "n_blocks": 2 * levels + 1,
        "n_internal_layers": count_of(state, rf"{convolutions}\.(\d+)\."),
        "kernel_size_t": kernel_t,
        "kernel_size_f": kernel_f,
        "bn_factor": default.bn_factor if narrow in {0, min_units} else rows // narrow,
        "min_bn_units": min_units,
        **stated.require(["first_conv_activation", "last_activation"]),
    }
    for name in ("bn_factor", "min_bn_units"):
        if isinstance(stated.get(name), int):
            values[name] = stated.get(name)
    for name, axis in (("t_down_layers", 0), ("f_down_layers", 1)):
        if any(step[axis] == 1 for step in steps):
            values[name] = tuple(level for level, step in enumerate(steps) if step[axis] > 1)
    return values


def _v1_config(state: Mapping[str, Tensor], stated: StatedOptions, n_fft: int | None, where: Where) -> LasaftV1Config:
    block = _v1_block(state)
    stated.require(_v1_needed(state, block, where))
    layer = {"tfc_lightsaft": "LaSAFT_bn_layer.0", "tfc_lasaft": "tdfs.tdf.0", "tfc_tdf": "tdf.tdf.0"}.get(block)
    narrow = deepest = n_latent = 0
    latent: dict[str, Any] = {}
    if block in {"tfc_lasaft", "tfc_lightsaft"}:
        dk, n_latent = shape_of(state, "encoders.0.keys", (None,) * 2, where=where)
        latent = {"dk": dk, "num_tdfs": n_latent}
    if layer is None:
        rows = _rows_of_tfc(stated, n_fft, where)
    else:
        narrow, rows = shape_of(state, f"encoders.0.{layer}.weight", (None,) * 2, where=where)
        deepest = shape_of(state, f"mid_block.{layer}.weight", (None,) * 2, where=where)[0]
    if block == "tfc_lightsaft":  # one bottleneck per latent source; LaSAFT has one for all
        narrow, deepest = narrow // n_latent, deepest // n_latent
    values = _common(state, stated, where, rows=rows, narrow=narrow, deepest=deepest)
    if block == "tfc_lasaft" and narrow != values["min_bn_units"] and stated.get("bn_factor") is None:
        values["bn_factor"] = rows * n_latent // narrow
    act = "tfc_activation" if block == "tfc" else "tfc_tdf_activation"
    n_sources, embedding_dim = shape_of(state, "embedding.weight", (None,) * 2, where=where)
    control = re.compile(r"condition_generator\.dense_control_block\.linear\.\d+\.weight")
    return LasaftV1Config(
        **values,
        **latent,
        **_v1_modulation(state, stated, where),
        block=block,
        tfc_tdf_activation=stated.require([act])[act],
        tfc_tdf_bias=f"encoders.0.{layer}.bias" in state,
        control_input_dim=n_sources,
        embedding_dim=embedding_dim,
        control_n_layer=1 + sum(bool(control.fullmatch(key)) and value.dim() == 2 for key, value in state.items()),
    )


def _v1_block(state: Mapping[str, Tensor]) -> Block:
    marks: dict[str, Block] = {"LaSAFT_bn_layer": "tfc_lightsaft", "tdfs": "tfc_lasaft", "tdf": "tfc_tdf"}
    return next((block for mark, block in marks.items() if any(f".{mark}." in key for key in state)), "tfc")


def _rows_of_tfc(stated: StatedOptions, n_fft: int | None, where: Where) -> int:
    """Return the rows of a network of convolutions alone, whose weights do not show them.

    Raises:
        WeightsError: neither the window nor an option states the length of the transform.
    """
    stated_n_fft = stated.get("n_fft") if n_fft is None else n_fft
    if not isinstance(stated_n_fft, int):
        problem = "neither its weights nor a file state n_fft"
        raise WeightsError(problem, where=where, hint="write n_fft = … into <checkpoint>.toml beside it")
    return stated_n_fft // 2


def _v1_needed(state: Mapping[str, Tensor], block: Block, where: Where) -> list[str]:
    """Return the options that the weights of the first generation do not show."""
    for key in ("first_conv.0.weight", "mid_block.tfc.H.0.0.weight"):
        shape_of(state, key, (None,) * 4, where=where)
    needed = [*COMMON_QUESTIONS, "tfc_activation" if block == "tfc" else "tfc_tdf_activation"]
    n_gamma, n_beta = _sizes_of_modulation(state, where)
    if n_beta != _all_blocks(state):
        needed.append("condition_to")
    return [*needed, *(("gamma_activation", "beta_activation") if n_gamma == n_beta else ("pocm_type",))]


COMMON_QUESTIONS = ("spec_est_mode", "first_conv_activation", "last_activation")
"""Options that no weight shows, in both generations."""


def _all_blocks(state: Mapping[str, Tensor]) -> int:
    """Return how many shifts a generator has that modulates all blocks."""
    n_blocks = 2 * count_of(state, r"encoders\.(\d+)\.") + 1
    return n_blocks * len(state["first_conv.0.weight"])


def _sizes_of_modulation(state: Mapping[str, Tensor], where: Where) -> tuple[int, int]:
    """Return the number of factors and of shifts that the generator makes."""
    keys = [f"condition_generator.linear_{name}.0.weight" for name in ("gamma", "beta")]
    n_gamma, n_beta = (shape_of(state, key, (None,) * 2, where=where)[0] for key in keys)
    return n_gamma, n_beta


def _v1_modulation(state: Mapping[str, Tensor], stated: StatedOptions, where: Where) -> dict[str, Any]:
    """Return kind, place and activations of the modulation."""
    n_gamma, n_beta = _sizes_of_modulation(state, where)
    is_full = n_beta == _all_blocks(state)
    condition_to = "full" if is_full else stated.require(["condition_to"])["condition_to"]
    if condition_to == "full" and not is_full:
        problem = f"{stated.origins['condition_to']} states condition_to='full', and the weights are for fewer blocks"
        raise WeightsError(problem, where=where, hint="use the options of its own training")
    has_norm = "condition_generator.linear_gamma.2.running_mean" in state
    values = {"condition_to": condition_to, "pocm_norm": "batch_norm" if has_norm else "none"}
    if n_gamma == n_beta:
        if stated.get("film_type") == "simple":
            raise WeightsError("film_type='simple' fails in the authors' own program", where=where)
        return {**values, "modulation": "film", **stated.require(["gamma_activation", "beta_activation"])}
    return {**values, "modulation": "gpocm", **stated.require(["pocm_type"])}


def _v2_config(state: Mapping[str, Tensor], stated: StatedOptions, where: Where) -> LasaftV2Config:
    shape_of(state, "first_conv.0.weight", (None,) * 4, where=where)
    activations = ("tfc_tdf_activation", "downsampling_activation", "upsampling_activation")
    stated.require([*COMMON_QUESTIONS, *activations])
    condition_to = _v2_conditioned(state)
    section = "encoders.0" if condition_to == "encoder" else "decoders.0"
    attention = f"{section}.tfc_lightsaft"
    is_plain = condition_to == "decoder"
    layer = "tdf.tdf.0" if is_plain else "tfc_lightsaft.LaSAFT_bn_layer.0"
    narrow, rows = shape_of(state, f"encoders.0.{layer}.weight", (None,) * 2, where=where)
    middle = "tfc_lightsaft.LaSAFT_bn_layer.0" if condition_to == "full" else "tdf.tdf.0"
    deepest = shape_of(state, f"mid_block.{middle}.weight", (None,) * 2, where=where)[0]
    key_listen = any(key.startswith(f"{attention}.keys.") for key in state)
    query_listen = any(key.startswith(f"{attention}.query_pocm_generator.") for key in state)
    if key_listen:
        latent = shape_of(state, f"{attention}.keys.0.weight", (None,) * 4, where=where)[0]
        dk = shape_of(state, f"{attention}.keys.3.weight", (None,) * 2, where=where)[0]
    else:
        *_, dk, latent = shape_of(state, f"{attention}.keys", (1, 1, None, None), where=where)
    if not is_plain:
        narrow //= latent
    if condition_to == "full":
        deepest //= latent
    if is_linear := "embedding.linear.weight" in state:
        embedding_dim, n_sources = shape_of(state, "embedding.linear.weight", (None,) * 2, where=where)
    else:
        n_sources, embedding_dim = shape_of(state, "embedding.weight", (None,) * 2, where=where)
    return LasaftV2Config(
        **_common(state, stated, where, rows=rows, narrow=narrow, deepest=deepest),
        **stated.require(activations),
        num_tdfs=latent,
        dk=dk,
        tfc_tdf_bias=f"encoders.0.{layer}.bias" in state,
        condition_to=condition_to,
        query_listen=query_listen,
        key_listen=key_listen,
        norm=_v2_norm(state),
        control_vector_type="linear" if is_linear else "embedding",
        control_input_dim=n_sources,
        embedding_dim=embedding_dim,
    )


def _v2_conditioned(state: Mapping[str, Tensor]) -> ConditionTo:
    if any(key.startswith("mid_block.tfc_lightsaft.") for key in state):
        return "full"
    return "encoder" if any(key.startswith("encoders.0.tfc_lightsaft.") for key in state) else "decoder"


def _v2_norm(state: Mapping[str, Tensor]) -> Norm:
    if "first_conv.1.running_mean" in state:
        return "bn"
    return "gn" if "first_conv.1.weight" in state else "in"
