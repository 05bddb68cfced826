"""The reader of torch checkpoints agrees with torch on plain tensors to the bit, and opens nothing else."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.errors import WeightsError
from my_submission.networks.state_dict import load_state_dict
from my_submission.weights import (
    check_checksums,
    map_tensors,
    read_settings,
    read_state_dict,
    read_tensor_shapes,
)

REAL_MIXER = Path(__file__).resolve().parents[3] / "shared/data/kuielab/mixer.ckpt"

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def assert_equal_to_torch(path: Path) -> None:
    """Same names in the same order, same types, same values: tolerance none."""
    expected = torch.load(path, weights_only=True)
    actual = read_state_dict(path)
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        is_bfloat16 = tensor.dtype == torch.bfloat16
        wanted = (tensor.float() if is_bfloat16 else tensor).contiguous().numpy()
        assert actual[name].dtype == wanted.dtype
        np.testing.assert_array_equal(actual[name], wanted, strict=True)
        assert actual[name].flags.c_contiguous
        assert actual[name].flags.writeable
    assert read_tensor_shapes(path) == {name: tuple(tensor.shape) for name, tensor in expected.items()}


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16])
def test_every_plain_type_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    values = (torch.randn(3, 4, generator=torch.Generator().manual_seed(1)) * 100).to(dtype)
    assert_equal_to_torch(saved(tmp_path / "file", {"a": values, "scalar": values[0, 0].clone(), "none": values[:0]}))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_any_view_of_any_tensor_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], seed: int, dtype: torch.dtype, data: st.DataObject
) -> None:
    whole = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 100).to(dtype)
    turned = whole.permute(data.draw(st.permutations(range(len(shape)))))
    axis = data.draw(st.integers(0, len(shape) - 1))
    start = data.draw(st.integers(0, turned.shape[axis] - 1))
    cut = turned.narrow(axis, start, turned.shape[axis] - start)
    stepped = cut[tuple(slice(None, None, 2) for _ in shape)]
    content = {"whole": whole, "turned": turned, "stepped": stepped, "tied": turned}
    assert_equal_to_torch(saved(tmp_path_factory.mktemp("views") / "file", content))


def test_a_network_is_read(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.LSTM(8, 8, 2, bidirectional=True)
    )
    path = saved(tmp_path / "file", network.state_dict())
    assert_equal_to_torch(path)
    assert sum(array.size for array in read_state_dict(path).values()) == sum(
        tensor.numel() for tensor in network.state_dict().values()
    )


def test_parameters_are_read_as_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "file", {"w": torch.nn.Parameter(torch.arange(3.0))})
    np.testing.assert_array_equal(read_state_dict(path)["w"], [0, 1, 2])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    content = {f"layer.{index}.weight": torch.full((2, 2), float(index)) for index in range(300)}
    arrays = read_state_dict(saved(tmp_path / "file", content, pickle_protocol=protocol))
    assert list(arrays) == list(content)  # compared with what was saved: torch itself is not sure of later protocols
    for name, tensor in content.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy(), strict=True)


def test_tied_tensors_are_one_array_and_others_share_nothing(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    arrays = read_state_dict(saved(tmp_path / "file", {"a": whole, "b": whole, "c": whole[2:]}))
    assert arrays["a"] is arrays["b"]
    arrays["a"][:] = -1
    np.testing.assert_array_equal(arrays["c"], [2, 3, 4, 5])


def test_the_real_mixer_is_read() -> None:
    if not REAL_MIXER.exists():
        pytest.skip("../shared/data/kuielab is not on this machine")
    (name, matrix), *rest = read_state_dict(REAL_MIXER).items()
    assert not rest
    assert name == "linear.weight"
    assert matrix.shape == (8, 10)
    assert matrix.dtype == np.float32
    expected = torch.load(REAL_MIXER, weights_only=True, map_location="cpu")["linear.weight"].numpy()
    np.testing.assert_array_equal(matrix, expected)


# ---- files that are something else, or mean harm -------------------------------------------------------------------


class Tensor:
    """Pickles as torch pickles a tensor, with whatever numbers a test wants to lie about."""

    def __init__(
        self, key: str = "0", n_elements: Any = 6, offset: Any = 0, shape: Any = (2, 3), strides: Any = (3, 1)
    ) -> None:
        self.storage = Storage(key, n_elements)
        self.view = (offset, shape, strides)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, (self.storage, *self.view, False, OrderedDict())


class Storage:
    """Pickles as a reference to a record."""

    def __init__(self, key: str, n_elements: Any, kind: Any = torch.FloatStorage) -> None:
        self.identity = ("storage", kind, key, "cpu", n_elements)


class _Pickler(pickle._Pickler):  # the one written in Python takes persistent ids of any shape
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Storage) else None


def pickled(content: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol).dump(content)
    return buffer.getvalue()


def checkpoint(
    path: Path, description: bytes, records: dict[str, bytes] | None = None, *, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A torch zip made by hand; by default its one record "0" holds 0 … 5 as float32."""
    values = {"data/0": np.arange(6, dtype="<f4").tobytes()} if records is None else records
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {"data.pkl": description, **values}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def refused(path: Path, complaint: str) -> WeightsError:
    """Both readers refuse, and the message names the file."""
    with pytest.raises(WeightsError, match=complaint):
        read_tensor_shapes(path)
    with pytest.raises(WeightsError, match=complaint) as caught:
        read_state_dict(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


def test_a_checkpoint_made_by_hand_is_read(tmp_path: Path) -> None:
    """The lies below are refused for what they say, not for how these tests say it."""
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor(), "b": Tensor(offset=1, shape=(5,), strides=(1,))}))
    arrays = read_state_dict(path)
    np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(arrays["b"], [1, 2, 3, 4, 5])


def test_a_size_of_torch_is_a_shape(tmp_path: Path) -> None:
    shape = torch.Size([2, 3])
    np.testing.assert_array_equal(
        read_state_dict(checkpoint(tmp_path / "file", pickled({"a": Tensor(shape=shape)})))["a"], [[0, 1, 2], [3, 4, 5]]
    )


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harm",)


class Evaluation:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('harm', 'w')",)


class Loader:
    def __reduce__(self) -> tuple[Any, ...]:
        return torch.load, ("elsewhere",)


class Instance:
    pass


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (Command(), rf"{os.system.__module__}\.system"),
        (Evaluation(), r"(builtins|__builtin__)\.eval"),
        (Loader(), r"torch\.serialization\.load"),
        (Instance(), r"(copy_?reg\._reconstructor|test_tensors\.Instance)"),
    ],
)
def test_code_is_named_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: object, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in ({"a": harm}, {"a": Tensor(), "b": harm}, harm, {"a": Tensor(key="0", shape=harm)}):
        refused(
            checkpoint(tmp_path / "file", pickled(content, protocol)), rf"contains code \(.*{name}.* was not opened"
        )
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"(S'touch harm'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch harm'\no.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02}\x81.",  # NEWOBJ
        b"P1\n.",  # PERSID
        b"\x80\x02c__builtin__\ngetattr\n.",
    ],
)
def test_opcodes_that_make_objects_are_refused(tmp_path: Path, program: bytes) -> None:
    refused(checkpoint(tmp_path / "file", program), r"contains code \(.*\) and was not opened")


def test_a_real_checkpoint_with_an_object_in_it_is_refused(tmp_path: Path) -> None:
    refused(saved(tmp_path / "file", {"w": torch.zeros(2), "args": Instance()}), r"contains code \(.*Instance\)")


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (Tensor(n_elements=7), "storage 0 claims 28 bytes, and its record has 24"),
        (Tensor(n_elements=10**15), "claims"),
        (Tensor(n_elements=10**600), "claims"),
        (Tensor(n_elements=-1), "storage is not described"),
        (Tensor(n_elements=True), "storage is not described"),
        (Tensor(n_elements=6.0), "storage is not described"),
        (Tensor(key="1"), "no item named"),
        (Tensor(key="../data.pkl"), "no item named"),
        (Tensor(offset=1), "reaches beyond"),
        (Tensor(offset=-1), "no offset"),
        (Tensor(strides=(4, 1)), "reaches beyond"),
        (Tensor(strides=(2**62, 1)), "reaches beyond"),
        (Tensor(strides=(-3, 1)), "plain tuples of integers"),
        (Tensor(shape=(-2, 3)), "plain tuples of integers"),
        (Tensor(shape=(2, True)), "plain tuples of integers"),
        (Tensor(shape=((2,), 3)), "plain tuples of integers"),
        (Tensor(shape=[2, 3]), "plain tuples of integers"),
        (Tensor(shape=(2, 3, 1)), "3 dimensions and 2 strides"),
        (Tensor(shape=(1,) * 40, strides=(1,) * 40), "40 dimensions"),
        (Tensor(shape=(10**12,), strides=(0,)), "repeats the 6 elements"),
        (Tensor(shape=(5, 2), strides=(1, 1)), "repeats the 6 elements"),
    ],
)
def test_tensors_that_the_file_cannot_hold_are_refused(tmp_path: Path, tensor: Tensor, complaint: str) -> None:
    refused(checkpoint(tmp_path / "file", pickled({"a": tensor})), complaint)


def test_a_length_of_one_may_have_any_stride(tmp_path: Path) -> None:
    tensor = Tensor(shape=(1, 6), strides=(2**80, 1))
    np.testing.assert_array_equal(
        read_state_dict(checkpoint(tmp_path / "file", pickled({"a": tensor})))["a"], [[0, 1, 2, 3, 4, 5]]
    )


def test_views_do_not_multiply_a_file_without_end(tmp_path: Path) -> None:
    n_elements = 5000
    views = {
        str(index): Tensor(n_elements=n_elements, offset=index, shape=(n_elements - index,), strides=(1,))
        for index in range(100)
    }
    records = {"data/0": bytes(4 * n_elements)}
    refused(checkpoint(tmp_path / "file", pickled(views), records), "would take .* bytes, and the file has")


def test_two_storages_do_not_share_one_record(tmp_path: Path) -> None:
    description = pickled({"a": Tensor(), "b": Tensor(n_elements=5, shape=(5,), strides=(1,))})
    refused(checkpoint(tmp_path / "file", description), "one record is described as two storages")


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    records = {"data/0": bytes(1 << 20)}
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor()}), records, compression=zipfile.ZIP_DEFLATED)
    refused(path, "is compressed")


def test_a_record_whose_stated_size_lies_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor(n_elements=1 << 28, shape=(1 << 28,), strides=(1,))}))
    content = path.read_bytes()
    for signature, offset in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):  # both sizes of the last record, both headers
        at = content.rindex(signature) + offset
        content = content[:at] + struct.pack("<II", 1 << 30, 1 << 30) + content[at + 8 :]
    path.write_bytes(content)
    refused(path, "claim 1073741824 bytes, and the file has")


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (b"", "malformed"),
        (b"\x80\x02", "malformed"),
        (b"\x80\x02.", "malformed"),
        (b"\x80\x02}}.", "malformed"),
        (b"\x80\x02\x85.", "a tuple of more items"),
        (b"\x80\x02h\x07.", "malformed"),  # BINGET of nothing
        (b"\x80\x02t.", "malformed"),  # TUPLE without MARK
        (b"\x80\x02}s.", "malformed"),  # SETITEM of nothing
        (b"\x80\x02X\xff\xff\xff\xffabc", "malformed"),  # text longer than the file
        (b"\x80\x02}K\x01K\x02s.", "a key is a int"),
        (b"\x80\x02})K\x02s.", "a key is a tuple"),
        (b"\x80\x02K\x01K\x02K\x03s.", "found int, expected dict"),
        (b"\x80\x02}N)R.", "a call of something that is not a function"),
        (b"\x80\x02ccollections\nOrderedDict\n]\x85R.", "an OrderedDict made with arguments"),
        (b"\x80\x02ctorch\nSize\nK\x05\x85R.", "a torch.Size of no sequence"),
        (b"\x80\x02ctorch\nSize\n)R.", "malformed"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "malformed"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "no storage"),
        (b"\x80\x02Q.", "malformed"),  # BINPERSID of nothing
        (b"\x80\x02I1\n.", "uses INT"),
        (b"\x80\x02NQ.", "storage is not described"),
        (b"\x80\x04K\x01K\x02\x93.", "a name is not text"),
        (b"\x80\x02K\x01.", "it contains a value of type int"),
        (b"\x80\x02]K\x01a.", "it contains a value of type list"),
        (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", 'its "a" is a int'),
        (b"\x80\x02}X\x05\x00\x00\x00state}s.", 'its "state" is a dict'),
        (b"\x80\x02}r\xff\xff\xff\xff.", None),  # a memo index of four thousand million takes no memory
        # deeper than any recursion:
        (b"\x80\x02" + b")" + b"\x85" * 200_000 + b".", "it contains a value of type tuple"),
    ],
)
def test_malformed_descriptions_are_refused(tmp_path: Path, program: bytes, complaint: str | None) -> None:
    path = checkpoint(tmp_path / "file", program)
    if complaint is None:
        assert read_state_dict(path) == {}
    else:
        refused(path, complaint)


def test_an_endless_description_is_refused(tmp_path: Path) -> None:
    refused(checkpoint(tmp_path / "file", b"\x80\x02" + b"N" * (9 << 20)), "description takes 10 MiB")


def test_an_escape_that_is_none_is_damage_not_a_warning(tmp_path: Path) -> None:
    refused(checkpoint(tmp_path / "file", b"\x80\x02S'\\o'\n."), "malformed")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_description_gets_through(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any bytes give tensors within their records or a WeightsError, and nothing else."""
    description = bytearray(pickled({"a": Tensor(), "b": Tensor(shape=(6,), strides=(1,))}))
    for _ in range(data.draw(st.integers(1, 4))):
        description[data.draw(st.integers(0, len(description) - 1))] = data.draw(st.integers(0, 255))
    path = checkpoint(tmp_path_factory.mktemp("fuzz") / "file", bytes(description))
    try:
        arrays = read_state_dict(path)
    except WeightsError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= 8 * path.stat().st_size


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole", {"a": torch.randn(50, 50)}).read_bytes()
    for n_bytes in (0, 1, 10, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        (tmp_path / "file").write_bytes(whole[:n_bytes])
        refused(tmp_path / "file", "is not a checkpoint that torch.save wrote, or is truncated|damaged")


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    values = torch.randn(50, 50)
    whole = bytearray(saved(tmp_path / "file", {"a": values}).read_bytes())
    whole[whole.index(values.numpy().tobytes()) + 5000] ^= 1
    (tmp_path / "file").write_bytes(whole)
    with pytest.raises(WeightsError, match=r"damaged checkpoint.*CRC"):
        read_state_dict(tmp_path / "file")


def test_legacy_files_are_read_as_new_ones(tmp_path: Path) -> None:
    """Same numbers, types and sharing, with and without mapping; only the new form has checksums."""
    shared = torch.randn(4, 6)
    content = {
        "state_dict": {
            "a": shared,
            "b": shared[1:3, ::2],
            "half": torch.randn(3).half(),
            "bf": torch.ones(5).bfloat16(),
        },
        "hyper_parameters": {"lr": 1e-3, "names": ["x"]},
    }
    old = saved(tmp_path / "old", content, _use_new_zipfile_serialization=False)
    new = saved(tmp_path / "new", content)
    assert not zipfile.is_zipfile(old)
    expected = read_state_dict(new)
    for found in (read_state_dict(old), map_tensors(old, list(expected)), load_state_dict(old)):
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(np.asarray(found[name]), value)
            assert np.asarray(found[name]).dtype == value.dtype
    assert read_tensor_shapes(old) == read_tensor_shapes(new)
    assert read_settings(old) == read_settings(new) == {"lr": 1e-3, "names": ["x"]}
    check_checksums(old)


def test_a_legacy_file_of_another_machine_or_length_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "file", {"a": torch.arange(8.0)}, _use_new_zipfile_serialization=False).read_bytes()
    at = whole.index(b"little_endian")
    (tmp_path / "file").write_bytes(whole[:at] + whole[at:].replace(b"\x88", b"\x89", 1))
    refused(tmp_path / "file", "big-endian machine")
    (tmp_path / "file").write_bytes(whole.replace(struct.pack("<q", 8), struct.pack("<q", 9)))
    refused(tmp_path / "file", "not as long as it is described")
    (tmp_path / "file").write_bytes(whole[:-1])
    refused(tmp_path / "file", "cut off")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(path, "Git LFS pointer")
    path.write_bytes(pickle.dumps({"a": 1}))
    refused(path, "not a checkpoint that torch.save wrote")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bass.onnx", b"graph")
    refused(path, r"no data\.pkl")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state_dict(tmp_path / "nothing")


def test_a_scripted_programme_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has been calling this form old for some time
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "file"))
    refused(tmp_path / "file", r"contains code \(__torch__")


@pytest.mark.parametrize(("order", "is_read"), [(b"little", True), (b"big", False), (b"", False)])
def test_only_little_endian_numbers_are_read(tmp_path: Path, order: bytes, is_read: bool) -> None:
    records = {"data/0": np.arange(6, dtype="<f4").tobytes(), "byteorder": order}
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor()}), records)
    if is_read:
        assert read_state_dict(path)["a"].shape == (2, 3)
    else:
        refused(path, "big-endian")


# ---- sizes that a file states and cannot keep ------------------------------------------------------------------------

SIZE_OF_MANY = b"](" + b"K\x01" * 5_000 + b"e"
BOMBS = {
    "a size made again and again": b"\x80\x02" + SIZE_OF_MANY + b"q\x00" + b"ctorch\nSize\nh\x00\x85R" * 20_000 + b".",
    "marks": b"\x80\x02" + b"(" * 200_000 + b"t" * 200_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


@pytest.mark.parametrize("program", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_before_they_go_off(tmp_path: Path, program: bytes) -> None:
    """The memory is what counts: any of them may be made a hundred times as large."""
    path = checkpoint(tmp_path / "file", program)
    tracemalloc.start()
    try:
        with pytest.raises(
            WeightsError, match=r"has more than 400000 steps|a torch\.Size of 5000 dimensions"
        ) as caught:
            read_state_dict(path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 2**62), (2**62, 0), (0, 2**40, 2**40), (2**900, 0), (0,) + (2**31,) * 3])
def test_an_empty_tensor_of_a_huge_dimension_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tensor = Tensor(shape=shape, strides=(1,) * len(shape))
    refused(checkpoint(tmp_path / "file", pickled({"a": tensor})), "a tensor without elements has the shape")


def test_an_empty_tensor_may_have_any_offset_and_strides(tmp_path: Path) -> None:
    tensor = Tensor(shape=(0, 7), strides=(2**80, 5), offset=10**30)
    assert read_state_dict(checkpoint(tmp_path / "file", pickled({"a": tensor})))["a"].shape == (0, 7)


def test_a_directory_of_millions_of_records_is_refused_unread(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor()}))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x05\x06")
    for claimed, complaint in ((64 << 20, "its list of members takes 67108864 bytes"), (2**32 - 1, "damaged")):
        content[at + 12 : at + 16] = struct.pack("<I", claimed)
        path.write_bytes(content)
        refused(path, complaint)


def test_a_record_that_lies_elsewhere_is_not_mapped(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "file", pickled({"a": Tensor()}))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 42  # where the last record begins
    for offset in (5, len(content) - 1, 2**31):
        content[at : at + 4] = struct.pack("<I", offset)
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"does not begin where|damaged") as caught:
            map_tensors(path, ["a"])
        assert str(path) in str(caught.value)


def test_checksums_find_a_flipped_bit_that_mapping_does_not(tmp_path: Path) -> None:
    values = torch.randn(50, 50)
    content = bytearray(saved(tmp_path / "file", {"a": values}).read_bytes())
    check_checksums(tmp_path / "file")
    content[content.index(values.numpy().tobytes()) + 5000] ^= 1
    (tmp_path / "file").write_bytes(content)
    map_tensors(tmp_path / "file", ["a"])
    with pytest.raises(WeightsError, match=r"damaged checkpoint.*CRC.*Fetch the file again"):
        check_checksums(tmp_path / "file")


def legacy(path: Path, description: bytes, tail: bytes = b"") -> Path:
    """A file as torch before 1.6 wrote it, with a description of the test's own."""
    preamble = saved(path, {}, _use_new_zipfile_serialization=False).read_bytes()
    path.write_bytes(preamble[: preamble.rindex(b"\x80\x02}q\x00.") if b"\x80\x02}q\x00." in preamble else 0])
    path.write_bytes(path.read_bytes() + description + tail)
    return path


def test_legacy_files_are_bounded(tmp_path: Path) -> None:
    content = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(4, dtype=torch.float16)}
    good = saved(tmp_path / "good", content, _use_new_zipfile_serialization=False)
    assert {name: tuple(t.shape) for name, t in load_state_dict(good).items()} == {"a": (2, 3), "b": (4,)}
    for program in BOMBS.values():
        with pytest.raises(WeightsError, match="is not a checkpoint of plain tensors") as caught:
            load_state_dict(legacy(tmp_path / "bomb", program))
        assert str(tmp_path / "bomb") in str(caught.value)
    huge = pickled({"a": Tensor(n_elements=1 << 40, shape=(1 << 40,), strides=(1,))})
    with pytest.raises(WeightsError, match="not as long as it is described, or the file is cut off"):
        load_state_dict(legacy(tmp_path / "huge", huge, pickle.dumps(["0"], protocol=2) + struct.pack("<q", 1 << 40)))
    for n_bytes in (20, 60, 200, 400):
        (tmp_path / "cut").write_bytes(good.read_bytes()[:n_bytes])
        with pytest.raises(WeightsError):
            load_state_dict(tmp_path / "cut")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_state_dict(tmp_path / "nothing")
    (tmp_path / "pickle").write_bytes(pickle.dumps([0] * 10))
    with pytest.raises(WeightsError, match="not a checkpoint that torch"):
        load_state_dict(tmp_path / "pickle")


def test_an_archive_that_claims_other_disks_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "file", {"a": torch.zeros(2)})
    content = bytearray(path.read_bytes())
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 3, 0, 9)
    at = content.rindex(b"PK\x05\x06")
    path.write_bytes(content[:at] + locator + content[at:])
    refused(path, "damaged")
    with pytest.raises(WeightsError, match="damaged"):
        load_state_dict(path)


class DictConfig:
    """Stands for OmegaConf's container; pickled under its name, with the attributes that it has."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content
        self._parent = None
        self._metadata = {"object_type": list, "key": Path("x")}


class AnyNode:
    """Stands for OmegaConf's leaf."""

    def __init__(self, value: object) -> None:
        self._val = value


DictConfig.__module__, AnyNode.__module__ = "omegaconf.dictconfig", "omegaconf.nodes"


def test_settings_in_containers_of_omegaconf_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers and leaves become values; other objects are left out, and none is made."""
    for cls in (DictConfig, AnyNode):
        package, _, _ = cls.__module__.partition(".")
        for name in (package, cls.__module__):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setattr(sys.modules[cls.__module__], cls.__name__, cls, raising=False)
    model = DictConfig({"n_fft": AnyNode(256), "deep": DictConfig({"bias": AnyNode(False)}), "path": Path("a")})
    content = {
        "state_dict": {"a": torch.zeros(1)},
        "hyper_parameters": {"model": model, "kind": torch.float16, "n": None},
    }
    path = saved(tmp_path / "file", content)
    assert read_settings(path) == {"model": {"n_fft": 256, "deep": {"bias": False}}, "n": None}
    assert list(read_state_dict(path)) == ["a"]
