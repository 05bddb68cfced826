"""Each setting of each published configuration is the published one, or a departure listed with its reason."""

from __future__ import annotations

from pathlib import Path

from tests.training.published_recipes import BEGIN, DEPARTURES, END, FAMILIES, UNKNOWN, compared, page_with_tables
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


def test_every_configuration_of_a_published_run_is_in_a_table() -> None:
    published = [name for name in experiment_names() if name.startswith(("kuielab", "lasaft", "aimless"))]
    assert sorted({*published} - {"lasaft/tiny"}) == sorted(name for family in FAMILIES for name in family.configs)


def test_the_page_has_the_tables_of_the_configurations() -> None:
    """Renew it by ``python -m tests.training.published_recipes docs/recipes.md``."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page_with_tables(page) == page
