"""Weights of the conditioned U-Nets under their published key names, from state dicts and Lightning checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.lasaft.config import Activation, ConditionedUNetConfig, LasaftV1Config, LasaftV2Config
from my_submission.networks.lasaft.framework import ConditionedNet, FrameworkConfig, LasaftConfig
from my_submission.networks.strict_loading import Where, count_of, known_shapes, load_strictly, shape_of
from my_submission.weights import read_state_dict

NETWORK_PREFIX = "spec2spec."
WINDOW_KEY = "stft.stft.window"

_WINDOW_TOLERANCE = 1e-5
"""Maximum difference of windows, which differ between versions of torch in the last bits."""

_NEW_WEIGHT_NORM = (
    (re.compile(r"\.parametrizations\.weight\.original0$"), ".weight_g"),
    (re.compile(r"\.parametrizations\.weight\.original1$"), ".weight_v"),
)


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's part of a state without its prefix, with weight norms under torch's first names.

    A state without prefix is used as it is.
    """
    has_prefix = any(key.startswith(NETWORK_PREFIX) for key in state)
    renamed = {}
    for key, value in state.items():
        if key == WINDOW_KEY:
            continue
        name = key.removeprefix(NETWORK_PREFIX) if has_prefix else key
        for pattern, replacement in _NEW_WEIGHT_NORM:
            name = pattern.sub(replacement, name)
        renamed[name] = value
    return renamed


def from_state_dict(state: Mapping[str, Tensor], *, act: Activation = "relu", where: Where = None) -> ConditionedNet:
    """Return the published network (complex spectra, mapping) of a state, in evaluation mode.

    Args:
        state: under the published key names.
        act: activation of blocks and first convolution, which no shape shows.
        where: the file, for error messages.

    Raises:
        WeightsError: a key is missing, unexpected or of another shape, or the window is not a Hann window.
    """
    separator = ConditionedNet(FrameworkConfig(network=infer_config(state, act=act, where=where)))
    return load_weights(separator, state, where=where).eval()


def load_weights(separator: ConditionedNet, state: Mapping[str, Tensor], *, where: Where = None) -> ConditionedNet:
    """Copy a state strictly into ``separator``, and return it; errors as :func:`from_state_dict`."""
    load_strictly(separator.spec2spec, canonical_state(state), where=where)
    if WINDOW_KEY in state:
        _check_window(state[WINDOW_KEY], separator.config.network.n_fft, where)
    return separator


def from_checkpoint(path: Path, *, act: Activation = "relu") -> ConditionedNet:
    """As :func:`from_state_dict`, from a file of the authors' training program; code in it is never executed.

    Raises:
        WeightsError: the file is damaged, contains code, or is no such network.
    """
    arrays = read_state_dict(path)
    return from_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()}, act=act, where=path)


def infer_config(state: Mapping[str, Tensor], *, act: Activation = "relu", where: Where = None) -> LasaftConfig:
    """Return the shape of the published-form network of a state.

    Raises:
        WeightsError: a key is missing, or a shape belongs to no such network.
    """
    state = canonical_state(state)
    is_v2 = any(".tfc_lightsaft." in key for key in state)
    with known_shapes("conditioned U-Net", where):
        return _v2_config(state, act, where) if is_v2 else _v1_config(state, act, where)


def _common(
    state: Mapping[str, Tensor], act: Activation, where: Where, *, rows: int, narrow: int, deepest: int
) -> dict[str, Any]:
    """Return the options of both generations.

    ``narrow`` and ``deepest`` are the widths of the outermost and the innermost bottleneck.
    """
    default = ConditionedUNetConfig()
    min_units = min(default.min_bn_units, deepest)
    channels, inputs, *_ = shape_of(state, "first_conv.0.weight", (None,) * 4, where=where)
    *_, kernel_t, kernel_f = shape_of(state, "mid_block.tfc.H.0.0.weight", (None,) * 4, where=where)
    n_sources, embedding_dim = shape_of(state, "embedding.weight", (None,) * 2, where=where)
    return {
        "n_fft": 2 * rows,
        "input_channels": inputs,
        "internal_channels": channels,
        "n_blocks": 2 * count_of(state, r"encoders\.(\d+)\.") + 1,
        "n_internal_layers": count_of(state, r"mid_block\.tfc\.H\.(\d+)\."),
        "kernel_size_t": kernel_t,
        "kernel_size_f": kernel_f,
        "first_conv_activation": act,
        "tfc_tdf_activation": act,
        "bn_factor": default.bn_factor if narrow == min_units else rows // narrow,
        "min_bn_units": min_units,
        "control_input_dim": n_sources,
        "embedding_dim": embedding_dim,
    }


def _v1_config(state: Mapping[str, Tensor], act: Activation, where: Where) -> LasaftV1Config:
    dk, latent = shape_of(state, "encoders.0.keys", (None,) * 2, where=where)
    is_light = any(".LaSAFT_bn_layer." in key for key in state)
    layer = "LaSAFT_bn_layer.0" if is_light else "tdfs.tdf.0"
    narrow, rows = shape_of(state, f"encoders.0.{layer}.weight", (None,) * 2, where=where)
    deepest = shape_of(state, f"mid_block.{layer}.weight", (None,) * 2, where=where)[0]
    if is_light:  # one bottleneck per latent source; LaSAFT has one for all
        narrow, deepest = narrow // latent, deepest // latent
    values = _common(state, act, where, rows=rows, narrow=narrow, deepest=deepest)
    if not is_light and narrow != values["min_bn_units"]:
        values["bn_factor"] = rows * latent // narrow
    gamma = "condition_generator.linear_gamma"
    n_gamma = shape_of(state, f"{gamma}.0.weight", (None,) * 2, where=where)[0]
    is_pocm = n_gamma == values["n_blocks"] // 2 * values["internal_channels"] ** 2
    control = re.compile(r"condition_generator\.dense_control_block\.linear\.\d+\.weight")
    return LasaftV1Config(
        **values,
        block="tfc_lightsaft" if is_light else "tfc_lasaft",
        num_tdfs=latent,
        dk=dk,
        tfc_tdf_bias=f"encoders.0.{layer}.bias" in state,
        modulation="gpocm" if is_pocm else "gfilm",
        control_n_layer=1 + sum(bool(control.fullmatch(key)) and value.dim() == 2 for key, value in state.items()),
        pocm_norm="batch_norm" if f"{gamma}.2.running_mean" in state else "none",
    )


def _v2_config(state: Mapping[str, Tensor], act: Activation, where: Where) -> LasaftV2Config:
    keys, tdf = "decoders.0.tfc_lightsaft.keys", "encoders.0.tdf.tdf.0"
    narrow, rows = shape_of(state, f"{tdf}.weight", (None,) * 2, where=where)
    deepest = shape_of(state, "mid_block.tdf.tdf.0.weight", (None,) * 2, where=where)[0]
    return LasaftV2Config(
        **_common(state, act, where, rows=rows, narrow=narrow, deepest=deepest),
        num_tdfs=shape_of(state, f"{keys}.0.weight", (None,) * 4, where=where)[0],
        dk=shape_of(state, f"{keys}.3.weight", (None,) * 2, where=where)[0],
        tfc_tdf_bias=f"{tdf}.bias" in state,
    )


def _check_window(window: Tensor, n_fft: int, where: Where) -> None:
    if tuple(window.shape) != (n_fft,):
        shapes = f"{tuple(window.shape)}, expected {(n_fft,)}"
        raise WeightsError(f"the weight {WINDOW_KEY} has the shape {shapes}", where=where)
    difference = float((window - torch.hann_window(n_fft, periodic=True)).abs().max())
    if not difference <= _WINDOW_TOLERANCE:
        problem = f"the weight {WINDOW_KEY} is no periodic Hann window (it differs by {difference:.2g})"
        raise WeightsError(problem, where=where, hint="use a checkpoint that was trained with one")
