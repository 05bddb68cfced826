"""Initial weights: published distributions, and weights of exported TFC-TDF graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from my_submission.errors import WeightsError
from my_submission.graphs.tfc_tdf_walk import load_model
from my_submission.networks.joint_tfc_tdf import JointNet
from my_submission.networks.lasaft.config import Activation
from my_submission.networks.strict_loading import load_strictly
from my_submission.networks.tfc_tdf import TfcTdfNet

HALF_SUFFIX = ".half"
"""Suffix of weights stored as float16; a Cast in the graph has the name without it."""

LAST_LAYER = "final_conv.0."
JOINT_LAST_LAYERS = "last."

Initialiser = Literal[
    "last_activation",
    "kaiming",
    "kaiming_normal",
    "kaiming_uniform",
    "xavier",
    "xavier_normal",
    "xavier_uniform",
    "torch",
]
"""Distributions of initial weights, under the names of LASAFT-Net-v2; ``last_activation`` is LaSAFT's rule, and
``torch`` keeps each layer's own."""

RESCALE_REFERENCE = 0.1
"""Standard deviation that :func:`rescale_convolutions` compares weights with."""


@torch.no_grad()
def draw_weights(network: nn.Module, initialiser: Initialiser, last_activation: Activation) -> None:
    """Draw all parameters of two or more dimensions, embeddings too, from a published distribution.

    Args:
        network: the network; biases and norms are not changed.
        initialiser: ``kaiming…`` has a standard deviation of √(2 / inputs), ``xavier…`` of √(2 / (inputs + outputs)).
            ``last_activation`` is the rule of LaSAFT and LightSAFT: Kaiming-normal if the network ends in relu or
            leaky_relu, else Xavier-normal.
        last_activation: activation of the network's output.
    """
    if initialiser == "torch":
        return
    if initialiser == "last_activation":
        initialiser = "kaiming_normal" if last_activation in {"relu", "leaky_relu"} else "xavier_normal"
    for parameter in network.parameters():
        if parameter.dim() < 2:
            continue
        if initialiser in {"kaiming", "kaiming_normal"}:
            nn.init.kaiming_normal_(parameter)
        elif initialiser == "kaiming_uniform":
            nn.init.kaiming_uniform_(parameter)
        elif initialiser == "xavier_uniform":
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.xavier_normal_(parameter)


@torch.no_grad()
def rescale_convolutions(network: nn.Module) -> None:
    """Divide weights and bias of each 1-D convolution by √(std of its weights / 0.1), as published for Demucs."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            scale = torch.sqrt(module.weight.std() / RESCALE_REFERENCE)
            for parameter in module.parameters():
                parameter.div_(scale)


def start_from(network: TfcTdfNet, targets: Sequence[str], graphs: Mapping[str, Path]) -> None:
    """Load the weights of exported graphs into a network.

    The last layer's rows of each target come from its graph, all other layers from the first graph. Targets without a
    graph keep their rows.

    Args:
        network: network that predicts ``targets``, in this order.
        targets: its sources.
        graphs: graph per source, of a network of one target and otherwise the same shape.

    Raises:
        WeightsError: a file is not such a graph, or its network has another shape.
    """
    own = network.state_dict()
    for number, (target, path) in enumerate(graphs.items()):
        single = TfcTdfNet(replace(network.config, targets=1))
        load_strictly(single, _graph_state(single, load_model(path), path), where=path)
        for name, value in single.state_dict().items():
            if name.startswith(LAST_LAYER):
                _copy_rows(value, [target], own[name], targets)
            elif number == 0:
                own[name] = value
    network.load_state_dict(own)


def start_joint_from(network: JointNet, targets: Sequence[str], graph: Path) -> None:
    """Load the weights of an exported joint graph into a network.

    The last layers' rows of each target are those of the graph's source of that name; targets that the graph does not
    have keep their rows.

    Args:
        network: network that predicts ``targets``, in this order.
        targets: its sources.
        graph: graph of a network of otherwise the same shape, whose sources are some or all of the targets.

    Raises:
        WeightsError: the file is not such a graph, or its network has another shape or other sources.
    """
    model = load_model(graph)
    fields = {pair.key: pair.value for pair in model.metadata_props}
    sources = fields.get("sources", "").split(",")
    if not set(sources) <= set(targets):
        problem = f"the graph predicts {', '.join(sources) or 'no named sources'}, the network {', '.join(targets)}"
        raise WeightsError(problem, where=graph, hint="name a graph whose sources the network has too")
    stored = JointNet(replace(network.config, targets=len(sources)))
    load_strictly(stored, _graph_state(stored, model, graph), where=graph)
    own = network.state_dict()
    for name, value in stored.state_dict().items():
        if name.startswith(JOINT_LAST_LAYERS):
            _copy_rows(value, sources, own[name], targets)
        else:
            own[name] = value
    network.load_state_dict(own)


def _copy_rows(stored: Tensor, sources: Sequence[str], own: Tensor, targets: Sequence[str]) -> None:
    """Copy a last layer's rows of ``sources`` into those of the same names in the last layer of ``targets``."""
    own_rows = own.chunk(len(targets))
    for source, rows in zip(sources, stored.chunk(len(sources)), strict=True):
        own_rows[targets.index(source)].copy_(rows)


def _graph_state(like: TfcTdfNet | JointNet, model: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict of the network in an exported graph, the ``onnx.ModelProto`` of a file.

    The exporter keeps the names of all weights except those of linear layers without bias. These are stored transposed
    as inputs of the MatMul nodes, which are in the order of execution.
    """
    from onnx import numpy_helper

    graph = model.graph
    stored = {
        tensor.name.removesuffix(HALF_SUFFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for tensor in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:  # the exporter stores equal weights once
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
    """Return the keys of the linear layers' weights in the order of execution."""
    names: dict[Any, str] = {module: f"{name}.weight" for name, module in network.named_modules()}
    return [names[layer] for block in network.blocks for layer in block.modules() if isinstance(layer, torch.nn.Linear)]
