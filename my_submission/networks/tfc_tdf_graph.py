"""Rebuilds a published TFC-TDF network in torch from its exported ONNX graph."""

from __future__ import annotations

from os import PathLike

import torch

from my_submission.graphs.tfc_tdf_walk import TfcTdfWalk, load_model, well_formed
from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.networks.tfc_tdf_weights import from_state_dict


def from_onnx(path: str | PathLike[str]) -> TfcTdfNet:
    """The published-form network whose exported graph ``path`` holds, in evaluation mode.

    Convolutions may have their normalisation folded in or beside them; float16 weights are widened.

    Raises:
        WeightsError: the file is no ONNX model, or a node is not where a TFC-TDF network has it.
    """
    with well_formed(path):
        walk = TfcTdfWalk(load_model(path).graph, path)
        walk.network()
    return from_state_dict({key: torch.from_numpy(value) for key, value in walk.state.items()}, where=path)
