"""Links between documents of the repository, as links between pages of the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs/"

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def page_of(place: str) -> str:
    """Return the page, relative to the site's sources, of a document by its place in the repository."""
    if place == "README.md":
        return "index.md"
    return re.sub(r"\.ipynb$", ".md", place.removeprefix(DOCS))


def place_of(page: str) -> str:
    """Return the place in the repository of a page: below docs/ if such a file exists there."""
    return DOCS + page if (ROOT / DOCS / page).exists() or not (ROOT / page).exists() else page


def site_links(markdown: str, page: str, pages: set[str], broken: Callable[[str], None]) -> str:
    """Return a document with links to other documents as links of the site.

    A link to a file of the repository that is not a page becomes its text. Dead links are passed to ``broken``. Code
    blocks stay unchanged.

    Args:
        markdown: the document's text.
        page: its page.
        pages: all pages and pictures of the site.
        broken: called with every target that does not exist.
    """
    folder = posixpath.dirname(place_of(page))

    def rewritten(link: re.Match[str]) -> str:
        target, mark, anchor = link["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link.group()
        place = posixpath.normpath(posixpath.join(folder, target))
        found = page_of(f"{place}/README.md" if (ROOT / place / "README.md").is_file() else place)
        if found in pages:
            relative = posixpath.relpath(found, posixpath.dirname(page) or ".")
            return f"{link['image']}[{link['text']}]({relative}{mark}{anchor})"
        if not (ROOT / place).exists():
            broken(link["target"])
        return link["text"]

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(rewritten, markdown[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, _LINK.sub(rewritten, markdown[end:])])
