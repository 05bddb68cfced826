"""The pickle inside a checkpoint, read as a description of plain tensors and never executed.

A pickle is a program for a small stack machine, and an ordinary unpickler lets it import and call anything. This module
interprets only the opcodes that ``torch.save`` writes for a dictionary of tensors; every other opcode, and every name
outside a short list, is refused.

Training frameworks write settings, schedules and the optimiser's state beside the weights. The classes known to occur
there are replaced by :class:`SkippedObject`, which stores what the pickle puts into an object; nothing is imported,
called or created. :mod:`.plain_settings` reads settings out of them.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


class UnsafePickleError(Exception):
    """The pickle contains more than plain tensors; the message names it."""


class MalformedPickleError(Exception):
    """The pickle is not a valid description of tensors."""


@dataclass(frozen=True)
class StorageReference:
    """A storage: the values of one record of the checkpoint.

    Attributes:
        key: name of the record.
        dtype: element type of the values as stored, little endian; bfloat16 is stored as its 16 bits.
        is_bfloat16: whether those 16 bits are the upper half of a float32.
        n_elements: number of values.
    """

    key: str
    dtype: npt.DTypeLike
    is_bfloat16: bool
    n_elements: int

    @property
    def n_bytes(self) -> int:
        """Size of the record in bytes."""
        return self.n_elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class TensorReference:
    """A strided view into a storage; offset, shape and strides are counts of elements, none below zero."""

    storage: StorageReference
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.strides) or len(self.shape) > _MAX_DIMENSIONS:
            raise MalformedPickleError(f"a tensor has {len(self.shape)} dimensions and {len(self.strides)} strides")
        if self.n_elements and self.offset + self._reach >= self.storage.n_elements:
            raise MalformedPickleError(
                f"a tensor of shape {self.shape} and strides {self.strides} from {self.offset} "
                f"reaches beyond its storage of {self.storage.n_elements} elements"
            )
        if self.n_elements > self.storage.n_elements:
            raise MalformedPickleError(
                f"a tensor of shape {self.shape} repeats the {self.storage.n_elements} elements of its storage"
            )
        if not self.n_elements and math.prod(max(1, length) for length in self.shape) > _MAX_EMPTY_ELEMENTS:
            raise MalformedPickleError(f"a tensor without elements has the shape {self.shape}")

    @property
    def n_elements(self) -> int:
        """Number of values of the tensor."""
        return math.prod(self.shape)

    @property
    def _reach(self) -> int:
        return sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))


_MAX_DIMENSIONS = 32

_MAX_EMPTY_ELEMENTS = 2**31
"""Limit on the other dimensions of an empty tensor; numpy refuses 2**63 bytes."""

_MAX_OPCODES = 400_000
"""Limit on opcodes: about a second of reading. A tensor takes 30, so this is thirteen thousand tensors."""


@dataclass(eq=False)
class SkippedObject:
    """Stand-in for a harmless object or class that was not created.

    Attributes:
        name: module and name of its class.
        items: items of a class like a dictionary.
        state: attributes of the object, as the pickle gives them.
    """

    name: str
    items: dict[Any, Any] = field(default_factory=dict)
    state: Any = None


_BUILTIN_TYPES = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range"),
    *("set", "slice", "str", "tuple", "type", "long", "unicode", "xrange"),  # the last three are names of Python 2
)

_SKIPPED_NAMES = frozenset(
    {
        "_codecs.encode",
        "argparse.Namespace",
        "collections.Counter",
        "collections.defaultdict",
        "collections.deque",
        "datetime.datetime",
        "datetime.timedelta",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "numpy.ndarray",
        "torch.device",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _BUILTIN_TYPES),
        *(f"torch.{kind}" for kind in ("float16", "bfloat16", "float32", "float64", "int32", "int64", "bool")),
        *(f"torch.{kind}" for kind in ("half", "float", "double", "int", "long")),
    }
)
"""Harmless names in settings, schedules and scores of Lightning checkpoints."""

_SKIPPED_PACKAGES = (
    *("lightning", "lightning_fabric", "omegaconf", "pytorch_lightning"),
    *("pathlib", "typing"),
    *("lasaft", "aimless"),
)
"""Callbacks, attribute dictionaries and configurations of Lightning and OmegaConf; paths and types among settings;
and the packages of networks' authors."""


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED_NAMES or name.startswith(tuple(f"{package}." for package in _SKIPPED_PACKAGES))


@dataclass(frozen=True)
class _StorageKind:
    """A storage class of torch by the type of its elements."""

    dtype: str
    is_bfloat16: bool = False


_STORAGES = {
    "DoubleStorage": _StorageKind("<f8"),
    "FloatStorage": _StorageKind("<f4"),
    "HalfStorage": _StorageKind("<f2"),
    "BFloat16Storage": _StorageKind("<u2", is_bfloat16=True),
    "LongStorage": _StorageKind("<i8"),
    "IntStorage": _StorageKind("<i4"),
    "ShortStorage": _StorageKind("<i2"),
    "CharStorage": _StorageKind("|i1"),
    "ByteStorage": _StorageKind("|u1"),
    "BoolStorage": _StorageKind("|b1"),
}


@dataclass(frozen=True)
class _Function:
    """One of the few functions that a description of tensors calls."""

    call: Callable[[tuple[Any, ...]], object]


def _rebuild_tensor(arguments: tuple[Any, ...]) -> TensorReference:
    storage, offset, shape, strides, *_ = arguments
    if not isinstance(storage, StorageReference) or not _are_counts((offset,)):
        raise MalformedPickleError("a tensor has no storage or no offset")
    if not (isinstance(shape, tuple) and isinstance(strides, tuple) and _are_counts(shape) and _are_counts(strides)):
        raise MalformedPickleError("the shape and strides of a tensor are not plain tuples of integers")
    return TensorReference(storage, offset, shape, strides)


def _rebuild_parameter(arguments: tuple[Any, ...]) -> object:
    return arguments[0]


def _size(arguments: tuple[Any, ...]) -> object:
    (dimensions,) = arguments
    if not isinstance(dimensions, (list, tuple)):
        raise MalformedPickleError("a torch.Size of no sequence")
    if len(dimensions) > _MAX_DIMENSIONS:  # copied at every call, however often the same list is asked for
        raise MalformedPickleError(f"a torch.Size of {len(dimensions)} dimensions")
    return tuple(dimensions)


def _empty_dict(arguments: tuple[Any, ...]) -> dict[str, object]:
    if arguments:
        raise MalformedPickleError("an OrderedDict made with arguments")
    return {}


_GLOBALS: dict[str, object] = {
    "collections.OrderedDict": _Function(_empty_dict),
    "torch._utils._rebuild_tensor_v2": _Function(_rebuild_tensor),
    "torch._utils._rebuild_parameter": _Function(_rebuild_parameter),
    "torch.Size": _Function(_size),
    **{f"torch.{name}": kind for name, kind in _STORAGES.items()},
}


def _meaning_of(name: str) -> object:
    if name in _GLOBALS:
        return _GLOBALS[name]
    if _is_skipped(name):
        return SkippedObject(name)
    raise UnsafePickleError(name)


def read_plain_pickle(pickled: bytes) -> object:
    """Return the content of a pickle, as :func:`read_pickle` does."""
    return read_pickle(pickled).content


@dataclass(frozen=True)
class ReadPickle:
    """A pickle that was read.

    Attributes:
        content: dictionaries, lists, tuples, numbers, text, tensor references, skipped objects.
        storages: key to storage, of all storages that it names.
        n_bytes: its length.
    """

    content: object
    storages: Mapping[str, StorageReference]
    n_bytes: int


def read_pickle(pickled: bytes) -> ReadPickle:
    """Read a pickle; bytes after its end are ignored.

    Raises:
        UnsafePickleError: it names or calls anything but tensors.
        MalformedPickleError: it is incomplete, or describes impossible tensors.
    """
    machine, end = _Machine(), 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # an invalid escape in a string is damage
            for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
                if opcode.name in {"GLOBAL", "INST"}:  # report unsafe names before errors of form
                    _meaning_of(str(argument).replace(" ", "."))
                if count >= _MAX_OPCODES:
                    raise MalformedPickleError(f"its description has more than {_MAX_OPCODES} steps")
            for opcode, argument, position in pickletools.genops(pickled):
                machine.step(opcode.name, argument)
                end = (position or 0) + 1
        return ReadPickle(machine.result(), machine.storages, end)
    except (ValueError, TypeError, LookupError, DeprecationWarning) as error:  # of a truncated stream or empty stack
        raise MalformedPickleError(f"its pickle is malformed ({error})") from error


class _Machine:
    """The stack, marks and memo of one pickle."""

    def __init__(self) -> None:
        self.storages: dict[str, StorageReference] = {}
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Interpret one opcode."""
        if opcode in _IGNORED:
            return
        if opcode in _LITERALS:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode in _MAKES_OBJECTS:
            raise UnsafePickleError(f"opcode {opcode}")
        else:
            raise MalformedPickleError(f"its pickle uses {opcode}, which no description of tensors needs")

    def result(self) -> object:
        """Return the result of the pickle."""
        (only,) = self._stack
        return only

    def push_global(self, module: Any, name: Any) -> None:
        self._stack.append(_meaning_of(f"{module}.{name}"))

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise MalformedPickleError("a name is not text")
        self.push_global(module, name)

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def pop(self) -> Any:
        return self._stack.pop()

    def fold(self, count: int) -> None:
        """Replace the top ``count`` items by a tuple of them."""
        if count > len(self._stack):
            raise MalformedPickleError("a tuple of more items than there are")
        items = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        self._stack.append(items)

    def push_empty(self, kind: type[Any]) -> None:
        self._stack.append(kind())

    def fold_to_mark(self) -> None:
        self._stack.append(tuple(self.pop_to_mark()))

    def set_items(self, items: list[Any]) -> None:
        target = self._top(dict, SkippedObject)
        into = target.items if isinstance(target, SkippedObject) else target
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise MalformedPickleError(f"a key is a {type(key).__name__}, and text is expected")
            into[key] = value

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self.set_items([key, value])

    def extend(self, items: list[Any]) -> None:
        target = self._top(list, SkippedObject)
        if not isinstance(target, SkippedObject):
            target.extend(items)

    def remember(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Function | SkippedObject) or not isinstance(arguments, tuple):
            raise MalformedPickleError("a call of something that is not a function")
        if isinstance(function, SkippedObject):
            self._stack.append(SkippedObject(function.name))
        else:
            self._stack.append(function.call(arguments))

    def make_object(self) -> None:
        """Create an object without a call, only of a class that is skipped."""
        if len(self._stack) < 2 or not isinstance(self._stack[-2], SkippedObject):
            raise UnsafePickleError("opcode NEWOBJ")
        self._stack[-2:] = [SkippedObject(self._stack[-2].name)]

    def set_state(self) -> None:
        """Note the attributes of a skipped object; those of a dictionary are torch's version numbers, and ignored."""
        state, target = self._stack.pop(), self._top(dict, SkippedObject)
        if isinstance(target, SkippedObject):
            target.state = state

    def resolve_storage(self) -> None:
        match self._stack.pop():
            case (
                ("storage", _StorageKind() as kind, str(key), str(), int(n_elements))
                | ("storage", _StorageKind() as kind, str(key), str(), int(n_elements), None)  # before torch 1.6
            ) if _are_counts((n_elements,)):
                reference = StorageReference(key, kind.dtype, kind.is_bfloat16, n_elements)
                self.storages.setdefault(key, reference)
                self._stack.append(reference)
            case _:
                raise MalformedPickleError("a storage is not described as torch describes one")

    def _top(self, kind: type[Any], *others: type[Any]) -> Any:
        if not isinstance(self._stack[-1], (kind, *others)):
            raise MalformedPickleError(f"found {type(self._stack[-1]).__name__}, expected {kind.__name__}")
        return self._stack[-1]


def _are_counts(values: tuple[Any, ...]) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


_KEYS = (str, int, float, type(None), SkippedObject)
"""Types of dictionary keys; without tuples, because hashing a deeply nested one would end the process."""

_MAKES_OBJECTS = {"INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_LITERALS |= {"BINBYTES", "SHORT_BINBYTES"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": lambda machine, argument: machine.push_global(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.stack_global(),
    "MARK": lambda machine, _: machine.mark(),
    "EMPTY_DICT": lambda machine, _: machine.push_empty(dict),
    "EMPTY_LIST": lambda machine, _: machine.push_empty(list),
    "EMPTY_SET": lambda machine, _: machine.push_empty(list),
    "FROZENSET": lambda machine, _: machine.fold_to_mark(),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.fold_to_mark(),
    "TUPLE1": lambda machine, _: machine.fold(1),
    "TUPLE2": lambda machine, _: machine.fold(2),
    "TUPLE3": lambda machine, _: machine.fold(3),
    "SETITEM": lambda machine, _: machine.set_item(),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(None),
    "BINGET": lambda machine, index: machine.recall(index),
    "LONG_BINGET": lambda machine, index: machine.recall(index),
    "BINPERSID": lambda machine, _: machine.resolve_storage(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.make_object(),
    "BUILD": lambda machine, _: machine.set_state(),
}
