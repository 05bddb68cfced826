"""Training of conditioned networks: options, drawn sources, and a short run whose graph the predictor loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import my_submission as mdx
from evaluator.metrics import global_sdr
from my_submission.engines import Device
from my_submission.mechanisms import ConditionedRecipe, RunOptions
from my_submission.networks.lasaft.framework import LasaftConfig
from my_submission.predictor import Predictor
from my_submission.stems import LASAFT_SOURCES, MUSIC_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, load_system
from my_submission.weights import ModelsFolder
from tests import published_lasaft as published
from tests.training_songs import synthetic_stem, write_spooled_songs
from training.examples.loading import read_data
from training.experiment import Experiment
from training.export.own_systems import system_of_run
from training.loop.checkpoints import load_module
from training.loop.fitting import FitReport, fit
from training.loop.trainer import build_trainer
from training.modules.base import module_settings
from training.modules.lasaft import ConditionedModule, source_numbers
from training.modules.registry import load_experiment
from training.modules.whole_songs import separate
from training.optimisation.losses import spectrum_mse
from training.optimisation.optimisers import Adam, Plateau
from training.settings.strict import SettingsError

N_STEPS = 40
SHORT = (
    "network.n_blocks=3",
    "network.n_internal_layers=1",
    "transform.frames=16",
    "data.batch=4",
    "data.micro_batch=4",
    "optimiser.learning_rate=3e-2",
    "run.epochs=1",
    f"run.epoch_steps={N_STEPS}",
    "run.ema=0.7",
    "schedule.cooldown_steps=20",
    "validation.max_seconds=0.5",
    "validation.monitor=l1",
)


def tiny(*overrides: str) -> Experiment:
    return load_experiment("lasaft/tiny", [*SHORT, *overrides])


def module_of(experiment: Experiment) -> ConditionedModule:
    module = module_settings(experiment).module(experiment, total_steps=10)
    assert isinstance(module, ConditionedModule)
    return module


@pytest.mark.parametrize(
    ("name", "shape", "graph", "rate"),
    [
        ("lightsaft", published.LIGHTSAFT, "lightsaft/network", 5e-4),
        ("v1", published.LASAFT_V1, "lasaft-v1/network", 1e-3),
        ("v1-large", published.LASAFT_V1_LARGE, "lasaft-v1/large", 1e-4),
        ("v2-light", published.LASAFT_V2_LIGHT, "lasaft-v2/light", 5e-4),
        ("v2", published.LASAFT_V2, "lasaft-v2/medium", 5e-4),
        ("v2-large", published.LASAFT_V2_LARGE, "lasaft-v2/large", 2e-4),
    ],
)
def test_every_published_row_has_a_configuration(name: str, shape: LasaftConfig, graph: str, rate: float) -> None:
    """The very shape, rate and criteria; the graph takes the place of the authors' checkpoint in the predictor."""
    experiment = load_experiment(f"lasaft/{name}")
    assert experiment.network.config(experiment) == shape  # type: ignore[attr-defined]
    (named,) = experiment.network.graphs(experiment)
    assert f"{experiment.family}/{named}" == graph
    assert experiment.optimiser == Adam(learning_rate=rate)
    assert (experiment.loss, experiment.validation.monitor) == ("spectrum-mse", "l1")
    assert experiment.run.precision == "16-mixed"
    assert source_numbers(experiment) == (0, 1, 2, 3)


def test_variants_of_the_submission_are_there() -> None:
    shorter, deeper = (load_experiment(f"lasaft/lightsaft4dmx{more}") for more in ("", "-medium"))
    assert (shorter.transform.frames, shorter.network.n_blocks) == (128, 7)  # type: ignore[attr-defined]
    assert (deeper.network.n_blocks, deeper.network.control_n_layer) == (11, 6)  # type: ignore[attr-defined]
    assert load_experiment("lasaft/v1-large").schedule == Plateau(shrink=0.5, patience=50)


@pytest.mark.parametrize("block", ["tfc", "tdf", "tdc", "tfc_tdf", "tfc_lasaft", "tfc_lightsaft"])
@pytest.mark.parametrize("framework", ["complex mapping", "complex masking", "magnitude masking"])
def test_frameworks_and_blocks_take_a_step(block: str, framework: str) -> None:
    """A finite loss and a gradient everywhere, for FiLM and GPoCM in turn."""
    spec_type, mode = framework.split()
    modulation = "film" if block.startswith("td") else "gpocm"
    act = "tanh" if framework == "complex masking" else "sigmoid" if spec_type == "magnitude" else "identity"
    experiment = load_experiment(
        "lasaft/v1",
        [
            f"network.block={block}",
            f"network.spec_type={spec_type}",
            f"network.spec_est_mode={mode}",
            f"network.modulation={modulation}",
            f"network.last_activation={act}",
            "network.n_blocks=3",
            "network.internal_channels=4",
            "network.n_internal_layers=2",
            "network.embedding_dim=4",
            "network.control_n_layer=2",
            "transform.n_fft=64",
            "transform.hop=32",
            "transform.kept_bins=33",
            "transform.frames=8",
            "data.batch=3",
            "data.micro_batch=3",
        ],
    )
    module = module_of(experiment)
    stems = torch.randn(3, 4, 2, experiment.chunking.chunk_samples, generator=torch.Generator().manual_seed(1))
    loss = module.batch_loss(stems)
    loss.backward()
    assert torch.isfinite(loss)
    assert [name for name, value in module.network.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.block=tic", "tfc"),
        ("network.n_blocks=4", "n_blocks=4 must be odd"),
        ("network.spec_type=phase", "magnitude"),
        ("network.last_activation=swish", "sigmoid"),
        ("network.control_input_dim=2", "leaves out"),
        ("network.dropout=1.0", "dropout"),
        ("network.init=zeros", "kaiming"),
        ("network.multi_source_training=1", "expected true or false"),
        ("loss=spectrum-mse-and-sum", "set network.multi_source_training=true"),
        ("loss=combination-l1", "set network.multi_source_training=true"),
        ("transform.kept_bins=1024", "all 1025 bins"),
        ("transform.frames=30", "transform.frames=30 must be a multiple of 8"),
        ("export.frames=30", "export.frames=30"),
        ("network.pocm_tipe=naive", "Use pocm_type"),
        ("schedule.shrink=1.5", "no key 'shrink'. Leave it out"),
        ("validation.monitor=loss", "sdr"),
        ("run.min_epochs=0", "min_epochs=0"),
    ],
)
def test_nonsense_is_refused_with_the_cure(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment("lasaft/v1", [override])


def test_a_plateau_refuses_nonsense() -> None:
    for values in ({"shrink": 1.0}, {"patience": -1}):
        with pytest.raises(ValueError, match="must"):
            Plateau(**values)


def test_drawn_sources_belong_to_the_example_and_to_nothing_else() -> None:
    """Two processes and accumulated parts draw together what one does at once; all sources come up alike."""
    whole = module_of(tiny("data.batch=8", "data.micro_batch=8"))
    expected = whole._trained_targets(8)
    parts = module_of(tiny("data.batch=8", "data.micro_batch=2", "run.devices=2"))
    drawn = [parts._trained_targets(2)]
    parts._micro_losses.append(torch.zeros(()))
    drawn.append(parts._trained_targets(2))
    np.testing.assert_array_equal(np.concatenate(drawn), expected[[0, 1, 4, 5]])
    uneven = module_of(tiny("data.batch=8", "data.micro_batch=8", "run.devices=3"))
    np.testing.assert_array_equal(uneven._trained_targets(3), expected[:3])
    many = module_of(tiny("data.batch=2000", "data.micro_batch=2000"))._trained_targets(2000)
    assert np.bincount(many[:, 0], minlength=4) == pytest.approx(np.full(4, 500), abs=100)


def test_batch_norms_of_conditions_need_two_windows() -> None:
    """A batch norm over one condition fails in torch; sources, devices that pool, or no such norm help."""
    one = ["data.batch=3", "data.micro_batch=2"]  # 2 + 1
    with pytest.raises(SettingsError, match="leaves a micro-batch of one window"):
        load_experiment("lasaft/v1", one)
    for more in (
        ["network.multi_source_training=true"],
        ["run.devices=3", "run.sync_batchnorm=true"],
        ["network.pocm_norm=none", "network.control_n_layer=2"],
    ):
        load_experiment("lasaft/v1", [*one, *more])


def test_multi_source_training_asks_for_all_sources_of_every_window_once() -> None:
    """An epoch has every window once instead of once per target; the targets of a window are all of them."""
    drawn, every = tiny("run.epoch_steps=1"), tiny("run.epoch_steps=1", "network.multi_source_training=true")
    lengths = [10 * drawn.window_samples + 1, 3 * drawn.window_samples]
    assert [e.network.epoch_windows(e, lengths) for e in (drawn, every)] == [4 * 13, 13]
    np.testing.assert_array_equal(module_of(every)._trained_targets(2), [[0, 1, 2, 3]] * 2)


def test_the_loss_asks_for_the_drawn_sources() -> None:
    """A network that answers with the asked source's own spectrum would have no loss: checked by its reference."""
    experiment = tiny("loss=spectrum-mse")
    module = module_of(experiment)
    stems = torch.randn(4, 4, 2, experiment.chunking.chunk_samples, generator=torch.Generator().manual_seed(2))
    drawn = [experiment.targets[row] for row in module._trained_targets(4)[:, 0]]
    assert len(set(drawn)) > 1
    asked: list[int] = []

    def answer(x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        from my_submission.networks.lasaft.waveforms import to_part_major

        asked.extend(numbers.tolist())
        rows = [MUSIC_SOURCES.index(LASAFT_SOURCES[number]) for number in numbers]
        return to_part_major(stems[torch.arange(4), rows], experiment.transform.stft)

    module.network.forward = answer
    assert float(module.batch_loss(stems)) == 0.0
    assert asked == [LASAFT_SOURCES.index(source) for source in drawn]


def test_the_spectrum_loss_is_the_mean_square() -> None:
    a, b = (torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    torch.testing.assert_close(spectrum_mse(a, b, torch.ones(3)), torch.nn.functional.mse_loss(a, b))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitReport]:
    root = tmp_path_factory.mktemp("conditioned")
    write_spooled_songs(root / "train", range(2))
    write_spooled_songs(root / "valid", (8,), seconds=1.0)
    experiment = tiny()
    data = read_data(experiment, [root / "train"], [root / "valid"])
    return root / "runs", fit(experiment, data, name="tiny", runs=root / "runs", cache=root / "cache")


@pytest.mark.slow
def test_forty_steps_reach_1_5_db(runs: tuple[Path, FitReport]) -> None:
    """40 steps take the mean SDR of a song it never saw from below that of silence, 0 dB, to more than 1.5 dB."""
    experiment, report = tiny(), runs[1]
    assert (report.steps, report.best_sdr_db) == (N_STEPS, None)
    assert report.best_l1 is not None
    assert report.score == f"val/l1 {report.best_l1:.6f}"
    stems = np.stack([synthetic_stem(source, 8, 1.0) for source in LASAFT_SOURCES])
    mixture = torch.from_numpy(stems.sum(axis=0))
    before, after = (
        np.mean([global_sdr(stem, estimate) for stem, estimate in zip(stems, estimates, strict=True)])
        for estimates in (
            separate(module.estimate, experiment.chunking, mixture).numpy()
            for module in (module_of(experiment).eval(), load_module(report.last))
        )
    )
    assert before < 0.0
    assert after > 1.5


def test_its_graph_separates_in_the_predictor(runs: tuple[Path, FitReport]) -> None:
    """The runs folder is a models folder; the predictor's stems are the module's own, to 80 dB of the mixture."""
    folder, report = runs
    artefact = ModelsFolder(folder).artefact("tiny-conditioned/network")
    assert (artefact.target, artefact.architecture, artefact.format) == (None, "lasaft-v2", "onnx")
    recipe = ConditionedRecipe("tiny-conditioned/network", MUSIC_SOURCES, 256)
    system = SystemRecipe(
        "tiny", "for tests", MUSIC_SOURCES, (BranchRecipe("network", recipe, dict.fromkeys(MUSIC_SOURCES, 1.0)),)
    )
    predictor = Predictor(load_system(system, ModelsFolder(folder), RunOptions(device=Device("cpu"), threads=1)))
    mixture = np.sum([synthetic_stem(source, 8, 0.5) for source in MUSIC_SOURCES], axis=0)
    stems = predictor.separate(mixture)
    name = system_of_run(folder, tiny(), "tiny")
    named = mdx.load(name, models_dir=folder, device="cpu").separate(mixture)
    assert all(np.array_equal(named[source], stems[source]) for source in MUSIC_SOURCES)
    assert report.best is not None
    module = load_module(report.best)
    own = separate(module.estimate, module.experiment.chunking, torch.from_numpy(mixture)).numpy()
    for row, source in enumerate(module.experiment.targets):
        assert np.sum((stems[source] - own[row]) ** 2) < 1e-8 * np.sum(mixture**2)


def test_plateaus_and_synchronised_norms_reach_the_trainer(tmp_path: Path) -> None:
    experiment = load_experiment(
        "lasaft/v1-large", ["run.accelerator=cpu", "run.precision=32-true", "run.min_epochs=100", 'run.loggers=["csv"]']
    )
    trainer = build_trainer(experiment, tmp_path, [], is_validated=True, is_logged=False)
    assert (trainer.min_epochs, trainer.max_epochs) == (100, 1000)
    small = replace(tiny(), schedule=experiment.schedule)
    made = module_of(small).configure_optimizers()
    assert made["lr_scheduler"]["monitor"] == "val/l1"
    assert made["lr_scheduler"]["scheduler"].mode == "min"
    assert made["lr_scheduler"]["scheduler"].factor == 0.5
    assert made["lr_scheduler"]["scheduler"].patience == 50
    rarely = replace(small, validation=replace(small.validation, every_epochs=10))
    assert module_of(rarely).configure_optimizers()["lr_scheduler"]["scheduler"].patience == 5


def test_the_absolute_error_is_a_mean_over_chunks() -> None:
    """A song of three chunks counts three times as much as one of one chunk; the rest of the last chunk is silent."""
    module = module_of(tiny())
    kept = module.experiment.chunking.kept_samples
    module.estimate = lambda mixtures: torch.zeros(len(mixtures), 4, *mixtures.shape[1:])  # type: ignore[method-assign]
    module.on_validation_epoch_start()
    for value, length in ((1.0, 3 * kept), (0.5, kept // 2)):
        module.validation_step(torch.full((4, 2, length), value), 0)
    total, n_chunks = module._absolute
    assert (total / n_chunks, n_chunks) == (pytest.approx((3 * 1.0 + 0.25) / 4), 4 * 4)
