"""Weights of TFC-TDF networks under the two published sets of key names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike

from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.strict_loading import load_strictly
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
    """The state under the submission class's key names, whichever of the two classes it came from."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in NOT_TRAINED:
            continue
        name = key
        for pattern, replacement in _TRAINING_NAMES:
            name = pattern.sub(replacement, name)
        renamed[name] = value
    return renamed


def infer_config(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> TfcTdfConfig:
    """Shape of the published-form network whose weights ``state`` holds, under either set of key names.

    Raises:
        WeightsError: a key is missing or a shape does not belong to a TFC-TDF network.
    """
    names = canonical_state(state)

    def shape_of(key: str) -> tuple[int, ...]:
        if key not in names:
            raise WeightsError(f"no {key} among the weights of a TFC-TDF network", where=where)
        return tuple(names[key].shape)

    growth, channels = shape_of("first_conv.0.weight")[:2]
    narrow, bins = shape_of("ds_dense.0.tdf.0.weight")
    kernel = shape_of("ds_dense.0.H.0.0.weight")[-1]
    try:
        return TfcTdfConfig(
            bins=bins,
            depth=2 * _count(names, r"^ds\.(\d+)\.") + 1,
            growth=growth,
            convs_per_block=_count(names, r"^mid_dense\.H\.(\d+)\."),
            kernel=kernel,
            bottleneck=bins // narrow,
            tdf_bias="ds_dense.0.tdf.0.bias" in names,
            channels=channels,
        )
    except ValueError as error:
        raise WeightsError(f"the shapes are not those of a TFC-TDF network: {error}", where=where) from error


def _count(names: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number that ``pattern`` finds in the keys; 0 without any."""
    found = [int(match.group(1)) for name in names if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1


def load_weights(net: TfcTdfNet, state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> TfcTdfNet:
    """Fills ``net`` from a state under either set of key names and returns it.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    load_strictly(net, canonical_state(state), where=where)
    return net


def from_state_dict(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> TfcTdfNet:
    """The published-form network that ``state`` belongs to, in evaluation mode.

    Raises:
        WeightsError: the state is not that of a TFC-TDF network.
    """
    return load_weights(TfcTdfNet(infer_config(state, where=where)), state, where=where).eval()
