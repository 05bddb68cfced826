"""Weights of TFC-TDF networks: state dicts under the two published sets of key names, and ONNX graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor

from my_submission.graphs.tfc_tdf_walk import TfcTdfWalk, load_model, well_formed
from my_submission.networks.strict_loading import Where, count_of, known_shapes, load_strictly, shape_of
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet

NOT_TRAINED = frozenset({"window", "freq_pad"})
"""Buffers that the training class stores beside its weights."""

_TRAINING_NAMES = (
    (re.compile(r"^encoding_blocks\.(\d+)\.tfc\.H\."), r"ds_dense.\1.H."),
    (re.compile(r"^encoding_blocks\.(\d+)\.tdf\."), r"ds_dense.\1.tdf."),
    (re.compile(r"^decoding_blocks\.(\d+)\.tfc\.H\."), r"us_dense.\1.H."),
    (re.compile(r"^decoding_blocks\.(\d+)\.tdf\."), r"us_dense.\1.tdf."),
    (re.compile(r"^bottleneck_block\.tfc\.H\."), "mid_dense.H."),
    (re.compile(r"^bottleneck_block\.tdf\."), "mid_dense.tdf."),
)


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of either class under the submission class's key names."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in NOT_TRAINED:
            continue
        name = key
        for pattern, replacement in _TRAINING_NAMES:
            name = pattern.sub(replacement, name)
        renamed[name] = value
    return renamed


def infer_config(state: Mapping[str, Tensor], *, where: Where = None) -> TfcTdfConfig:
    """Return the shape of the published-form network of a state under either set of key names.

    Raises:
        WeightsError: a key is missing or a shape does not belong to a TFC-TDF network.
    """
    state = canonical_state(state)
    growth, channels, *_ = shape_of(state, "first_conv.0.weight", (None, None, None, None), where=where)
    narrow, bins = shape_of(state, "ds_dense.0.tdf.0.weight", (None, None), where=where)
    kernel = shape_of(state, "ds_dense.0.H.0.0.weight", (None, None, None, None), where=where)[-1]
    with known_shapes("TFC-TDF network", where):
        return TfcTdfConfig(
            bins=bins,
            depth=2 * count_of(state, r"ds\.(\d+)\.") + 1,
            growth=growth,
            convs_per_block=count_of(state, r"mid_dense\.H\.(\d+)\."),
            kernel=kernel,
            bottleneck=bins // narrow if "ds_dense.0.tdf.3.weight" in state else 0,
            tdf_bias="ds_dense.0.tdf.0.bias" in state,
            channels=channels,
        )


def load_weights(net: TfcTdfNet, state: Mapping[str, Tensor], *, where: Where = None) -> TfcTdfNet:
    """Copy a state under either set of key names into ``net``, and return it.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    load_strictly(net, canonical_state(state), where=where)
    return net


def from_state_dict(state: Mapping[str, Tensor], *, where: Where = None) -> TfcTdfNet:
    """Return the published-form network of a state, in evaluation mode.

    Raises:
        WeightsError: the state is not that of a TFC-TDF network.
    """
    return load_weights(TfcTdfNet(infer_config(state, where=where)), state, where=where).eval()


def from_onnx(path: str | PathLike[str]) -> TfcTdfNet:
    """Return the published-form network of an exported graph, in evaluation mode; float16 weights are widened.

    Raises:
        WeightsError: the file is not an ONNX model, or not that of a TFC-TDF network.
    """
    with well_formed(path):
        walk = TfcTdfWalk(load_model(path).graph, path)
        walk.network()
    return from_state_dict({key: torch.from_numpy(value) for key, value in walk.state.items()}, where=path)
