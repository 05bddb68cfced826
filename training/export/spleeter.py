"""Spleeter's networks as ONNX graphs with weights in single precision or quantised to 4 and 8 bits.

Large weights are int4 blocks, followed by DequantizeLinear (opset 21) and Reshape; other weights are int8 with one
scale per channel; norms and biases stay in single precision. The same weights always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.networks.spleeter import BINS, CHANNELS, EPSILON, SLOPE, WIDTHS
from training.export.block_weights import Quantised, in_eight_bits, in_four_bits, packed

Arrays = Mapping[str, npt.NDArray[np.float32]]

OPSET = 21
"""Lowest opset with 4-bit integers and blocks in DequantizeLinear."""

IR_VERSION = 10
"""Lowest IR version with 4-bit integers."""

FOUR_BIT_SMALLEST = 400_000
"""Tensors with more weights are stored in 4 bits."""

_EIGHT_BIT_SMALLEST = 256
"""Tensors with fewer weights, biases and norms, stay in single precision."""

_PADS = [1, 1, 2, 2]


def quantised(weights: Arrays) -> dict[str, Quantised]:
    """Quantise the large tensors; transposed convolutions have their output channels on axis 1."""
    found = {}
    for name, values in weights.items():
        if values.size > FOUR_BIT_SMALLEST:
            found[name] = in_four_bits(values)
        elif values.ndim == 4 and values.size >= _EIGHT_BIT_SMALLEST:
            found[name] = in_eight_bits(values, axis=1 if name.startswith("up") and name != _LAST else 0)
    return found


def rounded(weights: Arrays, few_bits: Mapping[str, Quantised]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights with the quantised ones replaced by their dequantised values."""
    return {name: few_bits[name].values() if name in few_bits else values for name, values in weights.items()}


def spleeter_graph(weights: Arrays, few_bits: Mapping[str, Quantised], fields: Mapping[str, str]) -> bytes:
    """Return the bytes of a graph from ``magnitude`` ``[N, 2, frames, 1024]`` to ``mask``.

    Args:
        weights: weights of the network, under their published names.
        few_bits: quantised weights, returned by :func:`quantised`; empty for single precision.
        fields: metadata.
    """
    import onnx

    writer = _Writer(weights, few_bits)
    output = writer.network("magnitude")
    shape = ["batch", CHANNELS, "frames", BINS]
    graph = onnx.helper.make_graph(
        [*writer.nodes, onnx.helper.make_node("Identity", [output], ["mask"], "mask")],
        "spleeter",
        [onnx.helper.make_tensor_value_info("magnitude", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, shape)],
        writer.initialisers,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "training.export_spleeter"  # part of the published bytes
    onnx.helper.set_model_props(model, dict(fields))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """Builder of the nodes and initialisers of a graph."""

    def __init__(self, weights: Arrays, few_bits: Mapping[str, Quantised]) -> None:
        self._weights, self._few_bits = weights, few_bits
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def network(self, signal: str) -> str:
        """Add all layers; returns the name of the output."""
        skips = []
        for level in range(1, len(WIDTHS) + 1):
            skips.append(self._conv("Conv", f"down{level}_conv.1", signal, strides=[2, 2], pads=_PADS))
            if level < len(WIDTHS):
                normed = self._norm(f"down{level}_act.0", skips[-1])
                signal = self._node("LeakyRelu", [normed], f"down{level}_act", alpha=SLOPE)
        signal = skips.pop()
        for level in range(1, len(WIDTHS) + 1):
            if level > 1:
                signal = self._node("Concat", [skips.pop(), signal], f"skip{level}", axis=1)
            risen = self._conv("ConvTranspose", f"up{level}.0", signal, strides=[2, 2], pads=_PADS)
            signal = self._norm(f"up{level}.3", self._node("Relu", [risen], f"up{level}.relu"))
        signal = self._conv("Conv", _LAST.removesuffix(".weight"), signal, dilations=[2, 2], pads=[3, 3, 3, 3])
        return self._node("Sigmoid", [signal], "sigmoid")

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        import onnx

        self.nodes.append(onnx.helper.make_node(kind, inputs, [f"{name}:out"], name, **attributes))
        return f"{name}:out"

    def _conv(self, kind: str, name: str, signal: str, **attributes: Any) -> str:
        inputs = [signal, self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")]
        return self._node(kind, inputs, name, **attributes)

    def _norm(self, name: str, signal: str) -> str:
        fields = ("weight", "bias", "running_mean", "running_var")
        inputs = [signal, *(self._tensor(f"{name}.{field}") for field in fields)]
        return self._node("BatchNormalization", inputs, name, epsilon=EPSILON)

    def _tensor(self, name: str) -> str:
        """Add a weight, dequantised if needed; returns its name."""
        stored = self._few_bits.get(name)
        if stored is None:
            return self._array(name, self._weights[name])
        if stored.integers.shape == stored.shape:
            integers = self._array(f"{name}.int8", stored.integers)
            return self._node(
                "DequantizeLinear", [integers, self._array(f"{name}.scale", stored.scales)], name, axis=stored.axis
            )
        scales = self._node("Cast", [self._array(f"{name}.scale", stored.scales)], f"{name}.wide", to=1)
        block = stored.integers.shape[1]
        blocks = self._node(
            "DequantizeLinear", [self._nibbles(name, stored), scales], f"{name}.blocks", axis=1, block_size=block
        )
        shape = self._array(f"{name}.shape", np.array(stored.shape, np.int64))
        return self._node("Reshape", [blocks, shape], name)

    def _array(self, name: str, values: npt.NDArray[Any]) -> str:
        import onnx

        self.initialisers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _nibbles(self, name: str, stored: Quantised) -> str:
        import onnx

        content, shape = packed(stored.integers), stored.integers.shape
        tensor = onnx.helper.make_tensor(f"{name}.int4", onnx.TensorProto.INT4, shape, content, raw=True)
        self.initialisers.append(tensor)
        return f"{name}.int4"


_LAST = f"up{len(WIDTHS) + 1}.0.weight"
