"""Demucs v2 as small ONNX graphs, one a level, built straight from the tensors of a checkpoint; without torch.

One graph of the whole network would need its widest activations whole and all of its weights at once; level by level,
a caller works in tiles, runs several segments through the LSTM together and drops what it no longer needs.
Convolutions over time are written as 1xN convolutions over a picture of one row, for which runtimes have faster code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from my_submission.graphs.demucs_shape import KERNEL, STRIDE, resample_kernels
from my_submission.graphs.subgraph import INPUT, OUTPUT, Array, Subgraph, graph_piece, node

FED_FROM_BYTES = 8 << 20
"""Weights of a level that are at least as large are fed. A runtime's own order of smaller ones is worth the copy: the
published network's inner two levels, nine tenths of the weights, take a tenth longer for being fed."""


def encoder_level(state: Mapping[str, Array], level: int) -> Subgraph:
    """(B, inputs, 1, S) to (B, width, 1, (S − 8)/4 + 1): convolution, ReLU, gate."""
    weights = {
        "narrowing": state[f"encoder.{level}.0.weight"][:, :, None],
        "narrowing.bias": state[f"encoder.{level}.0.bias"],
        "gate": state[f"encoder.{level}.2.weight"][:, :, None],
        "gate.bias": state[f"encoder.{level}.2.bias"],
    }
    nodes = [
        node("Conv", [INPUT, "narrowing", "narrowing.bias"], "narrow", kernel_shape=[1, KERNEL], strides=[1, STRIDE]),
        node("Relu", ["narrow"], "positive"),
        node("Conv", ["positive", "gate", "gate.bias"], "halves"),
        *_gated("halves", OUTPUT),
    ]
    return _level(nodes, weights["narrowing"].shape[1], weights)


def decoder_level(state: Mapping[str, Array], level: int, *, is_outermost: bool) -> Subgraph:
    """(B, width, 1, S) to (B, outputs, 1, (S − 3)·4 + 8): convolution, gate, transposed convolution, ReLU inside."""
    weights = {
        "context": state[f"decoder.{level}.0.weight"][:, :, None],
        "context.bias": state[f"decoder.{level}.0.bias"],
        "widening": state[f"decoder.{level}.2.weight"][:, :, None],
        "widening.bias": state[f"decoder.{level}.2.bias"],
    }
    widened = OUTPUT if is_outermost else "wide"
    nodes = [
        node("Conv", [INPUT, "context", "context.bias"], "halves"),
        *_gated("halves", "gated"),
        node(
            "ConvTranspose",
            ["gated", "widening", "widening.bias"],
            widened,
            kernel_shape=[1, KERNEL],
            strides=[1, STRIDE],
        ),
    ]
    if not is_outermost:
        nodes.append(node("Relu", [widened], OUTPUT))
    return _level(nodes, weights["context"].shape[1], weights)


def resampler(old: int, new: int) -> Subgraph:
    """(rows, 1, 1, S) padded by its caller to (rows, new, 1, steps): one phase a channel; see ``resample_kernels``."""
    kernels, _ = resample_kernels(old, new)
    nodes = [node("Conv", [INPUT, "kernels"], OUTPUT, strides=[1, old])]
    return graph_piece(nodes, {INPUT: ("rows", 1, 1, "samples")}, {"kernels": kernels[:, :, None]})


def level_tensors(side: str, level: int) -> list[str]:
    """Names of the tensors of a level; ``side`` is "encoder" or "decoder"."""
    return [f"{side}.{level}.{index}.{kind}" for index in (0, 2) for kind in ("weight", "bias")]


def _gated(halves: str, output: str) -> list[Any]:
    """The first half of the channels times the sigmoid of the second."""
    return [
        node("Split", [halves], "values", "gates", axis=1),
        node("Sigmoid", ["gates"], "open"),
        node("Mul", ["values", "open"], output),
    ]


def _level(nodes: list[Any], channels: int, weights: Mapping[str, Array]) -> Subgraph:
    held = {name: array for name, array in weights.items() if array.nbytes < FED_FROM_BYTES}
    fed = {name: array for name, array in weights.items() if name not in held}
    return graph_piece(nodes, {INPUT: ("batch", channels, 1, "samples")}, held, fed=fed)
