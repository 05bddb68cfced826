"""Hooks of mkdocs: pages from outside docs/, generated pages, links, and roles of docstrings."""

from __future__ import annotations

import logging
import re
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url

from scripts.documentation.commands_page import commands_page
from scripts.documentation.links import ROOT, site_links
from scripts.documentation.notebook_page import notebook_page

OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "models/**/README.md", "benchmarks/results/*.md")
"""Documents that are pages of the site although they are not in docs/."""

WORKER_SHIM = "https://unpkg.com/iframe-worker/shim"
"""Script that the theme's plugin "offline" loads."""

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):(<code>)[~!]?")
_MARK = re.compile(r"^<!-- (?:run|needs|scores|/scores)\b.*?-->\n", re.MULTILINE)
_PRINTED = re.compile(r"^<!-- prints -->\n```$", re.MULTILINE)
_log = logging.getLogger("mkdocs.hooks.documentation")


def on_config(config: Any) -> Any:
    """Put pages of docs/ that the navigation does not name at its end, so that every page can be reached."""
    named = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
    unnamed = [page for page in pages if page not in named]
    if unnamed:
        config.nav.append({"More": unnamed})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the documents from outside docs/ and the generated pages."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            page = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, page, content=path.read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "tutorial.md", content=notebook_page(ROOT / "docs/tutorial.ipynb")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Make links between documents links between pages, and leave the marks of tests out."""
    source = page.file.src_uri

    def broken(target: str) -> None:
        _log.warning("%s: the link to %s leads to no file", source, target)

    pages = {file.src_uri for file in files}
    plain = _MARK.sub("", _PRINTED.sub("```{ .text .wrapped }", markdown))
    return site_links(plain, source, pages, broken)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Return the page with our own stand-in for workers, which search needs on a disk."""
    return output.replace(WORKER_SHIM, get_relative_url("assets/frame_worker.js", page.url))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """Return a page that has no document, such as 404.html, likewise."""
    return output_content.replace(WORKER_SHIM, "assets/frame_worker.js")


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Return the page without the names of Sphinx's roles, which Markdown does not know."""
    return _ROLE.sub(r"\1", html)
