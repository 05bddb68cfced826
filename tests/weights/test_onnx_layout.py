"""ONNX graphs from strangers: what they claim is compared with what they hold, and each fault has its own message."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from my_submission.audio_io import MemoryStore
from my_submission.cli.artefacts import open_network
from my_submission.engines import Device
from my_submission.engines.onnx_engine import OnnxEngine, is_finite
from my_submission.errors import WeightsError
from my_submission.graphs.tfc_tdf_frames import frame_major
from my_submission.graphs.tfc_tdf_walk import load_model
from my_submission.planning.estimates import ChunkBuffer
from my_submission.weights import ModelsFolder, fetch, verify
from my_submission.weights.onnx_layout import check_graph_file, read_layout
from tests.graph_fixtures import BINS, FRAMES, model_of, saved, saved_with_companion, scaling_graph
from tests.local_server import running_server
from tests.model_makers import random_network, write_spectral
from tests.weights.test_fetch import files_in, zipped
from tests.weights_fixtures import entry, write_manifest

CPU = Device("cpu")
SPECTRA = np.ones((1, 4, BINS, FRAMES), np.float32)
GEOMETRY = {"n_fft": 64, "hop": 16}


def test_a_layout_tells_what_the_onnx_package_tells(tmp_path: Path) -> None:
    scale = np.arange(4 * BINS * FRAMES, dtype=np.float32).reshape(4, BINS, FRAMES)
    path = saved(tmp_path / "a.onnx", scaling_graph(scale, opset=15, ir_version=9))
    layout = read_layout(path)
    assert (layout.ir_version, layout.opset) == (9, 15)
    (tensor,) = layout.tensors
    assert (tensor.name, tensor.shape, tensor.data_type, tensor.n_bytes) == (
        "scale",
        [4, BINS, FRAMES],
        1,
        scale.nbytes,
    )
    assert layout.external_files() == {}
    beside = saved_with_companion(tmp_path / "b.onnx")
    assert read_layout(beside).external_files() == {"weights.bin": scale.nbytes}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.uint8, np.bool_])
@pytest.mark.parametrize("is_raw", [True, False])
def test_numbers_of_every_kind_are_counted(tmp_path: Path, dtype: Any, is_raw: bool) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = numpy_helper.from_array(values, "x")
    if not is_raw:
        tensor = helper.make_tensor("x", kind, values.shape, values.ravel().tolist())
    model = scaling_graph()
    model.graph.initializer.append(tensor)
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    assert len(read_layout(saved(tmp_path / "a.onnx", model)).tensors) == 3
    tensor.dims[0] = 1_000
    model.graph.initializer.append(tensor)
    path = saved(tmp_path / "a.onnx", model)
    with pytest.raises(WeightsError, match=r"the tensor 'x' claims 4000 numbers, but only \d+ bytes are stored"):
        check_graph_file(path)


@pytest.mark.parametrize("dims", [[10**12], [2**40, 2**40], [2**62] * 20, [-1], [1] * 65, [4, BINS, FRAMES, 2]])
def test_a_graph_that_is_gigantic_by_its_word_is_refused(tmp_path: Path, dims: list[int]) -> None:
    model = scaling_graph(np.ones((4, BINS, FRAMES), np.float32))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    path = saved(tmp_path / "a.onnx", model)
    for read in (load_model, lambda path: OnnxEngine.open(path, device=CPU)):
        with pytest.raises(WeightsError, match=r"is not a valid ONNX model.*Fetch the file again") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_sparse_tensor_that_would_grow_without_end_is_refused(tmp_path: Path) -> None:
    model = scaling_graph()
    values = numpy_helper.from_array(np.ones(1, np.float32), "scale2")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    sparse = helper.make_sparse_tensor(values, indices, [10**6, 10**6])
    model.graph.sparse_initializer.append(sparse)
    with pytest.raises(WeightsError, match="larger than all that is stored"):
        check_graph_file(saved(tmp_path / "a.onnx", model))


def test_no_graph_is_a_message(tmp_path: Path) -> None:
    good = scaling_graph(np.ones((4, BINS, FRAMES), np.float32)).SerializeToString()
    path = tmp_path / "a.onnx"
    for content in (
        b"",
        b"\x00",
        b"\xff" * 50,
        b"<html>please log in</html>",
        good[:-7],
        good[:40],
        b"\x3a\xff\xff\xff\xff\x0f",
    ):
        path.write_bytes(content)
        for read in (load_model, lambda path: OnnxEngine.open(path, device=CPU)):
            with pytest.raises(WeightsError) as caught:
                read(path)
            assert str(path) in str(caught.value)
    nested = b""
    for _ in range(60):  # a graph in an attribute of a node of a graph …
        for tag in (0x32, 0x2A, 0x0A):
            nested = bytes([tag]) + _length(len(nested)) + nested
    path.write_bytes(b"\x08\x08\x3a" + _length(len(nested)) + nested)
    with pytest.raises(WeightsError, match="nested too deeply"):
        read_layout(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_layout(tmp_path / "nothing.onnx")


def _length(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14])


@pytest.mark.parametrize(("kind", "name"), [(TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "double")])
def test_graphs_of_other_types_say_what_is_needed(tmp_path: Path, kind: int, name: str) -> None:
    path = saved(tmp_path / "a.onnx", scaling_graph(kind=kind))
    with pytest.raises(WeightsError, match=rf"'input' is a tensor\({name}\), and a tensor\(float\) is needed.*float32"):
        OnnxEngine.open(path, device=CPU)


@pytest.mark.parametrize("newer", [{"opset": 99}, {"ir_version": 99}])
def test_a_graph_newer_than_the_runtime_names_the_cure(tmp_path: Path, newer: dict[str, int]) -> None:
    path = saved(tmp_path / "a.onnx", scaling_graph(**newer))
    hint = "Install a newer onnxruntime, or export the graph again at a lower opset"
    with pytest.raises(WeightsError, match=rf"onnxruntime {onnxruntime.__version__} cannot open.*{hint}"):
        OnnxEngine.open(path, device=CPU)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_graph_that_puts_out_no_numbers_is_named(tmp_path: Path, bad: float) -> None:
    path = saved(tmp_path / "bass.onnx", scaling_graph(bad))
    with pytest.raises(WeightsError, match=r"bass\.onnx: the graph outputs NaN or infinity"):
        OnnxEngine.open(path, device=CPU).run(SPECTRA)
    assert is_finite(np.full((2, 2), 3e38, np.float32))  # whose sum is not
    layer = ChunkBuffer({name: MemoryStore(channels=2, samples=9) for name in ("bass", "vocals")}, 9)
    layer.write("bass", 0, np.ones((2, 9), np.float32))
    with pytest.raises(WeightsError, match="the network that estimates vocals gives NaN or infinity"):
        layer.write("vocals", 0, np.full((2, 9), bad, np.float32))


def test_a_graph_that_fails_while_it_runs_is_named(tmp_path: Path) -> None:
    model = scaling_graph()
    shape = numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("Reshape", ["input", "shape"], ["flat"]))
    model.graph.node[1].input[0] = "flat"
    path = saved(tmp_path / "a.onnx", model)
    with pytest.raises(WeightsError, match=r"a\.onnx: onnxruntime cannot (run|open) this graph"):
        OnnxEngine.open(path, device=CPU).run(SPECTRA)


# ---- weights in another file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../b", "", "c:\\x", "a\\..\\b", ".."])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = saved_with_companion(tmp_path / "in/a.onnx", location)
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 4 * BINS * FRAMES))
    for read in (load_model, lambda path: OnnxEngine.open(path, device=CPU)):
        with pytest.raises(WeightsError, match="outside the file's own folder"):
            read(path)


def test_weights_beside_the_graph_are_used_and_their_absence_is_told(tmp_path: Path) -> None:
    path = saved_with_companion(tmp_path / "a.onnx")
    np.testing.assert_array_equal(OnnxEngine.open(path, device=CPU).run(SPECTRA), 0.25 * SPECTRA)
    moved = saved_with_companion(tmp_path / "b/a.onnx")
    (tmp_path / "b/weights.bin").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"'weights\.bin' beside it, which has 5 of at least 2048 bytes"):
        OnnxEngine.open(moved, device=CPU)
    (tmp_path / "b/weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"'weights.bin' beside it, which is missing.*fetch NAME --from FOLDER"):
        load_model(moved)


def folder_of(directory: Path, path: Path, *, has_hash: bool = False) -> ModelsFolder:
    """A models folder that waits for mine/bass, perhaps of a known hash, and mine/drums of none."""
    known: dict[str, Any] = {"sha256": None, "bytes": None, "geometry": GEOMETRY, "sources": []}
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if has_hash else None
    drums = entry(**known, name="mine/drums", path="mine/drums.onnx")
    return ModelsFolder(write_manifest(directory / "models", entry(**{**known, "sha256": digest}), drums))


@pytest.mark.parametrize("way", ["file", "folder", "zip", "url", "zip behind a url"])
@pytest.mark.parametrize("has_hash", [True, False])
def test_weights_beside_the_graph_come_along(tmp_path: Path, way: str, has_hash: bool) -> None:
    usb = saved_with_companion(tmp_path / "usb/bass.onnx")
    files = {"in/bass.onnx": usb.read_bytes(), "in/weights.bin": (tmp_path / "usb/weights.bin").read_bytes()}
    (tmp_path / "all.zip").write_bytes(zipped(**files))
    models = folder_of(tmp_path, usb, has_hash=has_hash)
    local = {"file": usb, "folder": usb.parent, "zip": tmp_path / "all.zip"}
    with running_server() as server:
        for name, content in files.items():
            server.add(name, content)
        server.add("all.zip", (tmp_path / "all.zip").read_bytes())
        mirrors = {"url": server.url("in/bass.onnx"), "zip behind a url": server.url("all.zip")}
        (result,) = fetch(
            models, ["mine/bass"], from_path=local.get(way), mirror=mirrors.get(way), network_check=open_network
        )
    assert not result.is_verified
    assert files_in(models) == ["mine/bass.onnx", "mine/weights.bin"]
    assert (models.directory / "mine/weights.bin").read_bytes() == files["in/weights.bin"]
    np.testing.assert_array_equal(OnnxEngine.open(result.path, device=CPU).run(SPECTRA), 0.25 * SPECTRA)
    assert [found.status for found in verify(models, ["mine/bass"])] == ["unverified"]
    with pytest.raises(WeightsError, match=r"weights\.bin|no known hash"):
        models.require("mine/bass")
    assert models.require("mine/bass", allow_unverified=True) == result.path
    (again,) = fetch(models, ["mine/bass"], from_path=usb)
    assert again.source is None
    (models.directory / "mine/weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"weights\.bin"):
        models.require("mine/bass")
    assert [found.status for found in verify(models, ["mine/bass"])] == ["damaged"]
    (mended,) = fetch(models, ["mine/bass"], from_path=usb)
    assert mended.source == str(usb)
    assert files_in(models) == ["mine/bass.onnx", "mine/weights.bin"]


def test_weights_that_do_not_come_along_are_told(tmp_path: Path) -> None:
    usb = saved_with_companion(tmp_path / "usb/bass.onnx")
    models = folder_of(tmp_path, usb, has_hash=True)
    (tmp_path / "usb/weights.bin").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"'weights\.bin', which has 5 of at least 2048 bytes"):
        fetch(models, ["mine/bass"], from_path=usb)
    (tmp_path / "usb/weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"'weights\.bin' beside it, which cannot be fetched.*contains both files"):
        fetch(models, ["mine/bass"], from_path=usb)
    assert files_in(models) == []


def test_weights_never_replace_what_is_not_theirs(tmp_path: Path) -> None:
    usb = saved_with_companion(tmp_path / "usb/bass.onnx")
    models = folder_of(tmp_path, usb)
    fetch(models, ["mine/bass"], from_path=usb)
    other = saved_with_companion(tmp_path / "usb/drums.onnx")
    (tmp_path / "usb/weights.bin").write_bytes(bytes(2048))
    with pytest.raises(WeightsError, match="another file has that name"):
        fetch(models, ["mine/drums"], from_path=other)
    for location in ("bass.onnx", "drums.onnx"):
        taken = saved_with_companion(tmp_path / "usb/taken.onnx", location)
        with pytest.raises(WeightsError, match="another file has that name"):
            fetch(models, ["mine/drums"], from_path=taken)
    assert files_in(models) == ["mine/bass.onnx", "mine/weights.bin"]
    assert model_of(models.path("mine/bass")).graph.name == "scaling"


# ---- no hash is known ------------------------------------------------------------------------------------------------


def test_an_unrelated_file_is_not_taken_for_the_artefact(tmp_path: Path) -> None:
    usb = saved(tmp_path / "usb/bass.onnx", scaling_graph())
    models = folder_of(tmp_path, usb)
    unrelated = {
        "the graph has 2 channels, 4 are needed": scaling_graph(channels=2),
        r"a tensor\(float\) is needed": scaling_graph(kind=TensorProto.DOUBLE),
        "does not fit n_fft=": _with_bins(200),
    }
    for complaint, model in unrelated.items():
        saved(usb, model)
        with pytest.raises(WeightsError, match=complaint) as caught:
            fetch(models, ["mine/bass"], from_path=usb, network_check=open_network)
        assert str(usb) in str(caught.value)
        assert ".staged" not in str(caught.value)
    usb.write_bytes(b"twelve bytes")
    with pytest.raises(WeightsError, match="not a valid ONNX model"):
        fetch(models, ["mine/bass"], from_path=usb, network_check=open_network)
    assert files_in(models) == []
    saved(usb, scaling_graph())
    (result,) = fetch(models, ["mine/bass"], from_path=usb, network_check=open_network)
    assert not result.is_verified
    assert files_in(models) == ["mine/bass.onnx"]


def _with_bins(bins: int) -> Any:
    model = scaling_graph()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[2].dim_value = bins
    return model


def test_the_command_says_taken_and_not_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from my_submission.cli.main import main

    usb = saved(tmp_path / "usb/bass.onnx", scaling_graph())
    models = folder_of(tmp_path, usb)
    command = ["fetch", "mine/bass", "--models-dir", str(models.directory), "--from", str(usb)]
    assert main(command) == 0
    assert "not verified because no complete hash is known" in capsys.readouterr().out
    assert main(command) == 0
    assert "present, not verified" in capsys.readouterr().out


@pytest.mark.needs("torch")
def test_a_graph_with_missing_parts_is_named(tmp_path: Path) -> None:
    write_spectral(tmp_path, "vocals", random_network(64), n_fft=256, hop=64, bins=64, frames=32)
    path = tmp_path / "vocals.onnx"
    for damage in ("kernel", "shape"):
        model = model_of(path)
        convolution = next(node for node in model.graph.node if node.op_type == "Conv")
        if damage == "kernel":
            del convolution.attribute[:]
        else:
            weight = next(one for one in model.graph.initializer if one.name == convolution.input[1])
            weight.dims[0] -= 1
        with pytest.raises(WeightsError, match="not well-formed") as caught:
            frame_major(saved(tmp_path / "damaged.onnx", model))
        assert str(tmp_path / "damaged.onnx") in str(caught.value)
