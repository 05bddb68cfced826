"""What a check found: a fault with its cure, a warning, or a fact worth knowing."""

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
        check: which check, in a word or two.
        severity: a fault makes the submission fail; a warning may; a fact is for the record.
        text: what was found, naming the file or value.
        hint: what to do about it; empty for facts.
    """

    check: str
    severity: Severity
    text: str
    hint: str = ""

    def __post_init__(self) -> None:
        if self.severity == "fault" and not self.hint:
            raise ValueError(f"a fault needs a hint: {self.text}")


def fault(check: str, text: str, hint: str) -> Finding:
    """Something that makes the submission fail."""
    return Finding(check=check, severity="fault", text=text, hint=hint)


def warning(check: str, text: str, hint: str = "") -> Finding:
    """Something that may cost the submission time or points."""
    return Finding(check=check, severity="warning", text=text, hint=hint)


def fact(check: str, text: str) -> Finding:
    """Something for the record."""
    return Finding(check=check, severity="fact", text=text)


def fault_of(check: str, error: MdxError) -> Finding:
    """A fault from an error that names its place and cure."""
    text = error.problem if error.where is None else f"{error.where}: {error.problem}"
    return fault(check, text, error.hint or "see the message")


def has_fault(findings: Iterable[Finding]) -> bool:
    """Whether any of them is a fault."""
    return any(finding.severity == "fault" for finding in findings)
