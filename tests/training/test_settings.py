"""Experiments as files: every key known, every value of its type, overrides, and what does not fit is refused."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.data import Dataset

from my_submission.documents import Variant
from training.loop.checkpoints import resumable
from training.loop.trainer import matrix_products
from training.modules.base import module_settings
from training.modules.registry import experiment_from_table, load_experiment
from training.modules.tfc_tdf import TfcTdfSettings
from training.optimisation.optimisers import AdamW, Constant, RmsProp, Trapezoid
from training.phase2.mixer import MixerSettings
from training.phase2.objective import Objective
from training.settings.files import CONFIGS, experiment_names, load, merged, read_table
from training.settings.strict import SettingsError, from_table, to_table
from training.tables.data import DataSettings

EXPERIMENTS = [name for name in experiment_names() if name != "mixer"]
SOURCES = ("bass", "drums", "other", "vocals")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_reads_and_survives_a_checkpoint(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment_from_table(json.loads(json.dumps(to_table(experiment)))) == experiment


def test_every_base_is_built_on() -> None:
    """Names that begin with _ are bases; the AIMLESS chain is one that users take."""
    bases = {path.resolve() for path in CONFIGS.rglob("_*.toml")} - {CONFIGS / "augment" / "_aimless.toml"}
    tables = {path: tomllib.loads(path.read_text()) for path in CONFIGS.rglob("*.toml")}
    named = {(path.parent / table["base"]).resolve() for path, table in tables.items() if "base" in table}
    assert bases <= named


def test_the_aimless_chain_can_be_built_on(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(f'base = "{CONFIGS / "augment" / "_aimless.toml"}"\n')
    table = read_table(mine) | {
        key: value for key, value in read_table(CONFIGS / "tiny.toml").items() if key != "augment"
    }
    assert len(experiment_from_table(table).augment.effects) == 16


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("board", ["a", "b"])
def test_published_recipes(source: str, board: str) -> None:
    """Sizes, rates and batches of the published configurations."""
    experiment = load_experiment(f"kuielab-{board}/{source}")
    is_small = (board, source) == ("b", "drums")
    network = experiment.network
    assert isinstance(network, TfcTdfSettings)
    assert (experiment.family, experiment.targets) == (f"kuielab-{board}", (source,))
    assert experiment.transform.n_fft == {"bass": 16384, "drums": 4096, "other": 8192, "vocals": 6144}[source]
    assert (network.depth, network.growth, network.bottleneck) == (9 if is_small else 11, 32, 8)
    frames = {"a": (256, 512), "b": (128, 128) if is_small else (256, 256)}[board]
    assert (experiment.chunking.frames, experiment.export_chunking.frames) == frames
    assert experiment.optimiser == RmsProp(learning_rate=2e-4 if (board, source) == ("a", "vocals") else 1e-4)
    assert experiment.schedule == Constant()
    assert experiment.loss == "mse"
    assert experiment.data.batch == (16 if (board, source) == ("a", "vocals") else 8)
    assert len(experiment.data.held_out_songs) == (14 if board == "a" else 5)
    assert (experiment.seed, experiment.run.precision) == (2021, "16-mixed")
    assert experiment.run.epochs == (3_000 if board == "a" else 1_000_000)
    devices = {"bass": 3, "drums": 2, "other": 2, "vocals": 4}[source]
    assert load_experiment(f"kuielab-{board}/{source}", [f"run.devices={devices}"]).run.devices == devices


def test_the_authors_of_leaderboard_b_name_two_splits() -> None:
    """Their configuration holds five songs out, their README fourteen; the five are among these."""
    five, fourteen = (
        load_experiment("kuielab-b/drums", changes).data.held_out_songs
        for changes in ((), ('data.held_out=["musdb18"]',))
    )
    assert (len(five), len(fourteen)) == (5, 14)
    assert "Triviul - Angelsaint" in five < fourteen


def test_patience_is_in_epochs() -> None:
    validation = load_experiment("kuielab-a/bass").validation
    assert (validation.patience, validation.every_epochs, validation.patience_validations) == (500, 10, 50)
    assert replace(validation, patience=51).patience_validations == 6
    assert load_experiment("lasaft/v2").validation.patience_validations == 300


def test_tf32_is_for_the_run_only() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    with matrix_products(tf32=True):
        assert torch.backends.cuda.matmul.allow_tf32
        with matrix_products(tf32=False):
            assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 == before
    assert load_experiment("aimless/cdx-bsrnn").run.tf32


def test_mixer_defaults_are_the_published_ones() -> None:
    settings = load(MixerSettings, "mixer")
    assert (settings.descent.learning_rate, settings.descent.batch, settings.descent.epochs) == (0.003, 16, 10)
    assert settings.window_samples == 261_120 - 2 * 8_192
    assert (settings.descent.start, settings.descent.tolerance) == ("identity", None)
    assert settings.objective_of("rmsprop") == Objective(is_equal=False, is_mirrored=False)
    assert load(MixerSettings, "mixer", ["method=rmsprop", "descent.epochs=3"]).descent.epochs == 3
    chosen = load(MixerSettings, "mixer", ["objective.is_equal=true"])
    assert chosen.objective_of("rmsprop") == chosen.objective_of("closed-form") == Objective(is_equal=True)
    with pytest.raises(SettingsError, match="tolerance"):
        load(MixerSettings, "mixer", ["descent.tolerance=1.5"])


def test_overrides_reach_every_depth_and_keep_types() -> None:
    changes = ["data.batch=12", "data.micro_batch=3", "seed=7", "loss=l1", "run.clip=2", 'data.held_out=["a", "b"]']
    experiment = load_experiment("tiny", [*changes, "augment.absent.bass=0.5", "run.ema=0.0"])
    assert (experiment.data.batch, experiment.accumulation, experiment.seed) == (12, 4, 7)
    assert (experiment.loss, experiment.run.clip, experiment.data.held_out) == ("l1", 2.0, ("a", "b"))
    assert experiment.augment.absent == {"bass": 0.5}


def test_another_kind_replaces_a_table_and_the_same_kind_changes_it() -> None:
    below = {"optimiser": {"kind": "adamw", "learning_rate": 1.0, "weight_decay": 0.5}}
    assert merged(below, {"optimiser": {"learning_rate": 2.0}})["optimiser"]["weight_decay"] == 0.5
    assert "weight_decay" not in merged(below, {"optimiser": {"kind": "rmsprop", "learning_rate": 2.0}})["optimiser"]
    changes = ["optimiser.kind=rmsprop", "optimiser.learning_rate=1e-3"]
    with pytest.raises(SettingsError, match="'learning_rate' is missing"):
        load_experiment("tiny", changes[:1])
    assert load_experiment("tiny", changes).optimiser == RmsProp(learning_rate=1e-3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.bach=4", r"data\.bach: there is no key 'bach'\. Use batch"),
        ("dat.batch=4", "there is no key 'dat'"),
        ("network.kind=tfc", "tfc-tdf"),
        ("network.depth=4", "depth=4 must be odd"),
        ("network.depth=true", "expected a whole number"),
        ("data.batch=4.5", "expected a whole number"),
        ("data.batch=0", "must be at least 1"),
        ("data=3", "expected a table"),
        ("targets=vocals", "expected a list"),
        ('targets=["vocal"]', "must be names of"),
        ('targets=["bass", "bass"]', "must be different names"),
        ('targets=["bass", "dialog"]', "must be names of"),
        ("loss=mze", "mse"),
        ("target_weights=[1.0]", "1 target_weights for 4 targets"),
        ("transform.frames=31", "multiple of 4"),
        ("export.frames=31", r"export\.frames=31"),
        ("transform.kept_bins=400", "does not fit n_fft"),
        ("run.ema=1.0", "below 1"),
        ("run.devices=0", "at least 1"),
        ("run.devices=5", "batch=4 cannot be split over 5 processes"),
        ("run.precision=fp8", "bf16-mixed"),
        ("run.clip=-1.0", "positive"),
        ("augment.coherent=2.0", "not a probability"),
        ("augment.absent.bass=1.1", "probabilities below 1"),
        ("augment.absent.basss=0.1", "basss are none of bass"),
        ("augment.absent.dialog=0.1", "augment names dialog; sources are bass"),
        ('augment.effects=[{kind="flip", sources=["vox"]}]', "must be names of"),
        ('augment.effects=[{kind="gian"}]', r"effects\[0\]\.kind: there is no value 'gian'\. Use gain"),
        ('augment.effects=[{kind="gain", low=2.0}]', "gain reaches from 2.0"),
        ('augment.effects=[{kind="flip", probability=1.5}]', "between 0 and 1"),
        ("augment.effects=[{}]", "'kind' is missing"),
        ("optimiser.learning_rate=0.0", "must be positive"),
        ("validation.patience=0", "at least 1"),
        ("validation.max_seconds=0.0", "positive"),
        ("data.collections.songs=0.0", "positive"),
        ("seed", "is not an override"),
    ],
)
def test_nonsense_is_refused_with_the_cure(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment("tiny", [override])


def test_a_run_resumes_where_its_checkpoint_lacks_newer_settings(tmp_path: Path) -> None:
    """A setting that did not exist yet is at its default; another value of it is another run."""
    experiment = load_experiment("tiny")
    table = to_table(experiment)
    for name in ("draw", "workers"):
        del table["data"][name]
    path = tmp_path / "last.ckpt"
    torch.save({"experiment": table, "state_dict": {}, "optimizer_states": [{}], "global_step": 1}, path)
    resumable(path, replace(experiment, data=replace(experiment.data, workers=2)))
    with pytest.raises(SettingsError, match=r"another data\.draw"):
        resumable(path, replace(experiment, data=replace(experiment.data, draw="length", workers=2)))


def test_a_missing_key_a_wrong_name_and_a_broken_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="starter/vocals"):
        load_experiment("starter/vocal")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = ")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_experiment(str(broken))
    broken.write_text('base = "none.toml"')
    with pytest.raises(SettingsError, match="base"):
        load_experiment(str(broken))
    broken.write_text('family = "x"')
    with pytest.raises(SettingsError, match="'targets' is missing"):
        load_experiment(str(broken))


def test_drums_are_trained_on_from_the_graph_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first step the network gives what the graph gives."""
    monkeypatch.chdir(CONFIGS.parents[1])
    first, more = load_experiment("starter/drums"), load_experiment("starter/drums-more")
    assert isinstance(more.network, TfcTdfSettings)
    assert replace(more.network, start={}) == first.network
    assert (more.family, more.targets, more.transform) == (first.family, first.targets, first.transform)
    assert "drums" in more.data.collections
    module = module_settings(more).module(more, total_steps=1)
    module_settings(more).initialise(module, more, Dataset[torch.Tensor]())
    shape = (1, 4, more.transform.kept_bins, more.transform.frames)
    spectra = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (given,) = onnxruntime.InferenceSession(more.network.start["drums"]).run(None, {"input": spectra})
    with torch.no_grad():
        begun = module.network.eval()(torch.from_numpy(spectra)).numpy()
    error = np.mean((begun - given) ** 2) / np.mean(given**2)
    assert 10 * np.log10(error) < -90.0


def test_a_file_of_ones_own_builds_on_a_published_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(f'base = "{CONFIGS / "kuielab-a" / "vocals.toml"}"\n[network]\ngrowth = 8\n')
    experiment = load_experiment(str(mine))
    assert isinstance(experiment.network, TfcTdfSettings)
    assert (experiment.network.growth, experiment.network.depth, experiment.transform.n_fft) == (8, 11, 6144)


def test_variants_of_two_families_do_not_mix() -> None:
    class Fruit(Variant):
        pass

    class Tool(Variant):
        pass

    @dataclass(frozen=True)
    class Apple(Fruit, kind="apple"):
        weight: float

    assert from_table(Fruit, {"kind": "apple", "weight": 1}) == Apple(1.0)
    assert Tool.kinds == {}


def test_absent_values_are_left_out_of_tables() -> None:
    table = to_table(load_experiment("kuielab-a/bass"))
    assert "epoch_steps" not in table["run"]
    assert table["network"]["kind"] == "tfc-tdf"


@pytest.mark.parametrize("fields", [{"batch": 0}, {"workers": -1}])
def test_data_settings_refuse_nonsense(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        DataSettings(**fields)  # type: ignore[arg-type]


def test_a_trapezoid_rises_stays_and_falls() -> None:
    factors = [Trapezoid(warmup_steps=5, cooldown_steps=20).factor(step, 120) for step in range(120)]
    assert factors[0] == pytest.approx(1 / 5)
    assert factors[4:101] == [1.0] * 97
    assert factors[-1] == pytest.approx(1 / 20)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    with pytest.raises(ValueError, match="negative"):
        Trapezoid(warmup_steps=-1)


def test_optimisers_take_their_values() -> None:
    import torch

    parameters = [torch.nn.Parameter(torch.zeros(1))]
    built = AdamW(learning_rate=0.5, weight_decay=0.25).build(parameters)
    assert (built.defaults["lr"], built.defaults["weight_decay"]) == (0.5, 0.25)
    published = RmsProp(learning_rate=0.5).build(parameters).defaults
    assert (published["alpha"], published["momentum"], published["eps"]) == (0.99, 0, 1e-8)
