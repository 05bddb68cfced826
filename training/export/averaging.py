"""Mean of the weights of several graphs ("model soups", Wortsman et al. 2022).

Networks fine-tuned from the same weights can be averaged weight by weight. The mean often generalises better than each
of them, at the same inference cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from my_submission.errors import InputError, WeightsError
from my_submission.files.part_files import written_whole
from my_submission.graphs.tfc_tdf_walk import load_model


def average_graphs(paths: Sequence[Path], target: Path) -> None:
    """Write the graph with the mean weights of several graphs of the same network.

    Means are computed in double precision and stored in the precision of the weights. Nodes and metadata are those of
    the first graph.

    Args:
        paths: at least two graphs; constants that are not floating-point must be equal.
        target: the output file.

    Raises:
        InputError: fewer than two graphs.
        WeightsError: a file is not a graph, or its network differs from the first.
    """
    from onnx import numpy_helper

    if len(paths) < 2:
        raise InputError(f"{len(paths)} graph cannot be averaged", hint="name two or more")
    first, *others = models = [load_model(path) for path in paths]
    weights = [_weights(model) for model in models]
    for path, model, held in zip(paths[1:], others, weights[1:], strict=True):
        _check_like(first, model, weights[0], held, path)
    for tensor in first.graph.initializer:
        stack = [held[tensor.name] for held in weights]
        if np.issubdtype(stack[0].dtype, np.floating):
            mean = np.mean([values.astype(np.float64) for values in stack], axis=0)
            tensor.CopyFrom(numpy_helper.from_array(mean.astype(stack[0].dtype), tensor.name))
    with written_whole(target) as partial:
        partial.write_bytes(first.SerializeToString())


def _weights(model: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _check_like(first: Any, model: Any, expected: dict[str, Any], held: dict[str, Any], path: Path) -> None:
    """Check that operators, names, shapes and types of weights, and constants are equal."""
    hint = "name graphs that were fine-tuned from the same one"
    if [node.op_type for node in first.graph.node] != [node.op_type for node in model.graph.node]:
        raise WeightsError("the graph has other operators than the first", where=path, hint=hint)
    for name, values in expected.items():
        other = held.get(name)
        if other is None or other.shape != values.shape or other.dtype != values.dtype:
            found = "not there" if other is None else f"{other.dtype} {list(other.shape)}"
            problem = f"the weight {name} is {found}, expected {values.dtype} {list(values.shape)}"
            raise WeightsError(problem, where=path, hint=hint)
        if not np.issubdtype(values.dtype, np.floating) and not np.array_equal(values, other):
            raise WeightsError(f"the constant {name} differs from the first graph's", where=path, hint=hint)
