"""Weights of a Hybrid Demucs under torchaudio's key names."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.hybrid_demucs.network import HybridDemucs
from my_submission.networks.hybrid_demucs.shape import KERNEL, HybridDemucsConfig
from my_submission.networks.strict_loading import shape_of, take_over


def infer_config(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> HybridDemucsConfig:
    """Sources, channels and width from the shapes of a state dict.

    Raises:
        WeightsError: a key is missing, or a shape belongs to no Hybrid Demucs.
    """
    width, inputs, *_ = shape_of(state, "time_encoder.0.conv.weight", (None, None, KERNEL), where=where)
    outputs = shape_of(state, "time_decoder.4.conv_tr.weight", (width, None, KERNEL), where=where)[1]
    if outputs % inputs:
        problem = f"{outputs} output channels are no multiple of the {inputs} of the mixture"
        raise WeightsError(problem, where=where, hint="use a checkpoint of a Hybrid Demucs")
    try:
        return HybridDemucsConfig(outputs // inputs, inputs, width)
    except ValueError as error:
        raise WeightsError(f"the shapes are those of no Hybrid Demucs: {error}", where=where) from error


def from_state_dict(state: Mapping[str, Tensor], *, where: str | PathLike[str] | None = None) -> HybridDemucs:
    """The network that a state dict belongs to, in evaluation mode, on the state's own memory.

    Raises:
        WeightsError: a key is missing, unexpected, or of another shape; the message names it.
    """
    config = infer_config(state, where=where)
    with torch.device("meta"):
        network = HybridDemucs(config.sources, config.audio_channels, config.channels)
    return take_over(network, state, where=where)
