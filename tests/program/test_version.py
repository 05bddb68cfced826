"""The version stands in four places, and the changelog in the form of keepachangelog.com."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from my_submission.version import __version__

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
RELEASES = re.findall(r"^## (\d+)\.(\d+)\.(\d+) - (\d{4}-\d{2}-\d{2})$", CHANGELOG, re.M)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_is_the_same_everywhere() -> None:
    """The newest release of the changelog, the program, the citation, and the wheel of docs/installing.md."""
    newest = ".".join(RELEASES[0][:3])
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert __version__ == newest
    assert re.findall(r"^version: (.*)$", citation, re.M) == [newest]
    assert re.findall(r"^date-released: (.*)$", citation, re.M) == [RELEASES[0][3]]
    assert set(re.findall(r"mdx_submission-([\d.]+)-py3", (ROOT / "docs" / "installing.md").read_text("utf-8"))) == {
        newest
    }


def test_releases_go_from_new_to_old() -> None:
    """Under lines not yet released; each by number and by date, with kinds of change that the form has."""
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.M)
    assert headings[0] == "Unreleased"
    assert len(headings) == len(RELEASES) + 1
    for newer, older in pairwise(RELEASES):
        assert [int(number) for number in newer[:3]] > [int(number) for number in older[:3]]
        assert newer[3] >= older[3]
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.M)) <= KINDS
