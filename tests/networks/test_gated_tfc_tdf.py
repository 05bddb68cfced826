"""The starter's conditioned network: against the U-Net it gates, started from other weights, trained, as shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluator.metrics import global_sdr
from my_submission.engines import Device
from my_submission.engines.conditioned_onnx import ConditionedOnnx
from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.mechanisms import ConditionedRecipe, RunOptions
from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig, GatedTfcTdfConfig
from my_submission.networks.lasaft.gated_tfc_tdf import GATE_SCALE, GatedTfcTdfNet, SourceGate
from my_submission.networks.spectra import channel_major, part_major
from my_submission.networks.tfc_tdf import TfcTdfConfig, TfcTdfNet
from my_submission.predictor import Predictor
from my_submission.stems import LASAFT_SOURCES, MUSIC_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, find_system, load_system
from my_submission.weights import ModelsFolder
from tests.training_songs import synthetic_stem, write_spooled_songs
from training.examples.loading import read_data
from training.experiment import Experiment
from training.export.spectral import export
from training.loop.checkpoints import load_module
from training.loop.fitting import FitReport, fit
from training.modules.base import module_settings
from training.modules.gated_tfc_tdf import GatedTfcTdfSettings
from training.modules.initial_weights import start_from
from training.modules.last_layer import TrainingWindow, solve
from training.modules.registry import load_experiment
from training.modules.whole_songs import separate
from training.settings.strict import SettingsError
from training.tables.augment import AugmentSettings

ROOT_MODELS = Path(__file__).resolve().parents[2] / "models"
MEGA = 10**6
MIN_GAIN_DB = 5.0
N_FFT, FRAMES = 128, 8
TRUNK = TfcTdfConfig(
    bins=48,
    depth=5,
    growth=4,
    convs_per_block=1,
    bottleneck=2,
    norm="instance",
    output="complex_mask",
    bins_per_row=2,
    compression=0.3,
    targets=len(LASAFT_SOURCES),
)
TINY = [
    "transform.n_fft=512",
    "transform.hop=256",
    "transform.kept_bins=257",
    "transform.frames=16",
    "network.depth=5",
    "network.growth=6",
    "network.convs_per_block=1",
    "network.bins_per_row=2",
    "network.lowest_bins=192",
    "optimiser.learning_rate=5e-3",
    "schedule.warmup_steps=5",
    "schedule.cooldown_steps=25",
    "data.batch=4",
    "data.micro_batch=4",
    "data.workers=0",
    "run.epochs=2",
    "run.epoch_steps=25",
    "run.precision=32-true",
    "run.ema=0.9",
    "run.accelerator=cpu",
    "run.threads=1",
    'run.loggers=["csv"]',
    "validation.every_epochs=2",
    "validation.max_seconds=0.5",
]


def disturbed(seed: int = 0) -> ConditionedNet:
    """A network of random weights, gates among them."""
    torch.manual_seed(seed)
    network = ConditionedNet(
        FrameworkConfig(network=GatedTfcTdfConfig(n_fft=N_FFT, trunk=TRUNK), spec_est_mode="complex_masking")
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def gated(network: ConditionedNet) -> GatedTfcTdfNet:
    assert isinstance(network.spec2spec, GatedTfcTdfNet)
    return network.spec2spec


def spectra(n: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 4, FRAMES, N_FFT // 2 + 1, generator=torch.Generator().manual_seed(seed))


def test_part_major_and_channel_major_are_inverse() -> None:
    x = spectra()
    torch.testing.assert_close(part_major(channel_major(x)), x, rtol=0, atol=0)


def test_evenly_open_gates_leave_the_published_u_net() -> None:
    """Instance norms take an even gate out again, so the U-Net's own forward pass with four targets is the reference.

    To 90 dB: the norms' epsilon weighs a little more behind halved features.
    """
    network = disturbed()
    with torch.no_grad():
        for parameter in gated(network).gates.parameters():
            parameter.zero_()
        x = spectra()
        estimates = network.separate(x, torch.arange(4))
        expected = gated(network).trunk(channel_major(x)[:, :, : TRUNK.bins]).view(2, 4, 4, TRUNK.bins, FRAMES)
    assert not estimates[..., TRUNK.bins :].any()
    got = channel_major(estimates.flatten(0, 1))[:, :, : TRUNK.bins].view(expected.shape)
    error = (got - expected).square().sum() / expected.square().sum()
    assert float(error) < 1e-9


def test_several_sources_are_what_each_is_alone() -> None:
    network, x = disturbed(), spectra(3)
    chosen = torch.tensor([3, 0, 2])
    with torch.no_grad():
        together = network.separate(x, chosen)
        for place, number in enumerate(chosen):
            alone = network(x, number.repeat(3))
            torch.testing.assert_close(together[:, place], alone, rtol=1e-4, atol=1e-5)
    assert float((together[:, 0] - together[:, 1]).abs().max()) > 1e-2


def test_a_gate_is_the_plain_formula() -> None:
    """Against numpy, at every frame and row: h·σ(h Γ + β)."""
    gate = SourceGate(2, 3)
    rng = np.random.default_rng(0)
    gamma, beta, h = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 3), (2, 3), (2, 3, 4, 5)))
    with torch.no_grad():
        gate.gamma.copy_(torch.from_numpy(gamma) / GATE_SCALE)
        gate.beta.copy_(torch.from_numpy(beta) / GATE_SCALE)
        result = gate(torch.from_numpy(h), torch.tensor([1, 0])).numpy()
    for item, source in enumerate((1, 0)):
        rows = np.moveaxis(h[item], 0, -1)
        opened = 1.0 / (1.0 + np.exp(-(rows @ gamma[source] + beta[source])))
        np.testing.assert_allclose(result[item], np.moveaxis(rows * opened, -1, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"), [({"n_fft": 64}, "more than the 33 bins"), ({"trunk": replace(TRUNK, channels=2)}, "stereo")]
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GatedTfcTdfConfig(**({"n_fft": N_FFT, "trunk": TRUNK} | change))  # type: ignore[arg-type]


def exported(folder: Path, target: str, seed: int, config: TfcTdfConfig) -> Path:
    torch.manual_seed(seed)
    chunking = SpectralChunking(StftGeometry(N_FFT, 32, config.bins), FRAMES)
    return export(TfcTdfNet(config), chunking, target, folder / f"{target}.onnx", half_weights=True).path


def last_weight(network: TfcTdfNet) -> torch.Tensor:
    weight: torch.Tensor = network.state_dict()["final_conv.0.weight"]
    return weight


def test_a_run_starts_from_exported_graphs(tmp_path: Path) -> None:
    """The trunk of the first graph, the last layer's rows of each, and what no graph brings as it was."""
    single = replace(TRUNK, targets=1)
    graphs = {target: exported(tmp_path, target, seed, single) for seed, target in enumerate(("other", "vocals"))}
    torch.manual_seed(9)
    network = TfcTdfNet(TRUNK)
    drums_before = last_weight(network)[8:16].clone()
    start_from(network, LASAFT_SOURCES, graphs)
    torch.manual_seed(0)
    other = TfcTdfNet(single)
    for name, value in network.state_dict().items():
        if not name.startswith("final_conv"):
            torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-3, atol=1e-4)
    last = last_weight(network)
    torch.testing.assert_close(last[24:32], last_weight(other), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(last[8:16], drums_before, rtol=0, atol=0)
    assert not torch.equal(last[0:8], drums_before)


def test_a_graph_of_another_shape_is_refused(tmp_path: Path) -> None:
    wider = exported(tmp_path, "other", 0, replace(TRUNK, targets=1, growth=5))
    with pytest.raises(WeightsError, match=r"first_conv\.0"):
        start_from(TfcTdfNet(TRUNK), LASAFT_SOURCES, {"other": wider})
    shallow = exported(tmp_path, "bass", 0, replace(TRUNK, targets=1, depth=3))
    with pytest.raises(WeightsError, match="10 of this network"):
        start_from(TfcTdfNet(TRUNK), LASAFT_SOURCES, {"bass": shallow})


def test_the_last_layer_is_given_back_as_it_was() -> None:
    network = gated(disturbed())
    before = last_weight(network.trunk).clone()
    both = network.last_layer()
    network.set_last_layer(2.0 * both)
    torch.testing.assert_close(last_weight(network.trunk), 2.0 * before)
    torch.testing.assert_close(network.last_layer(), 2.0 * both)


def test_a_mask_that_the_features_can_make_is_found() -> None:
    """Targets made by a last layer: solving from their windows finds its very weights; other targets are left alone."""
    generator = torch.Generator().manual_seed(3)
    true = torch.randn(2, 2, 2, 3, 6, generator=generator)
    windows = []
    for _ in range(3):
        features = torch.randn(5, 8, 10, generator=generator)
        parts = torch.randn(2, 2, 3, 8, 10, generator=generator)
        mixture = torch.complex(*parts)
        mask = torch.einsum("scpki,itr->scpktr", true[..., :5], features) + true[..., 5, None, None]
        windows.append(TrainingWindow(features, mixture, torch.complex(mask[:, :, 0], mask[:, :, 1]) * mixture))
    start = torch.zeros_like(true)
    solved = solve(windows, start, [1])
    torch.testing.assert_close(solved[1], true[1], rtol=1e-3, atol=1e-3)
    assert not solved[0].any()


def test_solving_lowers_the_loss_that_it_is_for() -> None:
    """On the windows it is solved over, the network's own loss falls for the target solved and no other."""
    experiment = tiny()
    network = replace(experiment.network, solved_windows=6)  # type: ignore[type-var]
    experiment = replace(experiment, network=network)
    n_samples = experiment.chunking.chunk_samples
    songs = [[synthetic_stem(source, seed, 1.0)[:, :n_samples] for source in MUSIC_SOURCES] for seed in range(6)]
    examples = torch.from_numpy(np.array(songs))
    module = module_settings(experiment).module(experiment, total_steps=1)
    before = module.batch_loss(examples).item()
    module_settings(experiment).initialise(module, experiment, examples)  # type: ignore[arg-type]
    assert module.batch_loss(examples).item() < 0.8 * before
    assert module.averaged is not None
    for own, averaged in zip(module.network.parameters(), module.averaged.parameters(), strict=True):
        assert torch.equal(own, averaged)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("transform.kept_bins=2048", "all 2049 bins"),
        ('targets=["bass", "drums", "other", "vocals"]', "source numbers"),
        ("network.lowest_bins=4096", "more than the 2049 bins"),
        ("transform.frames=100", "multiple of 16"),
    ],
)
def test_settings_that_do_not_fit_are_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment("starter/conditioned", [override])


def tiny() -> Experiment:
    """From random weights, on songs of one collection as they are."""
    experiment = load_experiment("starter/conditioned", TINY)
    assert isinstance(experiment.network, GatedTfcTdfSettings)
    return replace(
        experiment,
        network=replace(experiment.network, start={}, solved_windows=0),
        data=replace(experiment.data, collections={}),
        augment=AugmentSettings(coherent=0.25, level_db=1.0),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitReport]:
    root = tmp_path_factory.mktemp("gated")
    write_spooled_songs(root / "train", range(2))
    write_spooled_songs(root / "valid", (8,), seconds=1.0)
    experiment = tiny()
    data = read_data(experiment, [root / "train"], [root / "valid"])
    return root / "runs", fit(experiment, data, name="tiny", runs=root / "runs", cache=root / "cache")


@pytest.mark.slow
def test_fifty_steps_gain_more_than_5_db(runs: tuple[Path, FitReport]) -> None:
    """50 steps raise the mean SDR of a song it never saw by more than 5 dB over the untrained network's."""
    experiment = tiny()
    stems = np.stack([synthetic_stem(source, 8, 1.0) for source in LASAFT_SOURCES])
    mixture = torch.from_numpy(stems.sum(axis=0))
    untrained = module_settings(experiment).module(experiment, total_steps=1).eval()
    before, after = (
        np.mean([global_sdr(stem, estimate) for stem, estimate in zip(stems, estimates, strict=True)])
        for estimates in (
            separate(module.estimate, experiment.chunking, mixture).numpy()
            for module in (untrained, load_module(runs[1].last))
        )
    )
    assert after > before + MIN_GAIN_DB


def test_its_graph_separates_in_the_predictor(runs: tuple[Path, FitReport]) -> None:
    """Of the runs folder as a models folder; the predictor's stems are the module's own, to 80 dB of the mixture."""
    artefact = ModelsFolder(runs[0]).artefact("starter-conditioned/network")
    assert (artefact.target, artefact.architecture, artefact.format) == (None, "gated-tfc-tdf", "onnx")
    recipe = ConditionedRecipe("starter-conditioned/network", MUSIC_SOURCES, 256)
    shares = dict.fromkeys(MUSIC_SOURCES, 1.0)
    system = SystemRecipe("tiny", "for tests", MUSIC_SOURCES, (BranchRecipe("network", recipe, shares),))
    predictor = Predictor(load_system(system, ModelsFolder(runs[0]), RunOptions(device=Device("cpu"), threads=1)))
    mixture = np.sum([synthetic_stem(source, 8, 0.5) for source in MUSIC_SOURCES], axis=0)
    stems = predictor.separate(mixture)
    assert runs[1].best is not None
    module = load_module(runs[1].best)
    own = separate(module.estimate, module.experiment.chunking, torch.from_numpy(mixture)).numpy()
    for row, source in enumerate(LASAFT_SOURCES):
        assert np.sum((stems[source] - own[row]) ** 2) < 1e-8 * np.sum(mixture**2)


def test_the_shipped_network_is_small_whole_and_conditioned() -> None:
    """No file over 5 MB, 8 MB in all; what its manifest entry says; all four sources by number at any batch."""
    folder = ModelsFolder(ROOT_MODELS)
    artefact = folder.artefact("starter-conditioned/network")
    path = folder.require(artefact.name)  # hash and size are checked here
    sizes = [file.stat().st_size for file in path.parent.iterdir()]
    assert max(sizes) <= 5 * MEGA
    assert sum(sizes) <= 8 * MEGA
    assert (artefact.architecture, artefact.target, artefact.format) == ("gated-tfc-tdf", None, "onnx")
    graph = ConditionedOnnx.open(path, device=Device("cpu"), threads=1)
    shape = graph.shape()
    assert (shape.channels, shape.frames, shape.bins) == (4, 128, 2049)
    assert dict(shape.metadata) == {"architecture": "gated-tfc-tdf", "hop": "1024", "n_fft": "4096"}
    x = np.random.default_rng(0).normal(size=(2, 4, 128, 2049)).astype(np.float32)
    both = graph.run_for([3, 1], x)
    assert both.shape == (2, 2, 4, 128, 2049)
    for place, number in enumerate((3, 1)):
        alone = graph.run_for([number], x[1:])
        np.testing.assert_allclose(both[1:, place], alone[:, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["starter-conditioned", "starter-blend"])
def test_the_shipped_systems_take_tones_and_clicks_apart(name: str) -> None:
    """Better than a quarter of the mixture for both; nothing is fetched."""
    stems = {source: synthetic_stem(source, 3, 3.0) for source in ("other", "drums")}
    mixture = stems["other"] + stems["drums"]
    system = load_system(find_system(name), ModelsFolder(ROOT_MODELS), RunOptions(device=Device("cpu"), threads=1))
    estimates = Predictor(system).separate(mixture)
    assert set(estimates) == set(MUSIC_SOURCES)
    for source, stem in stems.items():
        assert global_sdr(stem, estimates[source]) > global_sdr(stem, mixture / 4) + 1.0
