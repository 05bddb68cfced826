"""Each setting of each published configuration is the published one, or a deviation listed with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from my_submission.geometry import SAMPLE_RATE
from tests.training.published_recipes import BEGIN, DEPARTURES, END, FAMILIES, UNKNOWN, compared, page_with_tables
from training.data.songs import SongCollection, TrainingSong
from training.data.stems import StemFile
from training.examples.loading import RunData, epoch_steps
from training.modules.registry import load_experiment
from training.settings.files import experiment_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"


def test_settings_are_the_published_ones() -> None:
    different = {
        (name, row.name): (ours, published)
        for family in FAMILIES
        for row in family.rows
        for name, ours, published in compared(family, row)
        if published not in {ours, UNKNOWN}
    }
    assert different.keys() == DEPARTURES.keys(), different


@pytest.mark.parametrize(
    ("name", "more", "n_steps"),
    [
        ("kuielab-a/vocals", (), lambda lengths, window: math.ceil(sum(lengths) // window / 16)),
        ("lasaft/v1", (), lambda lengths, window: math.ceil(4 * sum(length // window for length in lengths) / 8)),
        (
            "lasaft/v2",
            ("network.multi_source_training=true", "data.batch=2"),
            lambda lengths, window: math.ceil(sum(length // window for length in lengths) / 2),
        ),
        ("aimless/xumx", (), lambda lengths, window: len(lengths) * 64 // 16),
    ],
)
@pytest.mark.parametrize("seconds", [(248.0,) * 6, (124.0,) * 6, (31.7, 600.0, 15.0, 180.3, 7.5, 59.9)])
def test_an_epoch_follows_from_the_lengths_of_the_songs(
    name: str, more: tuple[str, ...], n_steps: Callable[[list[int], int], int], seconds: tuple[float, ...]
) -> None:
    """In proportion to their sum, or to the whole windows in each song, or not at all, as docs/recipes.md says."""
    experiment = load_experiment(name, more)
    lengths = [round(length * SAMPLE_RATE) for length in seconds]
    stems = [StemFile("song", "bass", Path("song.npy"), length) for length in lengths]
    songs = tuple(TrainingSong(str(number), {"bass": stem}) for number, stem in enumerate(stems))
    steps = epoch_steps(experiment, RunData([SongCollection("train", songs)], []))
    assert steps == n_steps(lengths, experiment.window_samples)


def test_every_configuration_of_a_published_run_is_in_a_table() -> None:
    published = [name for name in experiment_names() if name.startswith(("kuielab", "lasaft", "aimless"))]
    assert sorted({*published} - {"lasaft/tiny"}) == sorted(name for family in FAMILIES for name in family.configs)


def test_the_page_has_the_tables_of_the_configurations() -> None:
    """Renew it by ``python -m tests.training.published_recipes docs/recipes.md``."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page_with_tables(page) == page
