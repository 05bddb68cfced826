"""Weights of the conditioned U-Nets under their published key names, from bare states and Lightning checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.lasaft.config import (
    Activation,
    Block,
    ConditionedUNetConfig,
    LasaftV1Config,
    LasaftV2Config,
    Modulation,
)
from my_submission.networks.lasaft.framework import ConditionedNet, FrameworkConfig, LasaftConfig
from my_submission.networks.strict_loading import load_strictly
from my_submission.weights import read_state_dict

NETWORK_PREFIX = "spec2spec."
WINDOW_KEY = "stft.stft.window"

_WINDOW_TOLERANCE = 1e-5
"""Windows differ between versions of torch in the last bits."""

_NEW_WEIGHT_NORM = (
    (re.compile(r"\.parametrizations\.weight\.original0$"), ".weight_g"),
    (re.compile(r"\.parametrizations\.weight\.original1$"), ".weight_v"),
)


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's part of a state, without its prefix, weight norms under their first names.

    A state without any prefix is taken for the network's alone.
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


def from_state_dict(
    state: Mapping[str, Tensor], *, act: Activation = "relu", where: str | PathLike[str] | None = None
) -> ConditionedNet:
    """The published network (complex spectra, mapping) that ``state`` belongs to, in evaluation mode.

    Args:
        state: under the published key names.
        act: of blocks and first convolution, the one thing that no shape tells.
        where: the file, for messages.

    Raises:
        WeightsError: a key is missing, unexpected or of another shape, or the window is not a Hann window.
    """
    separator = ConditionedNet(FrameworkConfig(network=infer_config(state, act=act, where=where)))
    return load_weights(separator, state, where=where).eval()


def load_weights(
    separator: ConditionedNet, state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None
) -> ConditionedNet:
    """Fill ``separator`` strictly and return it; errors as :func:`from_state_dict`."""
    load_strictly(separator.spec2spec, canonical_state(state), where=where)
    if WINDOW_KEY in state:
        _check_window(state[WINDOW_KEY], separator.config.network.n_fft, where)
    return separator


def from_checkpoint(path: Path, *, act: Activation = "relu") -> ConditionedNet:
    """As :func:`from_state_dict`, from a file of the authors' training program; nothing in it is executed.

    Raises:
        WeightsError: the file is damaged or holds code, or its tensors are not such a network's.
    """
    arrays = read_state_dict(path)
    return from_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()}, act=act, where=path)


def infer_config(
    state: Mapping[str, Tensor], *, act: Activation = "relu", where: str | PathLike[str] | None = None
) -> LasaftConfig:
    """Shape of the published-form network whose weights ``state`` holds.

    Raises:
        WeightsError: a key is missing, or a shape belongs to no such network.
    """
    shapes = _Shapes(canonical_state(state), where)
    try:
        if shapes.count(r"decoders\.\d+\.tfc_lightsaft\.tfc\.H\.(\d{1,2})\."):
            return _v2_config(shapes, act)
        return _v1_config(shapes, act)
    except ValueError as error:
        raise WeightsError(f"the shapes are those of no conditioned U-Net: {error}", where=where) from error


@dataclass(frozen=True)
class _Shapes:
    """Looks shapes up by key."""

    state: Mapping[str, Tensor]
    where: str | PathLike[str] | None

    def __getitem__(self, key: str) -> tuple[int, ...]:
        if key not in self.state:
            hint = "use a checkpoint of LaSAFT, LightSAFT or LASAFT-Net-v2"
            raise WeightsError(f"the weight {key} is missing", where=self.where, hint=hint)
        return tuple(self.state[key].shape)

    def size(self, key: str, axis: int) -> int:
        """One axis of a shape."""
        shape = self[key]
        if axis >= len(shape) or 0 in shape:
            raise WeightsError(f"the weight {key} has the shape {shape}, which is no such network's", where=self.where)
        return shape[axis]

    def count(self, pattern: str) -> int:
        """One more than the largest number that ``pattern`` finds in the keys; 0 without any."""
        found = [int(match.group(1)) for key in self.state if (match := re.match(pattern, key))]
        return max(found, default=-1) + 1


def _skeleton(shapes: _Shapes, act: Activation, *, rows: int, narrow: int, deepest: int) -> dict[str, Any]:
    """What both generations tell the same way.

    ``narrow`` and ``deepest`` are the widths of the outermost and the innermost bottleneck.
    """
    default = ConditionedUNetConfig()
    least = min(default.min_bn_units, deepest)
    first = "first_conv.0.weight"
    return {
        "n_fft": 2 * rows,
        "input_channels": shapes.size(first, 1),
        "internal_channels": shapes.size(first, 0),
        "n_blocks": 2 * shapes.count(r"encoders\.(\d{1,2})\.") + 1,
        "n_internal_layers": shapes.count(r"mid_block\.tfc\.H\.(\d{1,2})\."),
        "kernel_size_t": shapes.size("mid_block.tfc.H.0.0.weight", 2),
        "kernel_size_f": shapes.size("mid_block.tfc.H.0.0.weight", 3),
        "first_conv_activation": act,
        "tfc_tdf_activation": act,
        "bn_factor": default.bn_factor if narrow == least else rows // narrow,
        "min_bn_units": least,
        "control_input_dim": shapes.size("embedding.weight", 0),
        "embedding_dim": shapes.size("embedding.weight", 1),
    }


def _v1_config(shapes: _Shapes, act: Activation) -> LasaftV1Config:
    dk, latent = shapes.size("encoders.0.keys", 0), shapes.size("encoders.0.keys", 1)
    is_light = any(".LaSAFT_bn_layer." in key for key in shapes.state)
    block: Block = "tfc_lightsaft" if is_light else "tfc_lasaft"
    layer = "LaSAFT_bn_layer.0" if is_light else "tdfs.tdf.0"
    units = [shapes.size(f"{place}.{layer}.weight", 0) for place in ("encoders.0", "mid_block")]
    rows = shapes.size(f"encoders.0.{layer}.weight", 1)
    # LightSAFT's bottleneck is as wide for every latent source, LaSAFT's serves them all.
    narrow, deepest = (width // latent for width in units) if is_light else units
    values = _skeleton(shapes, act, rows=rows, narrow=narrow, deepest=deepest)
    if not is_light and narrow != values["min_bn_units"]:
        values["bn_factor"] = rows * latent // narrow
    return LasaftV1Config(
        **values,
        block=block,
        num_tdfs=latent,
        dk=dk,
        tfc_tdf_bias=f"encoders.0.{layer}.bias" in shapes.state,
        modulation=_modulation(shapes, values["n_blocks"] // 2, values["internal_channels"]),
        control_n_layer=_control_steps(shapes) + 1,
        pocm_norm=_pocm_norm(shapes),
    )


def _modulation(shapes: _Shapes, n_decoders: int, channels: int) -> Modulation:
    n_gamma = shapes.size("condition_generator.linear_gamma.0.weight", 0)
    return "gpocm" if n_gamma == n_decoders * channels**2 else "gfilm"


def _pocm_norm(shapes: _Shapes) -> Literal["batch_norm", "none"]:
    return "batch_norm" if "condition_generator.linear_gamma.2.running_mean" in shapes.state else "none"


def _control_steps(shapes: _Shapes) -> int:
    """Linear layers of the control network: its matrices."""
    pattern = re.compile(r"condition_generator\.dense_control_block\.linear\.\d+\.weight")
    return sum(1 for key, value in shapes.state.items() if pattern.fullmatch(key) and value.dim() == 2)


def _v2_config(shapes: _Shapes, act: Activation) -> LasaftV2Config:
    saft, tdf = "decoders.0.tfc_lightsaft", "encoders.0.tdf.tdf.0"
    narrow, deepest = shapes.size(f"{tdf}.weight", 0), shapes.size("mid_block.tdf.tdf.0.weight", 0)
    values = _skeleton(shapes, act, rows=shapes.size(f"{tdf}.weight", 1), narrow=narrow, deepest=deepest)
    return LasaftV2Config(
        **values,
        num_tdfs=shapes.size(f"{saft}.keys.0.weight", 0),
        dk=shapes.size(f"{saft}.keys.3.weight", 0),
        tfc_tdf_bias=f"{tdf}.bias" in shapes.state,
    )


def _check_window(window: Tensor, n_fft: int, where: str | PathLike[str] | None) -> None:
    if tuple(window.shape) != (n_fft,):
        shapes = f"{tuple(window.shape)}, expected {(n_fft,)}"
        raise WeightsError(f"the weight {WINDOW_KEY} has the shape {shapes}", where=where)
    difference = float((window - torch.hann_window(n_fft, periodic=True)).abs().max())
    if not difference <= _WINDOW_TOLERANCE:
        problem = f"the weight {WINDOW_KEY} is no periodic Hann window (it differs by {difference:.2g})"
        raise WeightsError(problem, where=where, hint="use a checkpoint that was trained with one")
