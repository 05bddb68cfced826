"""The mean of the weights of several graphs: what a run ends at, and what it began with, are often better together.

Networks that were trained on from one set of weights can be averaged weight by weight; the mean tends to hear songs
unlike the training data better than either (Wortsman et al. 2022, "model soups"). It costs nothing when it runs.
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
    """Write the graph whose weights are the means of those of graphs of one shape.

    Means are taken in double precision and stored as the weights were. Nodes and metadata are those of the first graph.

    Args:
        paths: at least two graphs; weights that are no floating-point numbers must be equal.
        target: where the graph goes, in one step.

    Raises:
        InputError: fewer than two graphs.
        WeightsError: a file is no graph, or one of another shape than the first.
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
    """Same operators in the same order, weights of the same names, shapes and kinds; constants are equal."""
    hint = "name graphs that were trained on from the same one"
    if [node.op_type for node in first.graph.node] != [node.op_type for node in model.graph.node]:
        raise WeightsError("the graph computes something else than the first", where=path, hint=hint)
    for name, values in expected.items():
        other = held.get(name)
        if other is None or other.shape != values.shape or other.dtype != values.dtype:
            found = "not there" if other is None else f"{other.dtype} {list(other.shape)}"
            problem = f"the weight {name} is {found}, expected {values.dtype} {list(values.shape)}"
            raise WeightsError(problem, where=path, hint=hint)
        if not np.issubdtype(values.dtype, np.floating) and not np.array_equal(values, other):
            raise WeightsError(f"the constant {name} differs from the first graph's", where=path, hint=hint)
