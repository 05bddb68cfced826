"""Checks of a tree's links: a push contains the link itself, so it must contain the target too."""

from __future__ import annotations

from collections.abc import Iterator

from my_submission.submission.entries import LinkEnd, follow
from my_submission.submission.findings import Finding, fault, warning
from my_submission.submission.tree import LINK_HINT, SubmissionTree


def link_findings(tree: SubmissionTree) -> Iterator[Finding]:
    """Check every link, submodule, named pipe, socket and device of the tree."""
    for name, target in tree.entries.links.items():
        yield _link_finding(tree, name, target)
    for name in tree.entries.submodules:
        text = f"{name} is a submodule: a push contains its commit but not its files"
        yield fault("links", text, "copy the files into the tree, or remove the submodule")
    for name, kind in tree.entries.specials.items():
        yield warning("links", f"{name} is {kind}; git cannot store it", "remove it from the tree")


def _link_finding(tree: SubmissionTree, name: str, target: str) -> Finding:
    end = follow(tree.root, name)
    text = f"{name} is a link to {target}"
    if end.kind == "outside":
        return fault("links", f"{text}, outside the tree; the grader has no such path", LINK_HINT)
    if end.kind == "nothing":
        return fault("links", f"{text}, and {end.path} does not exist", f"restore {end.path}, or remove the link")
    if end.kind == "circle":
        return fault("links", f"{text}, which is circular", LINK_HINT)
    if not _is_pushed(tree, end):
        return fault("links", f"{text}, but .gitignore excludes {end.path} from the push", LINK_HINT)
    return warning("links", f"{text}; a push contains it as a link", f"{LINK_HINT}: archives and Windows lose links")


def _is_pushed(tree: SubmissionTree, end: LinkEnd) -> bool:
    if not all(link in tree.entries.links for link in end.links):
        return False
    if end.kind == "file":
        return end.path in tree.files
    return any(name.startswith(f"{end.path}/") for name in tree.files) or not end.path
