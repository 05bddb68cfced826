"""Options of the authors' programs: every one has a setting or a reason, and their commands mean what ours mean."""

from __future__ import annotations

import shlex
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from training.cli import main, parser
from training.cli.main import SETTING
from training.experiment import Experiment
from training.modules.base import module_settings
from training.modules.registry import load_experiment
from training.optimisation.losses import LOSSES as OUR_LOSSES
from training.optimisation.optimisers import Adam, Sgd
from training.phase2.mixer import MixerSettings
from training.settings.files import load
from training.settings.published import (
    LOSSES,
    PublishedCommand,
    PublishedOption,
    PublishedProgram,
    as_markdown,
    commands,
    programs,
)
from training.settings.strict import SettingsError, to_table

pytestmark = pytest.mark.needs("torch", "lightning")

ROOT = Path(__file__).resolve().parents[2]
CONFIG_OF = {"lasaft": "lasaft/v1", "lasaft-v2": "lasaft/v2", "kuielab": "kuielab-a/vocals", "aimless": "aimless/xumx"}
OTHER_CONFIGS = {"aimless": ("aimless/demucs-split", "aimless/cdx-bsrnn", "aimless/mdx-hdemucs")}
OPTIONS = [(program, option) for program in programs() for option in program.options]


@cache
def keys_of(name: str) -> set[str]:
    """All settings of a configuration, also those that are None."""
    experiment = load_experiment(name)
    found = {field.name for field in fields(experiment)}
    for field in fields(experiment):
        value = getattr(experiment, field.name)
        if is_dataclass(value):
            found |= {f"{field.name}.{below.name}" for below in fields(value)} | {f"{field.name}.kind"}
    return found


def test_every_option_is_told_once() -> None:
    for program in programs():
        names = [option.name for option in program.options]
        assert len(names) == len(set(names)), program.name
    assert {program.name for program in programs()} == set(CONFIG_OF)


@pytest.mark.parametrize(
    ("program", "option"),
    [pytest.param(p, o, id=f"{p.name}-{o.name}") for p, o in OPTIONS if o.ours and not o.is_argument],
)
def test_our_setting_is_there(program: PublishedProgram, option: PublishedOption) -> None:
    """In a configuration of the program; every value of theirs is one that is accepted."""
    names = (CONFIG_OF[program.name], *OTHER_CONFIGS.get(program.name, ()))
    assert any(option.ours in keys_of(name) for name in names)


@pytest.mark.parametrize("name", CONFIG_OF)
def test_their_values_are_accepted_in_their_spelling(name: str) -> None:
    program = next(program for program in programs() if program.name == name)
    for option in program.options:
        for value in option.values:
            if option.is_argument:
                continue
            experiment = load_experiment(CONFIG_OF[name], [f"{option.name}={value}"])
            assert isinstance(experiment, Experiment), option.name


def test_every_loss_of_theirs_is_one_of_ours() -> None:
    assert set(LOSSES.values()) <= set(OUR_LOSSES)
    for theirs, ours in LOSSES.items():
        more = ["loss_raw_scale=1.0", "loss_raw_mode=l2", "loss_spec_scale=1.0", "loss_spec_mode=l1"]
        of_all = [f"network.multi_source_training={str(theirs.endswith('multi_source')).lower()}"]
        assert load_experiment("lasaft/v1", [f"train_loss={theirs}", *more, *of_all]).loss == ours


@pytest.mark.parametrize("name", [*CONFIG_OF.values(), *OTHER_CONFIGS["aimless"]])
def test_every_setting_is_one_on_the_command_line(name: str) -> None:
    """Also those with digits, such as ``run.tf32`` and ``validation.min_delta_l1``."""
    assert [key for key in keys_of(name) if not SETTING.match(f"{key}=1")] == []


def test_every_option_is_offered_or_its_reason_is_told() -> None:
    """A setting, an argument, values with their settings; or a note, which is never that it is not offered."""
    for program, option in OPTIONS:
        has_setting = option.ours or option.role or any(option.values.values())
        assert has_setting or len(option.note) > 3, (program.name, option.name)
        assert "not offered" not in option.note, (program.name, option.name)


def test_options_of_the_second_half() -> None:
    """Those that had no setting at first."""
    for name in ("lasaft/v1", "lasaft/v2"):
        assert load_experiment(name, ["auto_lr_find=True"]).run.auto_lr_find
    assert load_experiment("aimless/xumx", ["betas=[0.8, 0.9]"]).optimiser == Adam(
        learning_rate=1e-4, weight_decay=1e-5, betas=(0.8, 0.9)
    )
    one_hot = load_experiment("lasaft/v2", ["control_vector_type=one_hot_mode"])
    assert one_hot.network.config(one_hot).embedding_dim == 4  # type: ignore[attr-defined]


def test_the_five_options_of_the_issue() -> None:
    """Their spelling, in any order, with the paths of Hydra and LightningCLI."""
    made = load_experiment("lasaft/v1", ["batch_size=16", "lr=0.01", "optimizer=sgd", "gpus=4", "n_fft=4096"])
    assert (made.data.batch, made.data.micro_batch, made.run.devices) == (64, 16, 4)
    assert made.optimiser == Sgd(learning_rate=0.01)
    assert (made.transform.n_fft, made.transform.kept_bins) == (4096, 2049)
    listening = load_experiment("lasaft/v2", ["model.query_listen=False", "norm=gn", "initializer=xavier_uniform"])
    assert (listening.network.query_listen, listening.network.norm) == (False, "gn")  # type: ignore[attr-defined]
    cells = load_experiment("kuielab-a/vocals", ["model.bn=0", "trainer.gpus=2", "datamodule.batch_size=8"])
    assert (cells.network.bottleneck, cells.data.batch, cells.data.micro_batch) == (0, 8, 4)  # type: ignore[attr-defined]
    assert load_experiment("kuielab-a/vocals", ["bn=null"]).network.has_tdf is False  # type: ignore[attr-defined]
    umx = load_experiment("aimless/xumx", ["model.init_args.criterion.init_args.complex_mse=False"])
    assert umx.loss_options.complex_mse is False


def test_multi_source_training_counts_windows() -> None:
    """Theirs counts every source of a window: 12 per process are three windows on each of four."""
    options = ["dataset.multi_source_training=True", "train_loss=spec_mse_multi_source", "batch_size=12"]
    made = load_experiment("lasaft/v2-light", [*options, "run.devices=4"])
    assert (made.data.batch, made.data.micro_batch, made.loss) == (12, 3, "spectrum-mse-and-sum")
    with pytest.raises(SettingsError, match="batch_size=3 is less than one window of 4 sources"):
        load_experiment("lasaft/v2-light", [*options[:2], "batch_size=3"])


def test_a_band_split_network_of_several_sources_counts_its_targets() -> None:
    film = 'targets=["music", "effect", "dialog"]'
    made = load_experiment("aimless/cdx-bsrnn", [film, "model.init_args.model.init_args.n_sources=3"])
    assert made.network.network(made).config.n_sources == 3  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="n_sources=4, but the targets are music, effect, dialog"):
        load_experiment("aimless/cdx-bsrnn", [film, "n_sources=4"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("film_type=simple", "fails in the original"),
        ("musdb_root=there", "--data there"),
        ("train_loss=kl_lr", "spec_mse"),
        ("optimizer=lbfgs", "adagrad"),
        ("n_ftt=3", "there is no key 'n_ftt'"),
        ("batch_size=many", "batch_size=many is not a whole number"),
    ],
)
def test_what_has_no_setting_is_explained(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment("lasaft/v1", [override])


def our_words(command: PublishedCommand) -> tuple[Any, list[str]]:
    """The parsed arguments and the settings of our command."""
    python, dash, package, *words = shlex.split(command.ours)
    assert (python, dash, package) == ("python", "-m", "training")
    settings = [word for word in words if SETTING.match(word)]
    return parser().parse_args([word for word in words if not SETTING.match(word)]), settings


@pytest.mark.parametrize("command", [pytest.param(c, id=c.theirs[:60]) for c in commands()])
def test_our_command_is_parsed_and_means_theirs(command: PublishedCommand) -> None:
    """Its settings are resolved; where theirs has options, they change nothing when they are added to ours."""
    options, settings = our_words(command)
    if "experiment" not in options:
        assert command.ours.split()[3] in {"stretch", "mixer"}
        if settings:
            load(MixerSettings, "mixer", settings)
        return
    ours = load_experiment(options.experiment, settings)
    theirs = [f"{name}={value}" for name, value in command.options.items()]
    both = load_experiment(options.experiment, [*settings, *theirs])
    both = replace(both, data=replace(both.data, micro_batch=ours.data.micro_batch))
    assert to_table(both) == to_table(ours)


def test_all_five_readmes_have_their_commands() -> None:
    assert len({command.readme for command in commands()}) == 5


def test_the_page_holds_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options"]) == 0
    printed = capsys.readouterr().out
    assert printed == as_markdown()
    page = (ROOT / "docs" / "training_as_published.md").read_text(encoding="utf-8")
    assert page.endswith(printed), "run: python -m training options, and replace the end of the page by it"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_sources"), [("aimless/hdemucs", 4), ("aimless/speech-enhance", 2)])
def test_recipes_of_hybrid_demucs_take_a_step(name: str, n_sources: int) -> None:
    """With the sources that a mixture has there: all four, or dialog and music."""
    small = ["network.channels=4", "data.batch=1", "data.micro_batch=1", "data.window_seconds=0.2"]
    experiment = load_experiment(name, small)
    assert len(experiment.sources) == n_sources
    module = module_settings(experiment).module(experiment, total_steps=1)
    stems = torch.randn(1, n_sources, 2, experiment.window_samples, generator=torch.Generator().manual_seed(0))
    loss = module.batch_loss(stems)
    loss.backward()
    assert torch.isfinite(loss)
