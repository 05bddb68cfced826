"""Training that starts from the weights of exported TFC-TDF graphs instead of random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.graphs.tfc_tdf_walk import load_model
from my_submission.networks.joint_tfc_tdf import JointNet
from my_submission.networks.strict_loading import load_strictly
from my_submission.networks.tfc_tdf import TfcTdfNet

HALF_SUFFIX = ".half"
"""Of weights that are stored as float16; the graph widens them under the name without it."""

LAST_LAYER = "final_conv.0."


def start_from(network: TfcTdfNet, targets: Sequence[str], graphs: Mapping[str, Path]) -> None:
    """Fills ``network``, in place, with the weights of graphs that ``training.export.tfc_tdf`` wrote.

    Every graph brings the last layer's rows of its target, and the first one all other layers. Targets without a graph
    keep the rows they have.

    Args:
        network: that predicts ``targets``, in this order.
        targets: its sources.
        graphs: source to the graph of a network of one target and otherwise the same shape.

    Raises:
        WeightsError: a file is no such graph, or its network has another shape; the message names the weight.
    """
    config, own = network.config, network.state_dict()
    n_rows = config.channels * config.bins_per_row
    for number, (target, path) in enumerate(graphs.items()):
        single = TfcTdfNet(replace(config, targets=1))
        load_strictly(single, _graph_state(single, path), where=path)
        first = targets.index(target) * n_rows
        for name, value in single.state_dict().items():
            if name.startswith(LAST_LAYER):
                own[name][first : first + n_rows] = value
            elif number == 0:
                own[name] = value
    network.load_state_dict(own)


def start_joint_from(network: JointNet, graph: Path) -> None:
    """Fills ``network``, in place, with the weights of a graph that ``training.export.joint`` wrote.

    Raises:
        WeightsError: the file is no such graph, or its network has another shape; the message names the weight.
    """
    load_strictly(network, _graph_state(network, graph), where=graph)


def _graph_state(like: TfcTdfNet | JointNet, path: Path) -> dict[str, Tensor]:
    """The state of the network that an exported graph holds.

    The exporter keeps the names of all weights but those of linear layers without a bias: these stand transposed at
    the graph's MatMul nodes, which come in the order in which the layers run.
    """
    from onnx import numpy_helper

    graph = load_model(path).graph
    stored = {
        tensor.name.removesuffix(HALF_SUFFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for tensor in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:  # how the exporter stores equal weights once
            stored[node.output[0]] = stored[node.input[0]]
    multiplied = [node.input[1] for node in graph.node if node.op_type == "MatMul"]
    linear = _linear_weights(like)
    if len(multiplied) != len(linear) or not set(multiplied) <= stored.keys():
        raise WeightsError(
            f"the graph has {len(multiplied)} linear layers, not the {len(linear)} of this network",
            where=path,
            hint="name the graph of a network of the same shape",
        )
    state = {name: value for name, value in stored.items() if name not in multiplied}
    return state | {name: stored[product].T for name, product in zip(linear, multiplied, strict=True)}


def _linear_weights(network: TfcTdfNet | JointNet) -> list[str]:
    """Keys of the linear layers' weights in the order in which they run."""
    names: dict[Any, str] = {module: f"{name}.weight" for name, module in network.named_modules()}
    return [names[layer] for block in network.blocks for layer in block.modules() if isinstance(layer, torch.nn.Linear)]
