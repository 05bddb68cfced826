"""Checks of a tree's links: a push carries a link as a link, so what it points to must travel too."""

from __future__ import annotations

from collections.abc import Iterator

from my_submission.submission.entries import LinkEnd, follow
from my_submission.submission.findings import Finding, fault, warning
from my_submission.submission.tree import LINK_CURE, SubmissionTree


def link_findings(tree: SubmissionTree) -> Iterator[Finding]:
    """Every link, submodule, named pipe, socket and device of the tree; those that break the push are faults."""
    for name, target in tree.entries.links.items():
        yield _link_finding(tree, name, target)
    for name in tree.entries.submodules:
        text = f"{name} is a submodule: a push names its commit and does not bring its files"
        yield fault("links", text, "copy the files into the tree, or leave the submodule out")
    for name, kind in tree.entries.specials.items():
        yield warning("links", f"{name} is {kind}; git cannot carry it", "remove it from the tree")


def _link_finding(tree: SubmissionTree, name: str, target: str) -> Finding:
    end = follow(tree.root, name)
    text = f"{name} is a link to {target}"
    if end.kind == "outside":
        return fault("links", f"{text}, outside of the tree; the grader has no such place", LINK_CURE)
    if end.kind == "nothing":
        return fault("links", f"{text}, and {end.place} is not there", f"restore {end.place}, or remove the link")
    if end.kind == "circle":
        return fault("links", f"{text}, which leads in a circle", LINK_CURE)
    if not _is_pushed(tree, end):
        return fault("links", f"{text}, but .gitignore keeps {end.place} out of the push", LINK_CURE)
    return warning("links", f"{text}; a push carries it as a link", f"{LINK_CURE}: archives and Windows keep no links")


def _is_pushed(tree: SubmissionTree, end: LinkEnd) -> bool:
    if not all(link in tree.entries.links for link in end.links):
        return False
    if end.kind == "file":
        return end.place in tree.files
    return any(name.startswith(f"{end.place}/") for name in tree.files) or not end.place
