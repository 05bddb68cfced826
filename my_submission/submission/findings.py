"""Findings of checks: faults with hints, warnings and facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from my_submission.errors import MdxError

Severity = Literal["fault", "warning", "fact"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of one check.

    Attributes:
        severity: a fault makes the submission fail, a warning may, a fact does not.
        hint: how to fix it; empty for facts.
    """

    check: str
    severity: Severity
    text: str
    hint: str = ""

    def __post_init__(self) -> None:
        if self.severity == "fault" and not self.hint:
            raise ValueError(f"a fault needs a hint: {self.text}")


def fault(check: str, text: str, hint: str) -> Finding:
    """Return a finding that makes the submission fail."""
    return Finding(check=check, severity="fault", text=text, hint=hint)


def warning(check: str, text: str, hint: str = "") -> Finding:
    """Return a finding that may cost the submission time or points."""
    return Finding(check=check, severity="warning", text=text, hint=hint)


def fact(check: str, text: str) -> Finding:
    """Return a finding for the record."""
    return Finding(check=check, severity="fact", text=text)


def fault_of(check: str, error: MdxError) -> Finding:
    """Return a fault from an error."""
    text = error.problem if error.where is None else f"{error.where}: {error.problem}"
    return fault(check, text, error.hint or "see the message")


def has_fault(findings: Iterable[Finding]) -> bool:
    """Return whether any finding is a fault."""
    return any(finding.severity == "fault" for finding in findings)
