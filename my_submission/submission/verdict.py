"""Turns the report of a rehearsal into findings."""

from __future__ import annotations

from my_submission.submission.findings import Finding, fact, fault, warning
from my_submission.submission.results import RehearsalReport, SongResult
from terminal.program import program_name

CHECK = "rehearsal"

MIN_DONE_SHARE = 0.5
"""Smallest share of a system's work that must be done within the limit; below it the system is too slow."""

_SLOW_HINT = f"choose a faster system in submission.toml; {program_name()} doctor shows which would fit"
_MEMORY_HINT = f"choose a system that needs less memory; {program_name()} doctor shows what each needs"
_STDERR_LINES = 6


def rehearsal_findings(report: RehearsalReport) -> list[Finding]:
    """Return faults, warnings and facts of a rehearsal."""
    findings = [fact(CHECK, line) for line in report.conditions]
    if report.setup_seconds is not None:
        findings.append(fact(CHECK, f"ready after {report.setup_seconds:.1f} s"))
    if over := _over_memory(report):
        return [*findings, over]
    if report.outcome.end == "time":
        text = f"the run was stopped after {report.outcome.seconds:.0f} s: it hangs or is too slow"
        return [*findings, fault(CHECK, text, _SLOW_HINT)]
    for song in report.songs:
        findings += _song_findings(song, report)
    if report.outcome.returncode and not any(finding.severity == "fault" for finding in findings):
        text = f"the run ended with exit code {report.outcome.returncode}: {_last_words(report)}"
        findings.append(fault(CHECK, text, "correct the error that it prints"))
    findings.append(fact(CHECK, f"peak memory {report.peak_bytes / 2**20:.0f} MiB"))
    return findings


def _over_memory(report: RehearsalReport) -> Finding | None:
    allowed = report.machine.memory_bytes
    if report.outcome.end != "memory" and report.peak_bytes <= allowed:
        return None
    text = f"the run needs more memory than the grader's {allowed / 2**20:.0f} MiB"
    return fault(CHECK, f"{text} (at least {report.peak_bytes / 2**20:.0f} MiB)", _MEMORY_HINT)


def _song_findings(song: SongResult, report: RehearsalReport) -> list[Finding]:
    if song.seconds is None:
        hint = "correct the error that it prints"
        return [fault(CHECK, f"{song.name}: {song.error}: {_last_words(report)}", hint)]
    used = f"{song.name}: {song.seconds:.1f} s of {song.limit_seconds:.1f} s for {song.duration_seconds:.1f} s of music"
    if song.is_timed_out or (not song.error and song.seconds > song.limit_seconds):
        return [fault(CHECK, f"{used}: too slow, it was stopped at the limit", _SLOW_HINT)]
    if song.error:
        return [fault(CHECK, f"{song.name}: {song.error}", "correct this error")]
    findings = [fact(CHECK, used)]
    hint = "write every stem in full, with the mixture's length and sample rate"
    findings += [fault(CHECK, f"{song.name}: {problem}", hint) for problem in song.stem_faults]
    if not song.is_as_published:
        text = f"{song.name}: {song.done_share:.0%} of the work was done in time; left out: {'; '.join(song.left_out)}"
        is_slow = song.done_share < MIN_DONE_SHARE
        findings.append(fault(CHECK, f"too slow: {text}", _SLOW_HINT) if is_slow else warning(CHECK, text, _SLOW_HINT))
    return findings


def _last_words(report: RehearsalReport) -> str:
    lines = [line for line in report.outcome.stderr.splitlines() if line.strip()]
    return " | ".join(lines[-_STDERR_LINES:]) or "it printed no error"
