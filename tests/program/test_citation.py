"""How to cite: the file has what its schema requires, and the papers that the pages of systems name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cited() -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_file_has_what_its_schema_requires(cited: Any) -> None:
    """CFF 1.2.0 requires cff-version, message, title and authors with names; of a reference title, authors, type."""
    from my_submission.version import __version__

    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert (cited["cff-version"], str(cited["version"]), cited["type"]) == ("1.2.0", __version__, "software")
    for entry in (cited, *cited["references"]):
        assert {"title", "authors", "type"} <= entry.keys(), entry
        assert all(author.keys() & {"name", "family-names"} for author in entry["authors"]), entry
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert cited["license"] == project["license"]


def test_identifiers_are_well_formed_and_stand_once(cited: Any) -> None:
    found = [each["value"] for entry in cited["references"] for each in entry.get("identifiers", ())]
    assert all(re.fullmatch(r"arXiv:\d{4}\.\d{5}", value) for value in found)
    found += [entry["doi"] for entry in cited["references"] if "doi" in entry]
    assert len(found) == len(set(found)) >= 8
    assert all(isinstance(entry["year"], int) for entry in cited["references"])


def test_every_paper_that_a_page_of_a_system_names_is_in_the_citation_file(cited: Any) -> None:
    titles = {entry["title"] for entry in cited["references"]}
    named: set[str] = set()
    for page in (ROOT / "docs/systems").glob("*.md"):
        sources = re.search(r"\*\*Sources\*\*:(.*?)\n\n", page.read_text(encoding="utf-8"), re.S)
        named |= set(re.findall(r"\*([^*]+)\*", " ".join(sources[1].split()))) if sources else set()
    assert len(named) >= 8
    assert named <= titles


def test_the_readme_cites_the_program_by_that_name(cited: Any) -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f'"{cited["authors"][0]["name"]}, *{cited["title"]}*"' in readme
