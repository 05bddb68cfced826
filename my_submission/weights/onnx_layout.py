"""Tensors of an ONNX file, read from its bytes without building a model.

The file is mapped and its protobuf fields are parsed here, so that weights are skipped and no memory is allocated by
sizes that the file claims. Field numbers are those of onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from my_submission.errors import WeightsError
from terminal.program import program_name

_MAX_MESSAGES = 200_000
"""Limit on nodes, attributes and tensors: half a second of reading. Published graphs have some thousands."""

_MAX_DEPTH = 40
"""Limit on nested messages, such as graphs in attributes of nodes."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16}
_BITS |= {**dict.fromkeys((17, 18, 19, 20, 24), 8), **dict.fromkeys((21, 22, 23), 4), **dict.fromkeys((25, 26), 2)}
"""Size of an element by TensorProto.DataType; strings (8) have no fixed size."""

_MIN_BITS = 2

_SPARSE_RATIO = 64
"""Largest ratio of a dense copy of a sparse tensor to the size of the file."""

_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Kind of message to field number to kind of the nested message, where tensors may be nested."""

_TEXT = 8
_MAX_DIMENSIONS = 64
_MAX_TEXT_BYTES = 4096

_STORED = frozenset({4, 5, 6, 7, 9, 10, 11})
"""Fields of a tensor with its values."""

_VARIABLE = frozenset({5, 7, 11})
"""Fields of integers of variable length."""

_CURE = "fetch the file again, or export the network again"


class _MalformedError(ValueError):
    """The bytes are not a valid model."""


@dataclass
class StoredTensor:
    """A tensor of the file.

    Attributes:
        name: for messages.
        data_type: element type by TensorProto.DataType.
        shape: as claimed.
        n_bytes: size of its values in the file.
        is_packed: whether they are integers of variable length.
        is_external: whether its values are in an external data file.
        place: location, offset and length there.
    """

    name: str = ""
    data_type: int = 0
    shape: list[int] = field(default_factory=list)
    n_bytes: int = 0
    is_packed: bool = False
    is_external: bool = False
    place: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """Path of the external data file, relative to the graph."""
        return self.place.get("location", "")

    @property
    def claimed_bytes(self) -> int:
        """Size in memory by its shape."""
        return -(-math.prod(self.shape) * _BITS.get(self.data_type, _MIN_BITS) // 8)

    @property
    def place_end(self) -> int:
        """Minimum size of the external data file."""
        return self._number("offset") + max(self._number("length"), self.claimed_bytes)

    def check(self) -> None:
        """Raise if it claims more than is stored, or if its data file is outside the folder."""
        label = self.name[:80]
        if any(size < 0 for size in self.shape):
            raise _MalformedError(f"the tensor {label!r} has the shape {self.shape[:32]}")
        if self.is_external:
            parts = PurePosixPath(self.location).parts
            is_inside = bool(parts) and ".." not in parts and not self.location.startswith("/")
            if not is_inside or set(self.location) & set("\\:\0"):
                raise _MalformedError(
                    f"the tensor {label!r} is stored in {self.location[:80]!r}, which is outside the file's own folder"
                )
            self._number("offset")
            return
        n_numbers = math.prod(self.shape)
        least = min(self.claimed_bytes, n_numbers) if self.is_packed else self.claimed_bytes
        if least > self.n_bytes:
            claimed = str(n_numbers) if n_numbers < 10**18 else "more than 10^18"
            raise _MalformedError(
                f"the tensor {label!r} claims {claimed} numbers, but only {self.n_bytes} bytes are stored"
            )

    def _number(self, key: str) -> int:
        text = self.place.get(key, "0")
        if not text.isdecimal() or len(text) > 18:
            raise _MalformedError(f"the {key} of the tensor {self.name[:80]!r} in another file is {text[:40]!r}")
        return int(text)


@dataclass
class OnnxLayout:
    """Versions and tensors of a file.

    Attributes:
        ir_version: version of the file format.
        opset: opset of ONNX's own operators; None if none is named.
        tensors: all tensors, including those of nested graphs.
    """

    ir_version: int = 0
    opset: int | None = None
    tensors: list[StoredTensor] = field(default_factory=list)

    def external_files(self) -> dict[str, int]:
        """External data files with their minimum sizes in bytes."""
        ends: dict[str, int] = {}
        for tensor in self.tensors:
            if tensor.is_external:
                ends[tensor.location] = max(tensor.place_end, ends.get(tensor.location, 0))
        return ends


def read_layout(path: Path) -> OnnxLayout:
    """Return the tensors of an ONNX file after checking them against its size.

    Raises:
        WeightsError: the file cannot be read, is not an ONNX model, a tensor claims more values than are stored, or its
            external data is outside its own folder.
    """
    try:
        state = path.stat()
        return _layout_of_state(path, state.st_ino, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    except ValueError as error:
        raise WeightsError(
            f"cannot open this graph, which is not a valid ONNX model: {error}", where=path, hint=_CURE
        ) from error


@lru_cache(maxsize=64)
def _layout_of_state(path: Path, inode: int, n_bytes: int, mtime_ns: int) -> OnnxLayout:
    """Return the layout of a file; all arguments but the path only distinguish states of the file."""
    layout = OnnxLayout()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _Reader(content, layout).read_message("model", 0, len(content), 0)
    for tensor in layout.tensors:
        tensor.check()
    layout.external_files()
    if layout.ir_version == 0:
        raise _MalformedError("it states no version")
    return layout


def check_graph_file(path: Path) -> None:
    """Refuse an ONNX file that claims more than it contains, or whose external data is absent or too short.

    Raises:
        WeightsError: as :func:`read_layout`, or an external data file is missing.
    """
    for location, n_bytes in read_layout(path).external_files().items():
        beside = path.parent / location
        size = beside.stat().st_size if beside.is_file() else None
        if size is None or size < n_bytes:
            found = "is missing" if size is None else f"has {size} of at least {n_bytes} bytes"
            raise WeightsError(
                f"its weights are in {location!r} beside it, which {found}",
                where=path,
                hint=f"fetch both with: {program_name()} fetch NAME --from FOLDER, or export into one file",
            )


class _Reader:
    """Parser of the messages of a model."""

    def __init__(self, content: mmap.mmap, layout: OnnxLayout) -> None:
        self._content = content
        self._layout = layout
        self._n_messages = 0

    def read_message(self, kind: str, start: int, stop: int, depth: int) -> None:
        """Collect the tensors below one message."""
        self._n_messages += 1
        if depth > _MAX_DEPTH or self._n_messages > _MAX_MESSAGES:
            raise _MalformedError("it is nested too deeply or has too many nodes")
        if kind == "tensor":
            self._layout.tensors.append(self._tensor(start, stop))
            return
        shape: list[int] = []
        for number, wire, value, end in self._fields(start, stop):
            child = _CHILDREN[kind].get(number)
            if child is not None and wire == _BYTES:
                self.read_message(child, value, end, depth + 1)
            elif kind == "model":
                self._read_version(number, wire, value, end)
            elif kind == "sparse" and number == 3:
                shape += self._integers(wire, value, end)
        if kind == "sparse" and math.prod(shape) * 4 > _SPARSE_RATIO * max(len(self._content), 1 << 16):
            raise _MalformedError(f"a sparse tensor of the shape {shape[:32]} is larger than all that is stored")

    def _read_version(self, number: int, wire: int, value: int, end: int) -> None:
        if number == 1 and wire == _VARINT:
            self._layout.ir_version = value
        elif number == 8 and wire == _BYTES:
            domain, version = b"", 0
            for field_number, field_wire, inner, inner_end in self._fields(value, end):
                if field_number == 1 and field_wire == _BYTES:
                    domain = self._content[inner:inner_end]
                elif field_number == 2 and field_wire == _VARINT:
                    version = inner
            if domain in (b"", b"ai.onnx"):
                self._layout.opset = version

    def _tensor(self, start: int, stop: int) -> StoredTensor:
        tensor = StoredTensor()
        for number, wire, value, end in self._fields(start, stop):
            if number == 1:
                tensor.shape += self._integers(wire, value, end)
                if len(tensor.shape) > _MAX_DIMENSIONS:
                    raise _MalformedError(f"a tensor has {len(tensor.shape)} dimensions")
            elif number == 2 and wire == _VARINT:
                tensor.data_type = value
            elif number == 8 and wire == _BYTES:
                tensor.name = self._text(value, end)
            elif number in _STORED:
                tensor.n_bytes += end - value if wire == _BYTES else 8
                tensor.is_packed |= number in _VARIABLE
            elif number == 13 and wire == _BYTES:
                entry = {n: self._text(v, e) for n, w, v, e in self._fields(value, end) if w == _BYTES}
                tensor.place[entry.get(1, "")] = entry.get(2, "")
            elif number == 14 and wire == _VARINT:
                tensor.is_external = value == 1
        if tensor.data_type == _TEXT:
            tensor.shape = []
        return tensor

    def _integers(self, wire: int, value: int, end: int) -> list[int]:
        if wire != _BYTES:
            return [value]
        if end - value > 10 * _MAX_DIMENSIONS:
            raise _MalformedError("a tensor has too many dimensions")
        packed = []
        while value < end:
            one, value = self._varint(value, end)
            packed.append(one)
        return packed

    def _text(self, start: int, stop: int) -> str:
        return self._content[start : min(stop, start + _MAX_TEXT_BYTES)].decode("utf-8", "replace")

    def _fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield field number, wire type, and the value, or start and end of its bytes."""
        at = start
        while at < stop:
            key, at = self._varint(at, stop)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, at = self._varint(at, stop)
                yield number, wire, value, at
                continue
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
            if wire == _BYTES:
                length, at = self._varint(at, stop)
            if number == 0 or not 0 <= length <= stop - at:
                raise _MalformedError(f"byte {at} begins no field")
            yield number, wire, at, at + length
            at += length

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return an integer of variable length as a signed one of 64 bits, and the offset behind it."""
        value = 0
        for index in range(at, min(at + 10, stop)):
            byte = self._content[index]
            value |= (byte & 0x7F) << 7 * (index - at)
            if byte < 0x80:
                value &= 2**64 - 1
                return value - 2**64 if value >= 2**63 else value, index + 1
        raise _MalformedError(f"byte {at} begins no number")
