"""Checks a submission, packs it, and rehearses it under the grader's limits before it is pushed."""

from my_submission.submission.check import check_submission
from my_submission.submission.findings import Finding, has_fault
from my_submission.submission.pack import PackResult, pack_submission
from my_submission.submission.rehearsal import RehearsalSettings, rehearse
from my_submission.submission.results import RehearsalReport, SongResult
from my_submission.submission.tree import SubmissionTree
from my_submission.submission.verdict import rehearsal_findings

__all__ = [
    "Finding",
    "PackResult",
    "RehearsalReport",
    "RehearsalSettings",
    "SongResult",
    "SubmissionTree",
    "check_submission",
    "has_fault",
    "pack_submission",
    "rehearsal_findings",
    "rehearse",
]
