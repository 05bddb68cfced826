"""The documentation site: links of the repository become links of the site, and a build has no warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from scripts.documentation.links import ROOT, site_links
from tests.accessibility import running_chromium

PAGES = {
    "index.md",
    "formats.md",
    "tutorial.md",
    "decisions/README.md",
    "decisions/page.md",
    "models/README.md",
    "models/starter/README.md",
}


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("formats.md", "[a](decisions/page.md#b)", "[a](decisions/page.md#b)"),
        ("formats.md", "[a](../models/README.md)", "[a](models/README.md)"),
        ("formats.md", "[a](../README.md)", "[a](index.md)"),
        ("formats.md", "[a](decisions/)", "[a](decisions/README.md)"),
        ("decisions/page.md", "[a](../formats.md)", "[a](../formats.md)"),
        ("decisions/page.md", "[a](../../models/starter/README.md)", "[a](../models/starter/README.md)"),
        ("models/starter/README.md", "[a](../../docs/formats.md)", "[a](../../formats.md)"),
        ("models/starter/README.md", "[`a`](../README.md#x)", "[`a`](../README.md#x)"),
        ("formats.md", "[a](tutorial.ipynb)", "[a](tutorial.md)"),
        ("formats.md", "[a](cluster.yaml)", "a"),
        ("formats.md", "[a](https://example.org/x.md) [b](#c)", "[a](https://example.org/x.md) [b](#c)"),
        ("formats.md", "```\n[a](nowhere.md)\n```\n", "```\n[a](nowhere.md)\n```\n"),
    ],
)
def test_links_between_documents_become_links_between_pages(page: str, link: str, expected: str) -> None:
    broken: list[str] = []
    assert site_links(link, page, PAGES, broken.append) == expected
    assert broken == []


def test_a_link_to_no_file_is_told() -> None:
    broken: list[str] = []
    site_links("[a](nowhere.md) and [b](../models/nowhere/)", "formats.md", PAGES, broken.append)
    assert broken == ["nowhere.md", "../models/nowhere/"]


PAGES_OF_SYSTEMS = sorted((ROOT / "docs/systems").glob("*.md"))


def test_the_pages_of_systems_name_every_published_system_and_its_scores() -> None:
    from my_submission.systems import SYSTEMS

    overview = (ROOT / "docs/systems/README.md").read_text(encoding="utf-8")
    pages = [path.read_text(encoding="utf-8") for path in PAGES_OF_SYSTEMS]
    for system in SYSTEMS.values():
        name = system.name.removeprefix("mdx-net/")
        inst_hq = re.fullmatch(r"inst-(hq-)?\d", name)  # "`inst-hq-1` to `inst-hq-5`"
        assert inst_hq or re.search(rf"`{name}`|`-{name.rpartition('-')[2]}`", "".join(pages)), system.name
        values = (Decimal(str(value)) for value in system.published.values())
        scores = [str(value.quantize(Decimal("0.01"), ROUND_HALF_UP)) for value in values]
        if len(scores) > 1:
            row = f"| `{name}` | {' | '.join(scores)} |"
            assert row in overview, row


def _found_by_search(page: Path, words: str) -> list[str]:
    """Open a page from the disk, search, and return the title of the first document found."""
    with running_chromium() as browser:
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.get_by_placeholder("Search").fill(words)
        first = tab.locator(".md-search-result__item h1").first
        first.wait_for(state="attached")
        return [first.inner_text()]


@pytest.mark.slow
@pytest.mark.needs("mkdocs")
def test_the_site_is_built_without_a_warning_and_asks_no_other_host_for_anything(tmp_path: Path) -> None:
    """The public names are on their pages, with their docstrings; so are the options of the commands."""
    site = tmp_path / "site"
    environment = os.environ | {"PYTHON": sys.executable}
    command = [str(ROOT / "scripts/build-docs"), str(site)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

    import my_submission

    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    fetched = re.compile(r"""<(?:script|link|img|iframe|audio|video|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//""")
    assert [name for name, html in pages.items() if fetched.search(html)] == []
    api = pages["reference/python.html"]
    for name in set(my_submission.__all__) - {"__version__"}:
        assert re.search(rf'id="my_submission\.[\w.]*\b{name}"', api), name
    assert ":class:" not in api
    assert "--two-stems" in pages["reference/commands.html"]
    assert not [place for place in (f"{ROOT}/", f"{Path.home()}/") if place in pages["reference/commands.html"]]
    assert _found_by_search(site / "systems/index.html", "sound fonts") == ["Training"]
    assert {"models/starter/index.html", "systems/index.html", "CHANGELOG.html"} <= pages.keys()


def test_links_of_the_readme_lead_to_files_and_headings() -> None:
    """README is no page of the site, so the build does not check it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text)
    assert len(links) > 30
    for place, anchor in links:
        target = ROOT / place if place else ROOT / "README.md"
        assert target.exists(), place
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor
