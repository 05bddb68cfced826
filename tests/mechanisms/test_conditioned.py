"""Conditioned separation end to end: chunks, the published fault, engines, graphs and whole systems.

Tolerances: identity exact where nothing overlaps and 1e-6 where a mean is taken; graphs at least 100 dB from torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from my_submission.dsp.stft import from_part_major, to_part_major
from my_submission.engines import Device
from my_submission.engines.conditioned_engine import conditioned_onnx_engine, conditioned_torch_engine
from my_submission.engines.conditioned_onnx import ConditionedOnnx
from my_submission.engines.fake_engine import FakeEngine
from my_submission.errors import MdxError, WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.mechanisms import ConditionedMechanism, ConditionedRecipe, RunOptions
from my_submission.mechanisms.conditioned_networks import open_conditioned
from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig
from my_submission.networks.lasaft.framework import LasaftConfig
from my_submission.networks.lasaft.waveforms import FixedSourcesOfWaves
from my_submission.networks.lasaft.waveforms import from_part_major as torch_from_part_major
from my_submission.networks.lasaft.waveforms import to_part_major as torch_to_part_major
from my_submission.predictor import Predictor
from my_submission.stems import LASAFT_SOURCES, MUSIC_SOURCES
from my_submission.systems import SYSTEMS, BranchRecipe, SystemRecipe, for_stems, load_system
from my_submission.weights import ModelsFolder
from tests import published_lasaft as published
from tests.model_makers import entry, write_manifest, write_torch
from tests.networks.test_lasaft import FAMILY, FRAMES, V2, disturbed, framed
from tests.rigs import estimated
from training.export.conditioned import export_conditioned

CPU = Device("cpu")
HOP = 16
STFT = StftGeometry(64, HOP, 33)
PUBLISHED_STFT = StftGeometry(2048, 1024, 1025)
LIGHTSAFT_CHUNKING = SpectralChunking(PUBLISHED_STFT, 256, 8192)
LASAFT_CHUNKING = SpectralChunking(PUBLISHED_STFT, 128, 5120, 0.5)


def song(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    error = np.sum((expected.astype(np.float64) - actual) ** 2)
    return float(10 * np.log10(np.sum(expected.astype(np.float64) ** 2) / max(error, 1e-300)))


def separated(mechanism: ConditionedMechanism, mixture: np.ndarray) -> np.ndarray:
    """Rows of all sources."""
    stems = estimated(mechanism, mixture)
    return np.stack([stems[source] for source in mechanism.sources])


def doubling(n_sources: int = 2) -> FakeEngine:
    """Gives source number i the mixture times i + 1."""
    gains = np.arange(1, n_sources + 1, dtype=np.float32)
    return FakeEngine(lambda batch: gains[None, :, None, None] * batch[:, None])


# ---- chunks --------------------------------------------------------------------------------------------------------


def test_published_chunks() -> None:
    """Windows, kept samples and hops of the two published programs."""
    assert (LIGHTSAFT_CHUNKING.chunk_samples, LIGHTSAFT_CHUNKING.kept_samples) == (261_120, 244_736)
    assert LIGHTSAFT_CHUNKING.stride_samples == 244_736
    assert (LASAFT_CHUNKING.chunk_samples, LASAFT_CHUNKING.kept_samples) == (130_048, 119_808)
    assert LASAFT_CHUNKING.stride_samples == 59_904
    for samples in (119_809, 200_000, 10_000_000):
        assert LASAFT_CHUNKING.count(samples) == -(-(samples - 119_808) // 59_904) + 1
        assert LIGHTSAFT_CHUNKING.count(samples) == -(-samples // 244_736)


@pytest.mark.parametrize("trim", [8192, 5120])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("edge", ["hop", "kept", "kept+hop", "2 kept"])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_an_identity_network_gives_the_mixture_around_chunk_boundaries(
    trim: int, overlap: float, edge: str, offset: int
) -> None:
    chunking = SpectralChunking(PUBLISHED_STFT, 32, trim, overlap)
    kept, hop = chunking.kept_samples, chunking.stride_samples
    samples = {"hop": hop, "kept": kept, "kept+hop": kept + hop, "2 kept": 2 * kept}[edge] + offset
    mixture = song(samples)
    rows = separated(ConditionedMechanism(("vocals", "bass"), doubling(), chunking, batch_size=2), mixture)
    np.testing.assert_allclose(rows[0], mixture, rtol=0, atol=1e-6 if overlap else 0)
    np.testing.assert_allclose(rows[1], 2 * mixture, rtol=0, atol=2e-6 if overlap else 0)


@settings(deadline=None, max_examples=30)
@given(
    samples=st.integers(1, 4_000),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    batch=st.integers(1, 3),
    trim=st.integers(0, 200),
)
def test_an_identity_network_gives_the_mixture_at_any_length(
    samples: int, overlap: float, batch: int, trim: int
) -> None:
    """And never a chunk more than needed, every batch bounded, one of them the last."""
    engine, mixture = doubling(1), song(samples)
    chunking = SpectralChunking(STFT, 64, trim, overlap)
    rows = separated(ConditionedMechanism(("drums",), engine, chunking, batch_size=batch), mixture)
    np.testing.assert_allclose(rows[0], mixture, rtol=0, atol=1e-6)
    assert sum(shape[0] for shape in engine.shapes) == chunking.count(samples)
    assert max(shape[0] for shape in engine.shapes) <= batch
    assert engine.n_last == 1


def test_a_chunk_before_the_end_hears_the_song_after_it() -> None:
    """The published program feeds zeros there and counts the chunk twice; this one returns the song."""
    chunking = SpectralChunking(STFT, 64, 160, 0.5)
    samples = chunking.stride_samples + chunking.kept_samples + 60
    mixture, inputs = song(samples), []
    engine = FakeEngine(lambda batch: (inputs.extend(batch.copy()), batch[:, None])[1])
    rows = separated(ConditionedMechanism(("other",), engine, chunking), mixture)
    np.testing.assert_allclose(rows[0], mixture, rtol=0, atol=1e-6)
    edge = chunking.stride_samples + chunking.kept_samples
    after = slice(chunking.trim_samples + chunking.kept_samples, None)
    padded = np.pad(mixture, ((0, 0), (0, 1000)))[:, edge : edge + chunking.trim_samples]
    np.testing.assert_array_equal(inputs[1][:, after], padded)


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [((), {}, "at least one"), (("bass", "bass"), {}, "none twice"), (("bass",), {"batch_size": 0}, "batch_size")],
)
def test_nonsense_is_refused(sources: tuple[str, ...], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConditionedMechanism(sources, doubling(), LASAFT_CHUNKING, **options)


# ---- transforms and engines ----------------------------------------------------------------------------------------


def test_parts_come_before_sides_and_frames_before_bins() -> None:
    """A cosine on the left and a sine on the right show in real left and imaginary right alone; 1e-4 of their level."""
    time = 2 * np.pi * 8 / 64 * np.arange(HOP * 31)
    parts = to_part_major(np.stack([np.cos(time), np.sin(time)])[None].astype(np.float32), STFT)
    assert parts.shape == (1, 4, 32, 33)
    inside = parts[0, :, 4:-4, 8] * np.exp(0)
    frames = np.arange(4, 28)
    phase = np.exp(2j * np.pi * 8 / 64 * (frames * HOP - 32)) * 16
    np.testing.assert_allclose(inside[0] + 1j * inside[2], phase, atol=2e-3)
    np.testing.assert_allclose(inside[1] + 1j * inside[3], -1j * phase, atol=2e-3)


def test_transforms_return_the_waveform_and_agree_with_torch() -> None:
    """1e-5 absolute, for samples of about one."""
    waves = np.stack([song(HOP * 31, 1), song(HOP * 31, 2)])
    parts = to_part_major(waves, STFT)
    np.testing.assert_allclose(from_part_major(parts, STFT), waves, atol=1e-5)
    np.testing.assert_allclose(from_part_major(parts[:, None], STFT)[:, 0], waves, atol=1e-5)
    in_torch = torch_to_part_major(torch.from_numpy(waves), STFT)
    np.testing.assert_allclose(in_torch, parts, atol=1e-4)
    np.testing.assert_allclose(torch_from_part_major(in_torch, STFT), waves, atol=1e-5)


def net(config: LasaftConfig) -> ConditionedNet:
    made = ConditionedNet(FrameworkConfig(network=config))
    disturbed(made.spec2spec)
    return made.eval()


@pytest.mark.parametrize("name", FAMILY)
def test_graphs_agree_with_torch(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At least 100 dB, for any number of chunks and any choice of sources, whichever was exported with."""
    separator, path = net(FAMILY[name]), tmp_path / "graph.onnx"
    exported = export_conditioned(separator, path, hop=HOP, frames=FRAMES, architecture=name)
    with capsys.disabled():
        print(f"\n{name}: graph {exported.parity_db:.0f} dB from torch")
    assert exported.parity_db >= 100
    assert hashlib.sha256(path.read_bytes()).hexdigest() == exported.sha256
    shape = ConditionedOnnx.open(path, device=CPU, threads=1).shape()
    assert (shape.channels, shape.frames, shape.bins) == (4, FRAMES, 33)
    assert dict(shape.metadata) == {"n_fft": "64", "hop": str(HOP), "architecture": name}
    waves = np.stack([song(HOP * (FRAMES - 1), seed) for seed in range(3)])
    for sources in ((2,), (3, 0, 1)):
        graph = conditioned_onnx_engine(path, sources, stft=STFT, device=CPU, threads=1)
        torched = conditioned_torch_engine(separator, sources, stft=STFT, device=CPU, threads=1)
        expected = torched.run(waves)
        assert expected.shape == (3, len(sources), 2, waves.shape[-1])
        assert snr_db(expected, graph.run(waves, is_last=True)) >= 100
        with torch.inference_mode():
            whole = FixedSourcesOfWaves(separator, sources, STFT)(torch.from_numpy(waves))
        assert snr_db(expected, whole.numpy()) >= 100
    assert "onnxruntime" in graph.runs_on
    assert "torch" in torched.runs_on


def test_graphs_of_masks_agree_with_torch(tmp_path: Path) -> None:
    for spec_type, mode, constant in (("magnitude", "masking", (0.5, 0.25)), ("complex", "masking", (1, 2, 3, 4))):
        masked = framed(spec_type, mode, constant)
        exported = export_conditioned(masked, tmp_path / "graph.onnx", hop=HOP, frames=FRAMES, architecture="lasaft-v2")
        assert exported.parity_db >= 100


def test_frames_must_fit_the_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames=6 must be a multiple of 4"):
        export_conditioned(net(V2), tmp_path / "graph.onnx", hop=HOP, frames=6, architecture="lasaft-v2")
    assert not list(tmp_path.iterdir())


def test_half_precision_in_torch_is_near(tmp_path: Path) -> None:
    separator, waves = net(V2), song(HOP * (FRAMES - 1))[None]
    exact, rounded = (
        conditioned_torch_engine(separator, (0, 1), stft=STFT, device=CPU, precision=precision, threads=1).run(waves)
        for precision in ("fp32", "bf16")
    )
    assert 15 < snr_db(exact, rounded) < 100


# ---- systems -------------------------------------------------------------------------------------------------------


def arguments(recipe: ConditionedRecipe) -> dict[str, object]:
    """A recipe as the arguments that open its network."""
    return {
        "numbers": recipe.numbers,
        "trim_samples": recipe.trim_samples,
        "overlap_ratio": recipe.overlap_ratio,
    }


def small_system(network: str, *, overlap: float = 0.5) -> SystemRecipe:
    recipe = ConditionedRecipe(network, MUSIC_SOURCES, 64, overlap)
    return SystemRecipe(
        "small", "for tests", MUSIC_SOURCES, (BranchRecipe("network", recipe, dict.fromkeys(MUSIC_SOURCES, 1.0)),)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One network as a checkpoint and as a graph."""
    directory = tmp_path_factory.mktemp("conditioned")
    separator = net(V2)
    checkpoint = write_torch(directory, "small/state", separator.state_dict(), "lasaft-v2", suffix="ckpt")
    checkpoint["geometry"], checkpoint["options"] = {"n_fft": 64, "hop": HOP, "frames": 32}, published.options()
    export_conditioned(separator, directory / "small/graph.onnx", hop=HOP, frames=32, architecture="lasaft-v2")
    graph = entry("small/graph", directory, "small/graph.onnx", format="onnx", architecture="lasaft-v2")
    graph["geometry"] = {"n_fft": 64, "hop": HOP}
    write_manifest(directory, [checkpoint, graph])
    return directory


def predictor(folder: Path, recipe: SystemRecipe, **options: object) -> Predictor:
    chosen = RunOptions(device=CPU, threads=1, **options)  # type: ignore[arg-type]
    return Predictor(load_system(recipe, ModelsFolder(folder), chosen))


def whole_song_at_once(separator: ConditionedNet, mixture: np.ndarray, overlap: float) -> dict[str, np.ndarray]:
    """The published inference, restated: one chunk and one source at a time, halves added where chunks meet."""
    chunking = SpectralChunking(STFT, 32, 64, overlap)
    window, kept, hop = chunking.chunk_samples, chunking.kept_samples, chunking.stride_samples
    samples = mixture.shape[1]
    padded = np.pad(mixture, ((0, 0), (64, 64 + window)))
    total, counts = np.zeros((4, 2, samples + window)), np.zeros(samples + window)
    for index in range(max(1, -(-(samples - kept) // hop) + 1)):
        chunk = torch.from_numpy(padded[None, :, index * hop : index * hop + window])
        for number in range(4):
            with torch.inference_mode():
                spectra = separator(torch_to_part_major(chunk, STFT), torch.tensor([number]))
                wave = torch_from_part_major(spectra, STFT)[0, :, 64 : 64 + kept].numpy()
            total[number, :, index * hop : index * hop + kept] += wave
        counts[index * hop : index * hop + kept] += 1
    return dict(zip(LASAFT_SOURCES, (total / np.maximum(counts, 1))[..., :samples], strict=True))


@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("network", ["small/state", "small/graph"])
def test_systems_agree_with_the_published_inference(folder: Path, network: str, overlap: float) -> None:
    """100 dB on every source, from checkpoint and from graph, one chunk or several a run."""
    mixture = song(3_000)
    expected = whole_song_at_once(net(V2), mixture, overlap)
    for batch_chunks in (1, 3):
        stems = predictor(folder, small_system(network, overlap=overlap), batch_chunks=batch_chunks).separate(mixture)
        assert tuple(stems) == MUSIC_SOURCES
        for source, stem in stems.items():
            assert stem.shape == mixture.shape
            assert snr_db(expected[source], stem) >= 100, source


def test_some_sources_are_the_same_as_among_all(folder: Path) -> None:
    mixture, whole = song(2_000), small_system("small/graph")
    stems = predictor(folder, whole).separate(mixture)
    some = predictor(folder, for_stems(whole, ["vocals", "bass"])).separate(mixture)
    assert tuple(some) == ("vocals", "bass")
    for source, stem in some.items():
        assert snr_db(stems[source], stem) >= 100


def test_the_family_is_in_the_catalogue() -> None:
    names = ("lightsaft", "lasaft-v1", "lasaft-v1-large", "lasaft-v2-light", "lasaft-v2", "lasaft-v2-large")
    recipes = {name: SYSTEMS[name].branches[0].recipe for name in names}
    assert all(isinstance(recipe, ConditionedRecipe) for recipe in recipes.values())
    shapes = {name: (recipe.trim_samples, recipe.overlap_ratio) for name, recipe in recipes.items()}
    assert shapes == {name: (8192, 0.0) if name == "lightsaft" else (5120, 0.5) for name in names}
    assert recipes["lightsaft"].numbers == (2, 1, 3, 0)  # bass, drums, other, vocals by the networks' own numbers


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sources": ()}, "must be among"),
        ({"sources": ("piano",)}, "must be among"),
        ({"overlap_ratio": 0.6}, "must lie between"),
        ({"trim_samples": -1}, "must not be negative"),
    ],
)
def test_recipes_refuse_nonsense(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConditionedRecipe(**{"network": "a/b", "sources": MUSIC_SOURCES, "trim_samples": 0, **values})


def test_artefacts_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    models, recipe = ModelsFolder(folder), small_system("small/state").branches[0].recipe
    assert isinstance(recipe, ConditionedRecipe)
    options = RunOptions(device=CPU, threads=1)
    for name, geometry, message in (
        ("small/state", {"n_fft": 64, "hop": HOP}, "the number of frames"),
        ("small/state", {"n_fft": 64, "hop": HOP, "frames": 30}, "not a multiple of 4"),
        ("small/state", {"n_fft": 128, "hop": HOP, "frames": 32}, "does not fit n_fft=128"),
        ("small/state", {"n_fft": 64, "hop": HOP, "frames": 8}, "do not fit the recipe"),
        ("small/graph", {"n_fft": 128, "hop": HOP}, "does not fit n_fft=128"),
        ("small/graph", None, "states no n_fft"),
    ):
        path = models.path(name)
        made = entry(name, folder, str(path.relative_to(folder)), format=models.artefact(name).format)
        stated = {"architecture": "lasaft-v2", "geometry": geometry, "options": published.options()}
        write_manifest(tmp_path, [{**made, **stated}])
        with pytest.raises(WeightsError, match=message):
            open_conditioned(ModelsFolder(tmp_path).artefact(name), path, options, **arguments(recipe))
    beyond = ConditionedRecipe("small/state", ("e",), 64, order=("a", "b", "c", "d", "e"))
    with pytest.raises(WeightsError, match="has 4 sources, so there is no source number 4"):
        open_conditioned(models.artefact("small/state"), models.path("small/state"), options, **arguments(beyond))
    half = RunOptions(device=CPU, precision="bf16")
    with pytest.raises(MdxError, match="is a graph, which runs in fp32"):
        open_conditioned(models.artefact("small/graph"), models.path("small/graph"), half, **arguments(recipe))


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    def graph(inputs: dict[str, list[object]], output: list[object]) -> Path:
        made = helper.make_graph(
            [helper.make_node("Identity", [next(iter(inputs))], ["output"])],
            "other",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, output)],
        )
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path

    plain = graph({"input": ["n", 4, 8, 33]}, ["n", 4, 8, 33])
    with pytest.raises(WeightsError, match="not a conditioned network"):
        ConditionedOnnx.open(plain, device=CPU, threads=1)
    flat = graph({"input": ["n", 4, 8, "bins"], "source": ["s"]}, ["n", 4, 8, "bins"])
    with pytest.raises(WeightsError, match="maps the shape"):
        ConditionedOnnx.open(flat, device=CPU, threads=1)


def test_a_graph_is_held_to_what_single_precision_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 100 dB a graph passes only where the module itself is no nearer to its exact result."""
    from training.export import conditioned as exporter

    def export() -> float:
        path = tmp_path / "graph.onnx"
        return export_conditioned(net(V2), path, hop=HOP, frames=FRAMES, architecture="lasaft-v2").parity_db

    monkeypatch.setattr(exporter, "_parity_db", lambda *_: 60.0)
    with pytest.raises(ValueError, match=r"60\.0 dB only, expected 100"):
        export()
    monkeypatch.setattr(exporter, "_precision_db", lambda *_: 65.0)
    assert export() == 60.0
