"""What was done to a song, as a value that turns into JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from my_submission.budget import Budget
from my_submission.planning.schedule import AS_PUBLISHED

REPORT_SCHEMA = 1

NOT_SEPARATED = "not separated: there was no time"
"""What is said of stems that are only shares of the mixture."""


@dataclass(frozen=True)
class StageReport:
    """One part of the plan.

    Attributes:
        name: such as "networks: vocals" or "demucs".
        seconds: measured.
        done_samples: samples of the song it covered, at 44.1 kHz.
        samples: samples there were to cover.
        runs_on: device and library.
        n_units: runs of its engine.
        planned_seconds: what all of it was expected to take; None without a deadline.
        planned_share: how much of it was expected to end in time.
        is_refinement: whether it goes beyond what was published.
    """

    name: str
    seconds: float
    done_samples: int
    samples: int
    runs_on: str
    n_units: int = 0
    planned_seconds: float | None = None
    planned_share: float = 1.0
    is_refinement: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return self.done_samples >= self.samples


@dataclass(frozen=True)
class SeparationReport:
    """What was done, what was left out, and what it cost.

    Attributes:
        system: name of the system.
        source_rate: sample rate of input and output, in Hz.
        source_samples: length of input and output.
        parts: in the order of work.
        seconds: from the call to the last byte written.
        budget_seconds: the limit given, or None.
        peak_memory_bytes: the largest resident memory of the process so far.
        peak_device_memory_bytes: the most memory in use on the GPU during the song, other processes' included; None
            where there is none.
        cutoffs_hz: frequency above which a source's spectral network is silent.
        weights: artefact name to file.
        input_path: None for a waveform.
        outputs: source to file; empty for a waveform.
        levels: source to peak, root mean square and clipped samples; empty for a waveform.
        notes: fallbacks and whatever else a reader should know.
        input_notes: those of them that concern how the file was read.
        plan: what the deadline was expected to allow, as a rung of the system's ladder.
        left_out: what the deadline took away, a line each.
        is_as_published: whether the stems are those that the system gives without a deadline, or refined beyond.
        reading_seconds: decoding and resampling the input.
        writing_seconds: everything else: start-up counted in, planning, composing and writing the stems.
        separated_shares: stem to the share of the song that an estimate covers, 0 … 1; the rest of it is a share of the
            mixture.
        late_by_seconds: how long after the deadline the last byte was written; 0 in time, and where there is none.
    """

    system: str
    source_rate: int
    source_samples: int
    parts: tuple[StageReport, ...]
    seconds: float
    budget_seconds: float | None
    peak_memory_bytes: int
    cutoffs_hz: Mapping[str, float]
    weights: Mapping[str, str]
    input_path: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    input_notes: tuple[str, ...] = ()
    plan: str = AS_PUBLISHED
    left_out: tuple[str, ...] = ()
    is_as_published: bool = True
    reading_seconds: float = 0.0
    writing_seconds: float = 0.0
    peak_device_memory_bytes: int | None = None
    separated_shares: Mapping[str, float] = field(default_factory=dict)
    late_by_seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every part of the system covered the whole song."""
        return all(part.is_complete for part in self.parts if not part.is_refinement)

    @property
    def is_separated(self) -> bool:
        """Whether anything was estimated at all: stems that are only shares of the mixture are no separation."""
        return is_separated(self.separated_shares)

    def ended(self, budget: Budget) -> SeparationReport:
        """The report as it is now, where its song has a deadline and more was done since, such as drawing pictures."""
        if not budget.is_limited:
            return self
        return replace(self, seconds=budget.elapsed(), late_by_seconds=budget.late_by())

    def warnings(self) -> tuple[str, ...]:
        """What nobody must overlook: nothing was estimated, the song is late."""
        return outcome_warnings(self.is_separated, self.late_by_seconds)

    @property
    def realtime_factor(self) -> float:
        """Seconds of music per second of work."""
        return self.source_samples / self.source_rate / max(self.seconds, 1e-9)

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for :func:`json.dump`."""
        plain = asdict(self)
        for part, report in zip(plain["parts"], self.parts, strict=True):
            part["complete"] = report.is_complete
        return {"schema": REPORT_SCHEMA, "complete": self.is_complete, "separated": self.is_separated, **plain}


def is_separated(shares: Mapping[str, float]) -> bool:
    """Whether stems of these estimated shares are a separation; so are those of which nothing is known."""
    return not shares or any(share > 0 for share in shares.values())


def outcome_warnings(is_separated: bool, late_by_seconds: float) -> tuple[str, ...]:
    """A sentence for stems that are only shares of the mixture, and one for a run that ended after its deadline."""
    late = f"late by {max(late_by_seconds, 0.001):.3f} s" if late_by_seconds else ""
    return tuple(text for text in ("" if is_separated else NOT_SEPARATED, late) if text)


def peak_memory_bytes() -> int:
    """The largest resident memory of this process so far."""
    try:
        import resource
    except ImportError:
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
