"""Systems of one's own in a models folder: what they compute, where they are shown, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.cli.main import main
from my_submission.errors import UnknownNameError, WeightsError
from my_submission.predictor import load
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import SYSTEMS, content_digests, find_system, systems_of
from my_submission.weights import ModelsFolder

ROOT = Path(__file__).resolve().parents[2]
CASCADE = """
schema = 1

[[systems]]
name = "cascade"
wiener = { shares = { bass = 0.5, drums = 0.3, other = 0.6 }, minus = ["vocals"], adds_up = true }

[[systems.branches]]
kind = "ratio-mask"
name = "vocals"
source = "vocals"
target = "spleeter-2stems/vocals"
rest = "spleeter-2stems/accompaniment"

[[systems.branches]]
kind = "joint"
network = "starter-plus/accompaniment"
sources = ["bass", "drums", "other"]
overlap_ratio = 0.25
minus = ["vocals"]
"""
ONE = """
schema = 1

[[systems]]
name = "mine/vocals"
title = "my vocals"

[[systems.branches]]
kind = "networks"
networks = { vocals = "starter/vocals" }
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "models", folder)
    return folder


@pytest.fixture
def tiny(tiny_models: Path, tmp_path: Path) -> Path:
    """A copy of the tiny models, for a systems.toml of the test's own."""
    return Path(shutil.copytree(tiny_models, tmp_path / "tiny"))


def written(models: Path, text: str) -> Path:
    (models / "systems.toml").write_text(text, encoding="utf-8")
    return models


def song(samples: int = 60_000) -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal((2, samples))).astype(np.float32)


def test_the_default_written_out_gives_the_same_stems_to_the_bit(models: Path) -> None:
    made = load("cascade", models_dir=written(models, CASCADE), precision="fp32").separate(song())
    expected = load("starter-plus", models_dir=models, precision="fp32").separate(song())
    assert set(made) == set(expected)
    for name, stem in made.items():
        np.testing.assert_array_equal(stem, expected[name])


def test_one_source_gives_that_and_the_rest(models: Path) -> None:
    stems = load("mine/vocals", models_dir=written(models, ONE), precision="fp32").separate(song())
    assert tuple(stems) == ("vocals", "instrumental")
    np.testing.assert_allclose(stems["vocals"] + stems["instrumental"], song(), atol=1e-6)


def test_branches_of_known_systems_with_other_shares(models: Path) -> None:
    branches = find_system("starter-blend").branches
    text = 'schema = 1\n[[systems]]\nname = "blend"\n'
    for branch, share in zip(branches, (0.25, 0.75), strict=True):
        text += f'[[systems.branches]]\nkind = "branch-of"\nsystem = "starter-blend"\nbranch_name = "{branch.name}"\n'
        text += f"share = {share}\n"
    made = systems_of(ModelsFolder(written(models, text)))["blend"]
    assert [branch.recipe for branch in made.branches] == [branch.recipe for branch in branches]
    assert [branch.shares for branch in made.branches] == [
        dict.fromkeys(MUSIC_SOURCES, 0.25),
        dict.fromkeys(MUSIC_SOURCES, 0.75),
    ]


def test_they_are_shown_and_used_like_all_others(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(models, ONE)
    assert main(["systems", "--models-dir", str(models)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("mine/vocals"))
    assert row.split()[1:3] == ["vocals", "instrumental"]
    assert "ready" in row
    assert main(["fetch", "mine/vocals", "--models-dir", str(models)]) == 0  # there already
    soundfile.write("song.wav", song().T, 44_100)
    command = ["separate", "song.wav", "--models-dir", str(models), "-q", "-n"]
    assert main([*command, "mine/vocals"]) == 0
    assert (tmp_path / "stems/song/song - instrumental.wav").exists()
    with pytest.raises(UnknownNameError, match="there is no system 'mine/vocal'") as raised:
        load("mine/vocal", models_dir=models)
    assert "mine/vocals" in str(raised.value)
    assert "mine/vocals" not in SYSTEMS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine/vocals"', 'name = "starter"', "'starter' is a system of this program"),
        ('name = "mine/vocals"', 'name = "My Vocals"', "is not lower-case words"),
        ('"starter/vocals"', '"starter/vocal"', "manifest.json has no starter/vocal"),
        ('kind = "networks"', 'kind = "network"', "there is no value 'network'"),
        ('title = "my vocals"', 'titel = "my vocals"', "there is no key 'titel'"),
        ('kind = "networks"', 'kind = "networks"\nshare = 0.5', "must add up to 1"),
        ('kind = "networks"', 'kind = "networks"\nshares = { voices = 1.0 }', "does not estimate voices"),
        ('kind = "networks"', 'kind = "networks"\nminus = ["drums"]', "estimates drums"),
        ('{ vocals = "starter/vocals" }', "{}", "estimates no source"),
        ("{ vocals =", '{ "vo/cals" =', "'vo/cals' is not the name of a stem"),
        ("{ vocals =", '{ "" =', "'' is not the name of a stem"),
        ("schema = 1", "schema = 2", "schema is 2"),
        ("[[systems]]", "[[systems]", "systems.toml"),
        ('title = "my vocals"', 'fallback = "starters"', "there is no system 'starters'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(models: Path, old: str, new: str, message: str) -> None:
    assert old in ONE
    written(models, ONE.replace(old, new))
    with pytest.raises(WeightsError, match=re.escape(message)) as raised:
        systems_of(ModelsFolder(models))
    assert str(raised.value).startswith(str(models / "systems.toml"))


def test_the_examples_of_the_readme_can_be_read(models: Path) -> None:
    """The first one names an artefact of the reader's own, which is added here."""
    examples = re.findall(r"```toml\n(.*?)```", (ROOT / "models/README.md").read_text(encoding="utf-8"), re.DOTALL)
    systems = [text for text in examples if "[[systems]]" in text]
    assert len(systems) >= 2
    for text in systems:
        own = text.replace('"mine/vocals"', '"starter/vocals"').replace(
            '"mine/lasaft"', '"starter-conditioned/network"'
        )
        systems_of(ModelsFolder(written(models, own)))


BLEND = """
schema = 1

[[systems]]
name = "filtered"
wiener = { shares = { bass = 0.5, drums = 0.5, other = 1.0, vocals = 0.25 } }

[[systems.branches]]
kind = "networks"
networks = { bass = "starter/bass", drums = "starter/vocals", other = "starter/other", vocals = "starter/drums" }

[[systems]]
name = "blend"

[[systems.branches]]
kind = "system"
system = "filtered"
shares = { bass = 0.25, drums = 1.0, other = 0.25, vocals = 0.75 }

[[systems.branches]]
kind = "system"
system = "starter"
shares = { bass = 0.75, other = 0.75, vocals = 0.25 }
"""


def test_whole_systems_are_blended(tiny: Path) -> None:
    """Stems of each system alone, with its filter or Mixer, times their shares; float32 rounding only."""
    written(tiny, BLEND)
    options = {"models_dir": tiny, "precision": "fp32"}
    alone = {name: load(name, **options).separate(song(20_000)) for name in ("filtered", "starter")}
    predictor = load("blend", **options)
    stems = predictor.separate(song(20_000))
    shares = {"bass": 0.25, "drums": 1.0, "other": 0.25, "vocals": 0.75}
    for source, share in shares.items():
        expected = share * alone["filtered"][source] + (1 - share) * alone["starter"][source]
        np.testing.assert_allclose(stems[source], expected, atol=1e-6)
    vocals = load("blend", stems=["vocals"], **options).separate(song(20_000))
    np.testing.assert_allclose(vocals["vocals"], stems["vocals"], atol=1e-6)
    assert predictor.is_streamable
    under_budget = predictor.separate(song(20_000), budget_seconds=1_000.0, refine=False)
    np.testing.assert_allclose(under_budget["drums"], stems["drums"], atol=1e-6)


MIXED = """
schema = 1

[[systems]]
name = "inner"

[[systems.branches]]
kind = "networks"
networks = { bass = "starter/bass", vocals = "starter/vocals" }

[[systems]]
name = "mixed"

[systems.mixer]
sources = ["vocals", "bass"]
matrix = [
    [1.0, 0.0, -0.5, 0.0, 0.1, 0.0],
    [0.0, 1.0, 0.0, -0.5, 0.0, 0.1],
    [0.0, 0.2, 0.8, 0.0, 0.0, 0.0],
    [0.2, 0.0, 0.0, 0.8, 0.0, 0.0],
]

[[systems.branches]]
kind = "system"
system = "inner"
"""


def test_the_mixer_over_a_blend_is_applied_to_its_stems(tiny: Path) -> None:
    """By hand, over a system that is defined before it; one stem alone has the same samples."""
    written(tiny, MIXED)
    inner = load("inner", models_dir=tiny, precision="fp32").separate(song(20_000))
    mixed = load("mixed", models_dir=tiny, precision="fp32").separate(song(20_000))
    vocals = inner["vocals"] - 0.5 * inner["bass"] + 0.1 * song(20_000)
    bass = 0.8 * inner["bass"] + 0.2 * inner["vocals"][::-1]
    np.testing.assert_allclose(mixed["vocals"], vocals, atol=1e-6)
    np.testing.assert_allclose(mixed["bass"], bass, atol=1e-6)
    alone = load("mixed", models_dir=tiny, precision="fp32", stems=["bass"]).separate(song(20_000))
    np.testing.assert_allclose(alone["bass"], bass, atol=1e-6)


def test_stems_are_made_again_when_the_entry_or_one_that_it_names_changes(tiny: Path) -> None:
    """Shares and matrices are part of the key of --skip-existing, as the weights are; a title is not."""

    def key(text: str) -> object:
        written(tiny, text)
        recipe = systems_of(ModelsFolder(tiny))["mixed"]
        return content_digests(recipe, {})

    first = key(MIXED)
    assert key(MIXED.replace('name = "mixed"', 'name = "mixed"\ntitle = "other words"')) == first
    assert key(MIXED.replace("0.8", "0.7")) != first
    assert key(MIXED.replace('kind = "networks"', 'kind = "networks"\nname = "n"')) != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('sources = ["vocals", "bass"]', 'sources = ["vocals", "drums"]', "does not estimate drums"),
        ('sources = ["vocals", "bass"]', 'sources = ["vocals"]', "the matrix is (4, 6), (2, 4) is expected"),
        ("0.1, 0.0]", "0.1]", "rows have 5 and 6 numbers"),
        ("0.1, 0.0]", "nan, 0.0]", "contains nan"),
        ("0.1, 0.0]", '"a", 0.0]', "systems[1].mixer.matrix[0][4]"),
        ('system = "inner"', 'system = "mixed"', "there is no system 'mixed'"),
        ('name = "inner"', 'name = "mixed"', "the name 'mixed' appears twice"),
    ],
)
def test_a_mixer_that_cannot_be_used_is_refused_with_its_place(tiny: Path, old: str, new: str, message: str) -> None:
    assert old in MIXED
    written(tiny, MIXED.replace(old, new, 1))
    with pytest.raises(WeightsError, match=re.escape(message)) as raised:
        systems_of(ModelsFolder(tiny))
    assert str(raised.value).startswith(str(tiny / "systems.toml"))
