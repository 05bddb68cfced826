"""Systems A and B against a plain re-statement of the published inference, whole song at once.

Bounds: 100 dB signal-to-difference ratio in fp32 on every source; streaming from disk equals the in-memory path to
the bit, because both run the same batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from my_submission.audio_io import WAV_FLOAT
from my_submission.engines import Device
from my_submission.engines.spectral_engine import remarks_of
from my_submission.errors import WeightsError
from my_submission.geometry import OverlapChunking, SpectralChunking, StftGeometry
from my_submission.mechanisms import RunOptions, SpectralMechanism, SpectralRecipe, WaveformMechanism, spectral_networks
from my_submission.mechanisms.spectral_networks import open_spectral
from my_submission.networks.demucs import Demucs
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.systems.catalogue import KUIELAB_A, KUIELAB_B
from my_submission.weights import ModelsFolder
from tests.model_makers import random_network, write_manifest, write_spectral, write_torch
from tests.parity_rig import Rig, snr_db, song
from tests.reference_systems import spectral_estimate
from tests.reference_vectors import reference_vectors
from tests.rigs import estimated

SMALL = {"hop": 64, "bins": 64, "frames": 64}
SMALL_N_FFT = {"bass": 1024, "drums": 256, "other": 512, "vocals": 384}
SMALL_SEGMENT = 16_000
LONG_SAMPLES = 40_001


def stored_demucs(stored: dict[str, np.ndarray]) -> Demucs:
    """The network of a reference file, loaded strictly under the published key names."""
    names = [name for name in stored if name.startswith("state/")]
    return Demucs.from_state({name.removeprefix("state/"): torch.from_numpy(stored[name]) for name in names})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Rig]:
    rigs: dict[str, Rig] = {}

    def make(board: str) -> Rig:
        if board not in rigs:
            recipe = KUIELAB_A if board == "a" else KUIELAB_B
            shapes = {source: dict(SMALL) for source in MUSIC_SOURCES}
            if board == "b":
                shapes["drums"]["frames"] = 32
            folder = tmp_path_factory.mktemp(f"small-{board}")
            depths = dict.fromkeys(MUSIC_SOURCES, 5)
            rigs[board] = Rig(folder, recipe, SMALL_N_FFT, shapes, depths=depths, growth=2, segment=SMALL_SEGMENT)
        return rigs[board]

    return make


def check(rig: Rig, samples: int) -> None:
    mixture = song(samples)
    expected = rig.reference(mixture)
    got = rig.predictor.separate(mixture, sample_rate=44_100)
    assert tuple(got) == MUSIC_SOURCES
    for source, stem in got.items():
        assert stem.shape == (2, samples)
        assert stem.dtype == np.float32
        assert snr_db(expected[source], stem) >= 100, source


@pytest.mark.slow
@pytest.mark.parametrize("board", ["a", "b"])
@pytest.mark.parametrize("samples", ["kept-1", "kept", "kept+1", "long"])
def test_small_geometry(small: Callable[[str], Rig], board: str, samples: str) -> None:
    """The long song has a dozen chunks of each network and five segments of Demucs."""
    rig = small(board)
    lengths = {"kept-1": -1, "kept": 0, "kept+1": 1, "long": LONG_SAMPLES - rig.kept_samples}
    check(rig, rig.kept_samples + lengths[samples])


@pytest.mark.slow
def test_published_geometry(tmp_path: Path) -> None:
    """B's drums at published size, a chunk and a sample; `python -m benchmarks.published_parity` has whole systems."""
    shape = {"n_fft": 4096, "hop": 1024, "bins": 2048, "frames": 128}
    network = random_network(2048, depth=9, growth=2)
    write_manifest(tmp_path, [write_spectral(tmp_path, "kuielab-b/drums", network, **shape)])
    branch = BranchRecipe("networks", SpectralRecipe({"drums": "kuielab-b/drums"}), {"drums": 1.0})
    system = SystemRecipe("drums", "for tests", ("drums",), (branch,))
    options = RunOptions(device=Device("cpu"))
    predictor = Predictor(load_system(system, ModelsFolder(tmp_path), options, allow_unverified=True))
    mixture = song(125_952 + 1)
    expected = spectral_estimate(mixture, network, **shape)
    assert snr_db(expected, predictor.separate(mixture)["drums"]) >= 100


def test_a_song_of_one_sample_gives_finite_stems(small: Callable[[str], Rig]) -> None:
    """A agrees with the reference; B's own statistics are undefined for one sample, ours stay finite."""
    check(small("a"), 1)
    stems = small("b").predictor.separate(song(1), sample_rate=44_100)
    assert all(np.isfinite(stem).all() and stem.shape == (2, 1) for stem in stems.values())


def test_published_chunk_arithmetic() -> None:
    """Chunk, trim and kept samples of the published table."""
    table = {(16384, 512): 506_880, (4096, 512): 519_168, (8192, 512): 515_072, (6144, 512): 517_120}
    table |= {(16384, 256): 244_736, (4096, 128): 125_952, (8192, 256): 252_928, (6144, 256): 254_976}
    for (n_fft, frames), kept in table.items():
        chunking = SpectralChunking(StftGeometry(n_fft, 1024, 2048), frames)
        assert chunking.kept_samples == kept
        assert chunking.chunk_samples == 1024 * (frames - 1)
        assert [chunking.count(n) for n in (1, kept - 1, kept, kept + 1)] == [1, 1, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("board", ["a", "b"])
def test_streaming_from_disk_equals_memory_to_the_bit(small: Callable[[str], Rig], board: str, tmp_path: Path) -> None:
    rig = small(board)
    mixture = song(100_003)
    soundfile.write(tmp_path / "song.wav", mixture.T, 44_100, subtype="FLOAT")
    report = rig.predictor.separate_file(tmp_path / "song.wav", tmp_path / "out", audio_format=WAV_FLOAT)
    expected = rig.predictor.separate(mixture, sample_rate=44_100)
    assert report.is_complete
    for source in MUSIC_SOURCES:
        written, rate = soundfile.read(tmp_path / "out" / f"{source}.wav", dtype="float32", always_2d=True)
        assert rate == 44_100
        np.testing.assert_array_equal(written.T, expected[source])


def test_batches_of_chunks_change_nothing(small: Callable[[str], Rig]) -> None:
    """Several chunks a run agree with one chunk a run to 120 dB."""
    rig = small("a")
    mixture = song(50_000)
    one = rig.predictor.separate(mixture)
    system = rig.predictor.system
    networks = system.branches[0].mechanism
    assert isinstance(networks, SpectralMechanism)
    sevens = replace(networks, networks=tuple(replace(network, batch_size=7) for network in networks.networks))
    batched = replace(system, branches=(replace(system.branches[0], mechanism=sevens), *system.branches[1:]))
    seven = Predictor(batched).separate(mixture)
    assert min(snr_db(one[source], seven[source]) for source in MUSIC_SOURCES) >= 120


@pytest.mark.slow
def test_networks_in_torch_agree_with_the_graphs(small: Callable[[str], Rig]) -> None:
    """The same networks rebuilt in torch from the graphs' initialisers: 100 dB in fp32, near in bf16."""
    rig, mixture = small("a"), song(9_000)
    graphs = rig.predictor.separate(mixture)
    torched = rig.build(RunOptions(device=Device("cpu"), runtime="torch")).separate(mixture)
    assert min(snr_db(graphs[source], torched[source]) for source in MUSIC_SOURCES) >= 100
    rounded = rig.build(RunOptions(device=Device("cpu"), precision="bf16")).separate(mixture)
    assert all(20 < snr_db(graphs[source], rounded[source]) < 100 for source in MUSIC_SOURCES)


def test_a_state_dict_may_stand_for_a_graph(tmp_path: Path) -> None:
    """Frames come from the manifest then; the result is the graph's to 100 dB, and without frames it is refused."""
    network = random_network(64, growth=2)
    graph = write_spectral(tmp_path, "starter/vocals", network, n_fft=384, hop=64, bins=64, frames=64)
    state = write_torch(tmp_path, "starter/state", network.state_dict(), "tfc-tdf")
    state["geometry"] = {"n_fft": 384, "hop": 64, "frames": 64}
    write_manifest(tmp_path, [graph, state])
    models, options, mixture = ModelsFolder(tmp_path), RunOptions(device=Device("cpu")), song(9_000)
    waves = mixture[None, :, : 64 * 63]
    by_graph, by_state = (
        open_spectral(models.artefact(name), models.path(name), options) for name in ("starter/vocals", "starter/state")
    )
    assert by_graph.chunking == by_state.chunking
    assert snr_db(by_graph.engine.run(waves), by_state.engine.run(waves)) >= 100
    for geometry, message in (({"n_fft": 384, "hop": 64}, "the number of frames"), ({"frames": 63}, "not a multiple")):
        state["geometry"] = {"n_fft": 384, "hop": 64, **geometry}
        write_manifest(tmp_path, [state])
        with pytest.raises(WeightsError, match=message):
            open_spectral(ModelsFolder(tmp_path).artefact("starter/state"), models.path("starter/state"), options)


def test_the_report_says_where_bfloat16_would_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A published-form graph without OpenVINO on a processor that it would be faster on; said only in ``auto``."""
    graph = write_spectral(tmp_path, "mine/vocals", random_network(64, growth=2), n_fft=384, hop=64, bins=64, frames=64)
    write_manifest(tmp_path, [graph])
    models = ModelsFolder(tmp_path)
    monkeypatch.setattr(spectral_networks, "bf16_obstacle", lambda: "OpenVINO is not installed")
    monkeypatch.setattr(spectral_networks, "fast_advice", lambda: "faster with the extra fast")
    waves = song(9_000)[None, :, : 64 * 63]
    outputs = []
    for precision, expected in (("auto", ("faster with the extra fast",)), ("fp32", ())):
        options = RunOptions(device=Device("cpu"), precision=precision)
        engine = open_spectral(models.artefact("mine/vocals"), models.path("mine/vocals"), options).engine
        assert remarks_of(engine) == expected
        outputs.append(engine.run(waves))
    np.testing.assert_array_equal(*outputs)


def test_runs_are_deterministic(small: Callable[[str], Rig]) -> None:
    rig = small("a")
    first, second = rig.predictor.separate(song(30_000)), rig.predictor.separate(song(30_000))
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(first[source], second[source])


def test_channels_that_cancel_do_not_blow_up(small: Callable[[str], Rig]) -> None:
    """B scales by the deviation of L + R; with L = −R that is nothing, and the joint statistics take its place."""
    left = song(20_000)[0]
    stems = small("b").predictor.separate(np.stack([left, -left]))
    assert all(np.isfinite(stem).all() and np.abs(stem).max() < 10 for stem in stems.values())


def test_silence_stays_finite(small: Callable[[str], Rig]) -> None:
    for board in ("a", "b"):
        stems = small(board).predictor.separate(np.zeros((2, 30_000), np.float32))
        assert all(np.isfinite(stem).all() for stem in stems.values())


def test_reference_vectors_of_the_published_demucs(capsys: pytest.CaptureFixture[str]) -> None:
    stored = reference_vectors("demucs_v2")
    network = stored_demucs(stored)
    with torch.inference_mode():
        got = network(torch.from_numpy(stored["input/x"])).numpy()[..., stored["positions"]]
    error = np.linalg.norm(got - stored["output/y"]) / np.linalg.norm(stored["output/y"])
    with capsys.disabled():
        print(f"\ndemucs_v2.npz: relative error {error:.2e}")
    assert error < 1e-5


@pytest.mark.slow
def test_reference_vectors_of_the_published_split_application(capsys: pytest.CaptureFixture[str]) -> None:
    from my_submission.engines.torch_engine import TorchEngine

    network = stored_demucs(reference_vectors("demucs_v2"))
    applied = reference_vectors("demucs_v2_apply")
    mixture = np.random.default_rng(3).standard_normal((2, 1808100)).astype(np.float32) * np.float32(0.1)
    mechanism = WaveformMechanism(
        TorchEngine(network, device=Device("cpu")),
        network.config.sources,
        valid_length=network.config.valid_length,
        chunking=OverlapChunking(1_764_000, 0.5),
        normalisation="none",
    )
    stems = estimated(mechanism, mixture)
    joined = np.stack([stems[name] for name in mechanism.sources])
    got = joined[:, :, applied["input/positions"]]
    error = np.linalg.norm(got - applied["output/y"]) / np.linalg.norm(applied["output/y"])
    with capsys.disabled():
        print(f"\ndemucs_v2_apply.npz: relative error {error:.2e}")
    assert error < 1e-5
