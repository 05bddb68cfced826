"""AIMLESS' recipes: what is published of them, two steps of each, and a file that the predictor's loaders open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import my_submission as mdx
from my_submission.engines import parse_device
from my_submission.engines.torch_engine import open_torch
from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from my_submission.weights import ModelsFolder, verify
from tests.training_songs import synthetic_stem, write_audio_song
from training.examples.clean_list import clean_songs
from training.examples.loading import RunDataModule, epoch_steps, read_data
from training.experiment import Experiment
from training.loop.checkpoints import LAST, load_module
from training.loop.fitting import FitReport, fit
from training.modules import magnitude
from training.modules.base import module_settings
from training.modules.registry import load_experiment
from training.modules.states import StateModule
from training.optimisation.losses import LossOptions, LossValues, loss_of
from training.settings.strict import SettingsError

SHORT = (
    "run.epochs=1",
    "run.epoch_steps=2",
    "run.accelerator=cpu",
    "run.threads=1",
    "run.precision=32-true",
    'run.loggers=["csv"]',
    "data.workers=0",
    "data.batch=2",
    "data.micro_batch=1",
    "data.window_seconds=0.12",
    "data.held_out=[]",
    "transform.frames=9",
    "validation.max_seconds=0.1",
    "validation.every_epochs=1",
)
SMALL = {
    "cdx-hdemucs": ("network.channels=4",),
    "cdx-bsrnn": ("network.hidden_size=8", "network.num_layers=1"),
    "mdx-hdemucs": ("network.channels=4", "validation.max_songs=1"),
    "xumx": ("network.hidden_channels=8", "network.max_bins=100", "network.nb_layers=1"),
    "demucs-split": ("network.channels=4", "network.depth=3"),
}
"""Overrides that make every published network small; everything else is as published."""

ARTEFACTS = {"cdx-bsrnn": "cdx-band-split-rnn", "xumx": "x-umx"}
"""Recipes to artefacts of another name."""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DnR's layout (mono, its own file names, numbered scenes) and songs, one of them clean."""
    root = tmp_path_factory.mktemp("corpora")
    for part, scenes in (("tr", (1, 22)), ("cv", (3,))):
        for scene in scenes:
            folder = root / "dnr" / part / str(scene)
            folder.mkdir(parents=True)
            for name, like in (("music", "other"), ("sfx", "drums"), ("speech", "vocals")):
                soundfile.write(folder / f"{name}.wav", synthetic_stem(like, scene, 1.0)[0], SAMPLE_RATE)
            soundfile.write(folder / "mix.wav", np.zeros(100), SAMPLE_RATE)
    for index in range(3):
        sources = ("bass", "drums", "other", "vocals")
        write_audio_song(root / "songs" / f"{index:03d}", sources, seed=index, seconds=1.0)
    (root / "label_noise.csv").write_text("ID,Clean,Notes\n000,N,bleed\n001, y ,\n002,,\n", encoding="utf-8")
    return root


def folders(recipe: str, corpora: Path) -> Sequence[Path]:
    return [corpora / "dnr" / "tr", corpora / "dnr" / "cv"] if recipe.startswith("cdx") else [corpora / "songs"]


def short(recipe: str, corpora: Path, *overrides: str) -> Experiment:
    listed = (f"data.clean_list={corpora / 'label_noise.csv'}",) if recipe.startswith("mdx") else ()
    return load_experiment(f"aimless/{recipe}", [*SHORT, *SMALL[recipe], *listed, *overrides])


def run(recipe: str, corpora: Path, runs: Path, *overrides: str) -> FitReport:
    experiment = short(recipe, corpora, *overrides)
    data = read_data(experiment, folders(recipe, corpora))
    return fit(experiment, data, name=f"aimless/{recipe}", runs=runs, cache=runs / "cache")


@pytest.mark.parametrize(
    ("recipe", "loss", "rate", "seconds", "per_song", "parameters"),
    [
        ("cdx-hdemucs", "negative-sdr", 3e-4, 6.0, 144, 148_592_009),
        ("cdx-bsrnn", "masking", 3e-4, 3.0, 144, 9_274_755),
        ("mdx-hdemucs", "negative-sdr", 3e-4, 10.0, 144, 148_601_240),
        ("mdx-hdemucs-final", "negative-sdr", 1e-4, 10.0, 144, 148_601_240),
        ("xumx", "combination", 1e-4, 6.0, 64, None),
        ("demucs-split", "l1", 3e-4, 10.0, 150, None),
    ],
)
def test_recipes_are_the_published_ones(
    recipe: str, loss: str, rate: float, seconds: float, per_song: int, parameters: int | None
) -> None:
    experiment = load_experiment(f"aimless/{recipe}")
    assert (experiment.loss, experiment.optimiser.learning_rate) == (loss, rate)
    assert experiment.window_samples == seconds * SAMPLE_RATE
    assert experiment.data.windows_per_song == per_song
    if parameters is not None:
        with torch.device("meta"):
            module = module_settings(experiment).module(experiment, total_steps=1)
        assert sum(parameter.numel() for parameter in module.network.parameters()) == parameters


def test_lengths_and_seeds_are_the_published_ones() -> None:
    cinema, bands, music = (load_experiment(f"aimless/{name}") for name in ("cdx-hdemucs", "cdx-bsrnn", "mdx-hdemucs"))
    assert [e.run.epochs * (e.run.epoch_steps or 0) for e in (cinema, bands)] == [30_000, 99_000]
    assert (cinema.seed, bands.seed, music.seed) == (2434, 2434, 45)
    on_four = {
        name: load_experiment(f"aimless/{name}", ["run.devices=4"])
        for name in ("cdx-hdemucs", "cdx-bsrnn", "mdx-hdemucs", "mdx-hdemucs-final", "xumx", "demucs-split")
    }
    assert {name: (e.data.micro_batch, e.accumulation) for name, e in on_four.items()} == {
        "cdx-hdemucs": (3, 4),
        "cdx-bsrnn": (16, 1),
        "mdx-hdemucs": (3, 4),
        "mdx-hdemucs-final": (3, 64),
        "xumx": (4, 1),
        "demucs-split": (4, 1),
    }
    assert on_four["mdx-hdemucs"].run.epochs + on_four["mdx-hdemucs-final"].run.epochs == 800
    for name in ("xumx", "demucs-split"):  # all songs of train, validated on those of test
        assert (on_four[name].run.epochs, on_four[name].data.held_out) == (1_000, ())


def test_stems_of_a_scene_are_of_one_split(corpora: Path, tmp_path: Path) -> None:
    """All from tr or all from cv, in proportion to their scenes: two to one here."""
    experiment = short("cdx-hdemucs", corpora, "augment.effects=[]", "data.window_seconds=0.01")
    data = read_data(experiment, folders("cdx", corpora))
    dataset = RunDataModule(experiment, data, tmp_path).dataset()
    splits = [{stem.path.parents[1].name for stem in dataset.stems_of(number)} for number in range(150)]
    assert all(len(names) == 1 for names in splits)
    assert splits.count({"tr"}) == pytest.approx(100, abs=20)


@pytest.mark.parametrize("recipe", ["xumx", "cdx-bsrnn"])
def test_spectral_losses_end_where_the_inverse_transform_ends(
    recipe: str, corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At hop · (frames − 1): 5120 of the 5292 samples of a window here."""
    module = module_settings(short(recipe, corpora)).module(short(recipe, corpora), total_steps=1)
    given: list[LossValues] = []

    def kept(name: str, outcome: LossValues, weights: Tensor, options: LossOptions) -> Tensor:
        given.append(outcome)
        return loss_of("masking", outcome, weights)

    monkeypatch.setattr(magnitude, "loss_of", kept)
    n_sources = len(module.experiment.sources)
    stems = torch.randn(2, n_sources, 2, 5_292, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(module.batch_loss(stems))
    assert given[0].waves().shape == given[0].target_waves.shape
    assert given[0].target_waves.shape[-1] == given[0].mixture_waves.shape[-1] == 5 * 1024
    whole = stems.sum(dim=1) if recipe == "xumx" else stems.sum(dim=1).mean(dim=1, keepdim=True)
    torch.testing.assert_close(given[0].mixture_waves, whole[..., : 5 * 1024])


@pytest.fixture(scope="module")
def runs(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs in which every recipe has taken two steps."""
    folder = tmp_path_factory.mktemp("runs")
    assert all(run(recipe, corpora, folder).steps == 2 for recipe in SMALL)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SMALL)
def test_two_steps_of_every_recipe_end_in_a_file_that_loads(recipe: str, runs: Path) -> None:
    """The manifest's entry opens as an engine, which computes what the trained module does: 1e-5 relative."""
    artefact = ModelsFolder(runs).artefact(f"aimless/{ARTEFACTS.get(recipe, recipe)}")
    assert (artefact.format, artefact.target) == ("torch", "music" if recipe == "cdx-bsrnn" else None)
    module = load_module(runs / "aimless" / recipe / "checkpoints" / LAST)
    assert isinstance(module, StateModule)
    engine = open_torch(runs / artefact.path, artefact.architecture, device=parse_device("cpu"), threads=1)
    x = torch.rand(module.example(), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected: Tensor = module.evaluated(x)
        estimates = module.estimate(torch.rand(2, 2, 10_000))
    actual = torch.from_numpy(engine.run(x.numpy()))[
        ..., : expected.shape[-1]
    ]  # zeros follow what DemucsSplit estimates
    assert torch.linalg.vector_norm(actual - expected) < 1e-5 * torch.linalg.vector_norm(expected)
    assert estimates.shape == (2, len(module.experiment.targets), 2, 10_000)


def test_the_runs_folder_is_a_models_folder(runs: Path) -> None:
    """Every system finds what was trained for it."""
    assert {result.status for result in verify(ModelsFolder(runs))} == {"ok"}
    mixture = np.random.default_rng(0).normal(scale=0.1, size=(2, 9_000)).astype(np.float32)
    for system in ("aimless-cdx-a", "aimless-mdx-a", "aimless-xumx", "aimless-demucs"):
        stems = mdx.load(system, models_dir=runs, device="cpu", threads=1).separate(mixture)
        assert set(stems) == set(CINEMA_SOURCES if "cdx" in system else MUSIC_SOURCES)
        assert all(stem.shape == mixture.shape and np.isfinite(stem).all() for stem in stems.values())


@pytest.mark.slow
def test_weights_on_the_way_are_kept_and_a_new_run_starts_from_a_state(corpora: Path, tmp_path: Path) -> None:
    """Every so many epochs a file of weights alone, which can be exported; a run begun with one is at its place."""
    run("cdx-hdemucs", corpora, tmp_path, "run.epochs=2", "run.epoch_steps=1")
    kept = sorted((tmp_path / "aimless" / "cdx-hdemucs" / "weights").iterdir())
    assert [path.name for path in kept] == ["step_0000001.ckpt", "step_0000002.ckpt"]
    (exported,) = load_module(kept[0]).export_graphs(tmp_path / "early")
    started = short("cdx-hdemucs", corpora, f"network.start={exported.path}")
    module = module_settings(started).module(started, total_steps=1)
    module_settings(started).initialise(
        module, started, RunDataModule(started, read_data(started, folders("cdx", corpora)), tmp_path).dataset()
    )
    wanted = load_module(kept[0]).network.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in module.network.state_dict().items())


def test_mono_networks_learn_the_mean_and_separate_each_channel(corpora: Path) -> None:
    experiment = short("cdx-hdemucs", corpora)
    module = module_settings(experiment).module(experiment, total_steps=1).eval()
    assert isinstance(module, StateModule)
    stems = torch.randn(1, 3, 2, 3_000, generator=torch.Generator().manual_seed(0))
    mixtures, targets = module.mixtures_and_targets(stems)
    assert torch.equal(targets[0, 0], stems[0, experiment.sources.index("music")].mean(dim=0, keepdim=True))
    assert torch.allclose(mixtures[:, 0], stems.sum(dim=1).mean(dim=1), atol=1e-6)
    with torch.inference_mode():
        both = module.estimate(stems.sum(dim=1))
        left = module.evaluated(stems.sum(dim=1)[:, :1])
    assert torch.allclose(both[:, :, 0], left[:, :, 0], atol=1e-5)


def test_only_clean_songs_are_trained_on(corpora: Path, tmp_path: Path) -> None:
    experiment = short("mdx-hdemucs", corpora)
    data = read_data(experiment, folders("mdx-hdemucs", corpora))
    assert [song.name for collection in data.training for song in collection.songs] == ["001"]
    assert [song.name for song in data.validation] == ["001"]
    published = load_experiment("aimless/mdx-hdemucs")
    assert epoch_steps(published, data) == 144 // 48
    table = tmp_path / "list.csv"
    for text, message in (
        ("ID,Notes\n1,x\n", "no column Clean"),
        ("ID,Clean,Notes\n1,N,\n", "marks no song"),
        ("ID,Clean,Notes\n9,Y,\n", "none of its 1 clean songs"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_data(short("mdx-hdemucs", corpora, f"data.clean_list={table}"), folders("mdx", corpora))
    with pytest.raises(InputError, match="cannot be read"):
        clean_songs(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("recipe", "override", "message"),
    [
        ("cdx-hdemucs", 'targets=["dialog", "effect", "music"]', "must be in the order music, effect, dialog"),
        ("cdx-hdemucs", "loss=masking", "loss=masking needs spectra"),
        ("cdx-hdemucs", "network.audio_channels=3", "must be 1 or 2"),
        ("cdx-bsrnn", 'targets=["music", "effect"]', "leave out dialog: masks of several targets add up to 1"),
        ("cdx-bsrnn", "loss=combination", "several targets"),
        ("cdx-bsrnn", "transform.kept_bins=2048", "must be all 2049 bins"),
        ("cdx-bsrnn", "network.split_hz=[100, 100]", "bands, layers, groups and sources must be at least 1"),
        ("xumx", 'targets=["drums", "bass"]', "has 4 targets, not 2"),
        ("xumx", "network.max_bins=3000", "max_bins=3000 does not fit"),
        ("xumx", "network.wiener_iterations=-1", "must not be negative"),
        ("xumx", "data.window_seconds=0.0", "positive"),
        ("xumx", "data.windows_per_song=0", "at least 1"),
        ("xumx", "run.keep_every_epochs=0", "at least 1"),
        ("xumx", 'augment.mixture_effects=[{kind="limit"}]', "limit-aug"),
    ],
)
def test_settings_that_do_not_fit_are_refused(recipe: str, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment(f"aimless/{recipe}", [override])
