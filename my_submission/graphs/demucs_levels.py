"""Demucs v2 as ONNX subgraphs, one per level, built from the tensors of a checkpoint.

One graph of the whole network would need its widest activations and all of its weights at once. Level by level, a
caller can work in tiles, run several segments through the LSTM together and close levels after use.
Convolutions over time are 1xN convolutions over images of one row, which runtimes compute faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from my_submission.graphs.demucs_shape import KERNEL, STRIDE, resample_kernels
from my_submission.graphs.subgraph import INPUT, OUTPUT, Array, Subgraph, build_subgraph, node

MIN_FED_BYTES = 8 << 20
"""Minimum size of weights that are fed. A runtime's reordered copy of smaller ones is worth its memory; the published
network's inner two levels, nine tenths of the weights, run a tenth slower when fed."""


def encoder_level(state: Mapping[str, Array], level: int) -> Subgraph:
    """Return the graph of (B, inputs, 1, S) to (B, width, 1, (S − 8)/4 + 1): convolution, ReLU, gated convolution."""
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
    """Return the graph of (B, width, 1, S) to (B, outputs, 1, (S − 3)·4 + 8).

    A gated convolution, a transposed convolution and, except at the outermost level, a ReLU.
    """
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
    """Return the graph of padded (rows, 1, 1, S) to (rows, new, 1, steps), one phase per channel.

    See :func:`~my_submission.graphs.demucs_shape.resample_kernels`.
    """
    kernels, _ = resample_kernels(old, new)
    nodes = [node("Conv", [INPUT, "kernels"], OUTPUT, strides=[1, old])]
    return build_subgraph(nodes, {INPUT: ("rows", 1, 1, "samples")}, {"kernels": kernels[:, :, None]})


def level_tensors(side: str, level: int) -> list[str]:
    """Return the names of a level's tensors; ``side`` is "encoder" or "decoder"."""
    return [f"{side}.{level}.{index}.{kind}" for index in (0, 2) for kind in ("weight", "bias")]


def _gated(halves: str, output: str) -> list[Any]:
    """Return the nodes of a gated linear unit: half of the channels times the sigmoid of the other half."""
    return [
        node("Split", [halves], "values", "gates", axis=1),
        node("Sigmoid", ["gates"], "open"),
        node("Mul", ["values", "open"], output),
    ]


def _level(nodes: list[Any], channels: int, weights: Mapping[str, Array]) -> Subgraph:
    fed = {name: array for name, array in weights.items() if array.nbytes >= MIN_FED_BYTES}
    held = {name: array for name, array in weights.items() if name not in fed}
    return build_subgraph(nodes, {INPUT: ("batch", channels, 1, "samples")}, held, fed=fed)
