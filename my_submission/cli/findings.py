"""Findings of checks on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from my_submission.submission import Finding
from terminal.rich_lines import rich_line

_STYLES = {"fault": "bold red", "warning": "yellow", "fact": "dim"}


def show_findings(findings: Iterable[Finding], *, only_faults: bool = False) -> int:
    """Print findings as they come, each with its hint; return the number of faults."""
    console = Console(soft_wrap=True, highlight=False)
    n_faults = 0
    for finding in findings:
        n_faults += finding.severity == "fault"
        if only_faults and finding.severity != "fault":
            continue
        text = f"{finding.severity:<8}{finding.check}: {finding.text}"
        console.print(rich_line(text, _STYLES[finding.severity]))
        if finding.hint:
            console.print(rich_line(f"        -> {finding.hint}"))
    return n_faults
