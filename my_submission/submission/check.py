"""All checks of a submission tree, the quick ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from my_submission.errors import MdxError
from my_submission.submission.code_checks import import_findings, requirement_findings
from my_submission.submission.environment import Environment
from my_submission.submission.findings import Finding, fact, fault_of, has_fault
from my_submission.submission.link_checks import link_findings
from my_submission.submission.rehearsal import RehearsalSettings, rehearse
from my_submission.submission.requirement_versions import version_findings
from my_submission.submission.script_checks import script_findings
from my_submission.submission.tree import SubmissionTree
from my_submission.submission.tree_checks import (
    aicrowd_findings,
    required_file_findings,
    size_findings,
    system_findings,
)
from my_submission.submission.verdict import rehearsal_findings

EnvironmentMaker = Callable[[Path], Environment]
"""Builds or finds the Python environment of a tree."""


def check_submission(
    root: Path, make_environment: EnvironmentMaker | None, settings: RehearsalSettings | None = None
) -> Iterator[Finding]:
    """Check a tree and yield each finding as it is made.

    Args:
        make_environment: returns the Python that the submission runs in; None checks files and code only.

    Raises:
        InputError: there is no such folder.
    """
    tree = SubmissionTree(root)
    try:
        configuration = tree.configuration()
    except MdxError as error:
        yield fault_of("configuration", error)
        return
    yield fact("configuration", f"{configuration.system} for the track {configuration.track}")
    if configuration.challenge_track.assumed:
        yield fact("configuration", configuration.challenge_track.assumed)
    is_faulty = False
    for findings in (
        link_findings(tree),
        required_file_findings(tree, configuration),
        aicrowd_findings(tree, configuration),
        system_findings(tree, configuration),
        size_findings(tree, configuration),
        requirement_findings(tree, configuration),
        version_findings(tree),
        script_findings(tree, configuration),
    ):
        for finding in findings:
            is_faulty |= has_fault([finding])
            yield finding
    if make_environment is None:
        yield fact("rehearsal", "not requested: requirements, time and memory are untested")
        return
    if is_faulty:
        yield fact("rehearsal", "not run, because of the faults above")
        return
    try:
        environment = make_environment(tree.root)
        imports = list(import_findings(tree, configuration, environment))
        yield from imports
        if not has_fault(imports):
            yield from rehearsal_findings(rehearse(tree, configuration, environment, settings))
    except MdxError as error:
        yield fault_of("rehearsal", error)
