"""Checks that the versions in requirements.txt exist: installed here, or in the package index."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from my_submission.errors import MdxError
from my_submission.submission.findings import Finding, fact, fault
from my_submission.submission.requirement_names import requirement_lines, requirement_options
from my_submission.submission.tree import SubmissionTree

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_CHECK = "versions"
_PIP_SECONDS = 60.0
_CONNECTION_SECONDS = "5"
_AVAILABLE = re.compile(r"^Available versions: (.*)$", re.MULTILINE)
_UNREACHABLE = re.compile(r"Retrying|connection broken|Could not fetch|timed out|SSLError|ProxyError", re.IGNORECASE)
_SHOWN_VERSIONS = 5


@dataclass(frozen=True)
class IndexAnswer:
    """The package index's answer about a name.

    Attributes:
        versions: versions that this Python can install, newest first; empty if the index has no such name.
        failure: why the index could not be queried, or empty.
    """

    versions: tuple[str, ...] = ()
    failure: str = ""


AskIndex = Callable[[str, Sequence[str]], IndexAnswer]
"""Queries the index about a distribution, with options of pip."""


def ask_pip(name: str, options: Sequence[str]) -> IndexAnswer:
    """Query pip's package indices for the available versions; nothing is downloaded."""
    quick = ["--retries", "1", "--timeout", _CONNECTION_SECONDS, "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "index", "versions", "--pre", *quick, *options, name]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return IndexAnswer(failure="the package index does not answer")
    if _UNREACHABLE.search(done.stderr):
        return IndexAnswer(failure="the package index cannot be reached")
    found = _AVAILABLE.search(done.stdout)
    if found:
        return IndexAnswer(tuple(found.group(1).split(", ")))
    if "No matching distribution" in done.stderr:
        return IndexAnswer()
    last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
    return IndexAnswer(failure=f"pip cannot ask the package index ({last})")


def version_findings(tree: SubmissionTree, ask_index: AskIndex | None = None) -> Iterator[Finding]:
    """Check that every requirement can be met; requirements that could not be checked are facts.

    Installed versions are known to exist; only the others are looked up in the index.

    Args:
        ask_index: queries the package index; by default :func:`ask_pip`.
    """
    path = tree.root / "requirements.txt"
    try:
        lines, options = list(requirement_lines(path).values()), requirement_options(path)
    except MdxError:
        return  # requirement_findings reports this
    ask = ask_index or ask_pip
    unchecked: dict[str, list[str]] = {}
    for line in lines:
        outcome = _look_up(line, options, ask)
        if outcome.problem:
            yield fault(_CHECK, f"requirements.txt requires {line}: {outcome.problem}", outcome.hint)
        elif outcome.failure:
            unchecked.setdefault(outcome.failure, []).append(line)
    for failure, those in unchecked.items():
        yield fact(_CHECK, f"not checked: {', '.join(those)}: {failure}")


@dataclass(frozen=True)
class _Outcome:
    """A problem with a hint, or the reason of a failed check; all empty if the requirement can be met."""

    problem: str = ""
    hint: str = ""
    failure: str = ""


def _look_up(line: str, options: Sequence[str], ask: AskIndex) -> _Outcome:
    try:
        from packaging.requirements import InvalidRequirement, Requirement  # onnxruntime brings it along
    except ImportError as error:
        return _Outcome(failure=str(error))
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        return _Outcome(f"this is not a requirement ({str(error).splitlines()[0]})", "correct the line")
    if requirement.url is not None:
        return _Outcome(failure="it is a URL")
    is_for_others = requirement.marker is not None and not requirement.marker.evaluate()
    if is_for_others or _is_installed(requirement):
        return _Outcome()
    return _judged(requirement, ask(requirement.name, options))


def _is_installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _judged(requirement: Requirement, answer: IndexAnswer) -> _Outcome:
    if answer.failure:
        return _Outcome(failure=answer.failure)
    if not answer.versions:
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        problem = f"the package index has no {requirement.name} for {python}"
        return _Outcome(problem, "correct the name, or remove the line")
    if any(requirement.specifier.filter(answer.versions, prereleases=True)):
        return _Outcome()
    newest = ", ".join(answer.versions[:_SHOWN_VERSIONS])
    return _Outcome("there is no such version", f"choose an existing one, such as {requirement.name}=={newest}")
