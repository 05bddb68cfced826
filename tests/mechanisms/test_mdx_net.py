"""Graphs of one stem as UVR and audio-separator apply them, against a whole-song reference of that practice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

import my_submission as mdx
from benchmarks.random_models import GEOMETRIES, write_models
from my_submission.cli.artefacts import expand
from my_submission.cli.main import main
from my_submission.cli.network_options import NetworkGroup
from my_submission.errors import InputError, UnknownNameError, WeightsError
from my_submission.events import StretchDone
from my_submission.predictor import load
from my_submission.systems import SYSTEMS, NetworkOptions, OwnNetwork, find_system, network_settings
from my_submission.systems.mdx_net import PUBLIC_GRAPHS
from my_submission.weights import ModelsFolder, mdx_net_facts
from my_submission.weights.mdx_net_facts import KNOWN_NETWORKS, NetworkFacts, tail_md5
from tests.mdx_net_reference import whole_song
from tests.model_makers import passing_the_mixture, random_network, write_manifest, write_spectral

RATE = 44_100
HOP = 1024
ROOT = Path(__file__).resolve().parents[2]


def song(samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((2, samples))).astype(np.float32)


def convolution(path: Path, *, bins: int, frames: int, scale: float = 0.5, bias: float = 0.0) -> Path:
    """A graph whose output depends on neighbouring frames and bins, and with a bias on the sign of its input."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = ["batch", 4, bins, frames]
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output"))
    weight = (0.05 * np.random.default_rng(1).standard_normal((4, 4, 3, 3))).astype(np.float32)
    weight[range(4), range(4), 1, 1] += scale
    initialisers = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.full(4, bias, np.float32), "bias"),
    ]
    node = helper.make_node("Conv", ["input", "weight", "bias"], ["output"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "convolution", [taken], [given], initialisers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def identity(path: Path, *, bins: int, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = ["batch", 4, bins, frames]
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output"))
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["output"])], "identity", [taken], [given])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def session_of(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda parts: session.run(None, {session.get_inputs()[0].name: parts})[0]


def snr_db(reference: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - found) ** 2)))


def known(monkeypatch: pytest.MonkeyPatch, path: Path, facts: NetworkFacts) -> None:
    """List a graph in the table of public ones."""
    monkeypatch.setattr(mdx_net_facts, "KNOWN_NETWORKS", {**KNOWN_NETWORKS, tail_md5(path): facts})


@pytest.mark.parametrize(
    ("n_fft", "bins", "frames"),
    [(7680, 3072, 64), (6144, 2048, 32), (5120, 2560, 32), (4096, 2048, 16), (16384, 2048, 32)],
)
@pytest.mark.parametrize("denoise", [False, True])
def test_a_graph_is_applied_as_the_field_applies_it(
    tmp_path: Path, n_fft: int, bins: int, frames: int, denoise: bool
) -> None:
    """Geometries of the public graphs, fewer frames; float32 transforms against float64 ones: 100 dB."""
    path = convolution(tmp_path / "net.onnx", bins=bins, frames=frames, bias=0.02)
    mixture = song(frames * HOP * 3 + 777)
    stems = load(
        network=mdx.OwnNetwork(path, "vocals", n_fft), network_options=mdx.NetworkOptions(denoise), precision="fp32"
    ).separate(mixture)
    expected = whole_song(mixture, session_of(path), n_fft=n_fft, bins=bins, frames=frames, denoises=denoise)
    assert tuple(stems) == ("vocals", "instrumental")
    assert snr_db(expected, stems["vocals"]) > 100
    np.testing.assert_allclose(stems["vocals"] + stems["instrumental"], mixture, atol=1e-6)


@pytest.mark.parametrize("samples", [1_000, 14_336, 100_000])
def test_songs_of_any_length(tmp_path: Path, samples: int) -> None:
    """Shorter than a chunk, a whole number of trimmed chunks, any other."""
    path = convolution(tmp_path / "net.onnx", bins=2048, frames=19)
    mixture = song(samples)
    stems = load(network=mdx.OwnNetwork(path, "vocals", 4096), precision="fp32").separate(mixture)
    expected = whole_song(mixture, session_of(path), n_fft=4096, bins=2048, frames=19)
    assert snr_db(expected, stems["vocals"]) > 100


def test_a_tfc_tdf_network_of_random_weights(tmp_path: Path) -> None:
    network = passing_the_mixture(random_network(1024, depth=5, growth=12))
    write_spectral(tmp_path, "net", network, n_fft=4096, hop=HOP, bins=1024, frames=32)
    mixture = song(90_000)
    stems = load(network=mdx.OwnNetwork(tmp_path / "net.onnx", "vocals", 4096), precision="fp32").separate(mixture)
    expected = whole_song(mixture, session_of(tmp_path / "net.onnx"), n_fft=4096, bins=1024, frames=32)
    assert snr_db(expected, stems["vocals"]) > 100


def test_an_identity_gives_the_mixture_and_a_silent_rest(tmp_path: Path) -> None:
    """All bins kept: everything, with no bin silenced; without the lowest, as the field does it, all but the bass below
    17 Hz."""
    path = identity(tmp_path / "net.onnx", bins=2049, frames=16)
    seconds = np.arange(60_000) / RATE
    mixture = np.tile(0.3 * np.sin(2 * np.pi * 440 * seconds), (2, 1)).astype(np.float32)
    for silent_bins, tolerance in ((0, 1e-6), (3, 2e-3)):
        options = mdx.NetworkOptions(silent_bins=silent_bins)
        stems = load(network=mdx.OwnNetwork(path, "vocals", 4096), network_options=options).separate(mixture)
        middle = slice(4_000, -4_000)  # a tone that begins and ends has some bass there
        assert np.abs(stems["instrumental"][:, middle]).max() < tolerance
        np.testing.assert_allclose(stems["vocals"][:, middle], mixture[:, middle], atol=tolerance)


def test_the_output_may_be_the_rest_of_the_stem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of the instrumental gives the vocals by subtraction; its table entry states n_fft and gain."""
    path = convolution(tmp_path / "net.onnx", bins=2048, frames=16)
    mixture = song(70_000)
    expected = whole_song(mixture, session_of(path), n_fft=4096, bins=2048, frames=16)
    own = load(network=mdx.OwnNetwork(path, "instrumental", 4096), precision="fp32").separate(mixture)
    assert snr_db(expected, own["instrumental"]) > 100
    assert snr_db(mixture - expected, own["vocals"]) > 100
    known(monkeypatch, path, NetworkFacts(4096, 1.5, "instrumental"))
    for gain, options in (
        (1.0, None),
        (1.5, mdx.NetworkOptions(compensation=None)),
        (0.5, mdx.NetworkOptions(compensation=0.5)),
    ):
        stems = load(network=mdx.OwnNetwork(path, "vocals"), network_options=options, precision="fp32").separate(
            mixture
        )
        assert snr_db(gain * expected, stems["instrumental"]) > 95
        np.testing.assert_allclose(stems["vocals"] + stems["instrumental"], mixture, atol=1e-6)


def test_stretches_and_budgets(tmp_path: Path) -> None:
    """One network works from start to end; a generous budget gives the same samples."""
    path = convolution(tmp_path / "net.onnx", bins=2048, frames=64)
    predictor = load(network=mdx.OwnNetwork(path, "vocals", 4096), precision="fp32")
    mixture = song(9 * RATE)
    expected = predictor.separate(mixture)
    events = list(predictor.stream(mixture, emit_stretches=True))
    stretches = [event for event in events if isinstance(event, StretchDone)]
    np.testing.assert_array_equal(
        np.concatenate([stretch.stems["vocals"] for stretch in stretches], axis=1), expected["vocals"]
    )
    generous = predictor.separate(mixture, budget_seconds=600.0)
    np.testing.assert_allclose(generous["vocals"], expected["vocals"], atol=1e-6)  # sums in another order
    none = predictor.separate(mixture, budget_seconds=0.0)
    np.testing.assert_allclose(none["vocals"], mixture / 2, atol=1e-6)  # two stems share the mixture


def test_a_public_graph_is_known_by_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a models folder: used without --allow-unverified, if the table lists its end; refused with the cure if not."""
    path = convolution(tmp_path / "mdx_net" / "net.onnx", bins=2048, frames=16)
    entry = {"name": "mdx-net/kim-inst", "path": "mdx_net/net.onnx", "sha256": None, "bytes": None, "format": "onnx"}
    write_manifest(tmp_path, [{**entry, "architecture": "mdx-net", "sources": [], "licence": "x"}])
    with pytest.raises(WeightsError, match="has no known hash"):
        load("mdx-net/kim-inst", models_dir=tmp_path)
    with pytest.raises(WeightsError, match=r"n_fft is unknown.*--n-fft"):
        load("mdx-net/kim-inst", models_dir=tmp_path, allow_unverified=True)
    known(monkeypatch, path, NetworkFacts(4096, 1.0, "drums"))
    with pytest.raises(WeightsError, match="outputs drums, not vocals"):
        load("mdx-net/kim-inst", models_dir=tmp_path)
    known(monkeypatch, path, NetworkFacts(4096, 1.0, "instrumental"))
    assert load("mdx-net/kim-inst", models_dir=tmp_path).stems == ("vocals", "instrumental")


def test_every_public_graph_has_a_system_and_an_address() -> None:
    models = ModelsFolder(ROOT / "models")
    assert len(PUBLIC_GRAPHS) == 22
    for name in PUBLIC_GRAPHS:
        system, artefact = find_system(f"mdx-net/{name}"), models.artefact(f"mdx-net/{name}")
        assert artefact.sources[0].startswith("https://github.com/TRvlvr/")
        assert len(system.stems) == 2
        assert system.stems_add_up
    assert find_system("mdx-net/reverb-hq").stems == ("reverb", "no_reverb")
    assert {facts.output for facts in KNOWN_NETWORKS.values()} >= {"vocals", "instrumental", "reverb", "no_crowd"}
    assert len([name for name in SYSTEMS if name.startswith("mdx-net/")]) == 22


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (mdx.OwnNetwork("missing.onnx", "vocals"), None, "there is no such file"),
        (mdx.OwnNetwork("song.wav", "vocals"), None, "does not end in .onnx"),
        (mdx.OwnNetwork("net.onnx", "vocals"), None, "n_fft is unknown"),
        (mdx.OwnNetwork("net.onnx", "vocals", 2048), None, "does not fit n_fft=2048"),
        (mdx.OwnNetwork("net.onnx", "vocals", 4095), None, "must be even"),
        (mdx.OwnNetwork("net.onnx", "vocals", 4096), mdx.NetworkOptions(compensation=None), "no fitted compensation"),
    ],
)
def test_what_cannot_be_separated_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: mdx.OwnNetwork,
    options: mdx.NetworkOptions | None,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    convolution(tmp_path / "net.onnx", bins=2048, frames=16)
    (tmp_path / "song.wav").write_bytes(b"")
    with pytest.raises((InputError, WeightsError), match=message):
        load(network=network, network_options=options)


def test_options_for_graphs_are_refused_elsewhere() -> None:
    with pytest.raises(UnknownNameError, match="starter has no network"):
        load("starter", network_options=mdx.NetworkOptions(denoise=True))


def test_records_of_the_command_line_and_of_python_name_the_same_options(tmp_path: Path) -> None:
    """All that changes samples and is not in the graph's file."""
    path = tmp_path / "mine.onnx"
    group = NetworkGroup(network=path, target="vocals", n_fft=6144, denoise=True, compensation="1.05", silent_bins=2)
    expected = {
        "network": {"target": "vocals", "n_fft": 6144, "hop": 1024},
        "network_options": {"denoise": True, "compensation": 1.05, "silent_bins": 2},
    }
    assert group.settings == expected
    assert network_settings(OwnNetwork(path, "vocals", 6144), NetworkOptions(True, 1.05, 2)) == expected
    assert network_settings(None, None) == NetworkGroup().settings == {}


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path = convolution(tmp_path / "My Net.onnx", bins=2048, frames=16)
    soundfile.write(tmp_path / "song.wav", song(60_000).T, RATE)
    arguments = ["separate", "song.wav", "--network", str(path), "--target", "guitar", "--n-fft", "4096", "-q"]
    assert main([*arguments, "--denoise", "--report", "run.json"]) == 0
    assert sorted(file.name for file in (tmp_path / "stems" / "song").iterdir()) == [
        "separation.json",
        "song - guitar.wav",
        "song - no_guitar.wav",
    ]
    record = json.loads((tmp_path / "stems" / "song" / "separation.json").read_text())
    assert record["system"] == "own/my-net"
    assert record["made_with"]["settings"]["network"] == {"target": "guitar", "n_fft": 4096, "hop": 1024}
    assert record["made_with"]["settings"]["network_options"]["denoise"] is True
    assert main([*arguments, "--skip-existing"]) == 0  # other options: separated again
    for target in ("", "../vocals", "a/b", "."):
        assert main(["separate", "song.wav", "--network", str(path), "--target", target, "--n-fft", "4096"]) == 2
        assert "is not the name of a stem" in capsys.readouterr().err
    for wrong in (["--network", str(path)], ["--target", "vocals"], ["--compensation", "loud"]):
        assert main(["separate", "song.wav", *wrong]) == 2
    assert main(["separate", "song.wav", "--system", "starter", *arguments[2:6]]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_vocals_of_a_cascade_come_from_a_public_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """starter-plus with another graph in front: its vocals are those of the graph alone, the rest is what is left."""
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "models", folder)
    path = convolution(folder / "mdx_net" / "Kim_Inst.onnx", bins=2048, frames=64)
    known(monkeypatch, path, NetworkFacts(4096, 1.0, "instrumental"))
    mixture = song(5 * RATE)
    alone = load("mdx-net/kim-inst", models_dir=folder, precision="fp32").separate(mixture)
    predictor = load("starter-plus", models_dir=folder, precision="fp32", vocals_from="kim-inst")
    assert predictor.system.recipe.name == "starter-plus+kim-inst"
    stems = predictor.separate(mixture)
    np.testing.assert_array_equal(stems["vocals"], alone["vocals"])
    assert set(stems) == {"bass", "drums", "other", "vocals"}


def test_vocals_among_networks_come_from_a_graph_of_vocals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kuielab-a-networks keeps its own way of applying networks; a graph of something else is refused."""
    write_models(tmp_path, GEOMETRIES["tiny"])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    path = convolution(tmp_path / "kim.onnx", bins=2048, frames=16)
    entry = {"name": "mdx-net/kim-vocal-1", "path": "kim.onnx", "sha256": None, "bytes": None, "format": "onnx"}
    entry |= {"architecture": "mdx-net", "sources": [], "licence": "x"}
    write_manifest(tmp_path, [*manifest["artefacts"], entry])
    given = {"models_dir": tmp_path, "allow_unverified": True, "vocals_from": "mdx-net/kim-vocal-1"}
    known(monkeypatch, path, NetworkFacts(4096, 1.0, "instrumental"))
    with pytest.raises(WeightsError, match="outputs instrumental, not vocals"):
        load("kuielab-a-networks", **given)
    known(monkeypatch, path, NetworkFacts(4096, 1.0, "vocals"))
    (branch,) = load("kuielab-a-networks", **given).system.branches
    (vocals,) = (network for network in branch.mechanism.networks if network.source == "vocals")
    assert (vocals.chunking.stft.n_fft, vocals.chunking.stft.silent_bins, vocals.chunking.frames) == (4096, 0, 16)


def test_fetch_knows_the_names_that_the_advice_gives() -> None:
    """A system whose vocals come from a public graph lacks that graph: "fetch SYSTEM+GRAPH" is the advice."""
    models = ModelsFolder()
    names = expand(["starter-plus+kim-vocal-2", "kuielab-a+voc-ft"], models)
    assert {"mdx-net/kim-vocal-2", "mdx-net/voc-ft", "starter-plus/accompaniment", "kuielab-a/bass"} <= set(names)
    assert "kuielab-a/vocals" not in names
    with pytest.raises(UnknownNameError, match="there is no system or artefact"):
        expand(["starter-plus+kim-vocal-9"], models)


def test_a_graph_of_vocals_needs_a_place() -> None:
    with pytest.raises(UnknownNameError, match="no public vocals graph 'reverb-hq'"):
        load("starter-plus", vocals_from="reverb-hq")
    with pytest.raises(UnknownNameError, match="lightsaft has no network that estimates only the vocals"):
        load("lightsaft", vocals_from="kim-vocal-2")
