"""Reports: the result of one separation as a value that turns into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from my_submission.budget import Budget
from terminal.names import as_html

REPORT_SCHEMA = 1

AS_PUBLISHED = "everything as published"
"""The plan of a separation that leaves nothing out."""

NOT_SEPARATED = "not separated: there was no time"
"""The warning for stems that are only shares of the mixture."""


@dataclass(frozen=True)
class StageReport:
    """One stage of the work on a song.

    Attributes:
        name: for display, such as "networks: vocals" or "demucs".
        seconds: measured.
        done_samples: samples of the song that it covered, at 44.1 kHz.
        samples: samples that it had to cover.
        runs_on: device and library.
        n_units: runs of its engine.
        planned_seconds: expected duration of the whole stage; None without a deadline.
        planned_share: part of it that was expected to end in time, 0 … 1.
        is_refinement: whether it goes beyond the published work.
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
        """Whether it covered the whole song."""
        return self.done_samples >= self.samples


@dataclass(frozen=True)
class SeparationReport:
    """Result and cost of one separation.

    Attributes:
        system: name of the system.
        source_rate: sample rate of input and output, in Hz.
        source_samples: length of input and output.
        parts: stages in the order of work, refinements last.
        seconds: from the start of the time limit to the last byte written. It starts with the call, or
            ``startup_seconds`` before it.
        budget_seconds: the limit given, or None.
        peak_memory_bytes: the largest resident memory of the process so far.
        peak_device_memory_bytes: the most memory in use on the GPU during the song, other processes' included; None
            on the CPU.
        cutoffs_hz: frequency above which a source's spectral network is silent.
        weights: artefact name to file.
        input_path: None for a waveform.
        outputs: source to file; empty for a waveform.
        levels: source to peak, root mean square and clipped samples; empty for a waveform.
        notes: fallbacks and other remarks for the reader.
        input_notes: the notes about how the file was read.
        plan: quality level that the deadline was expected to allow, for display.
        left_out: work that was left out because of the deadline, one sentence each, for display.
        is_as_published: whether the stems are those that the system gives without a deadline, or refined beyond.
        reading_seconds: decoding and resampling the input.
        startup_seconds: time before the call that counts in ``seconds``: start of the process and loading of the
            system, for the first song of a command.
        writing_seconds: everything else: planning, blending and writing the stems.
        separated_shares: stem to the share of the song that an estimate covers, 0 … 1; the rest of the stem is a share
            of the mixture.
        common_gain_db: smallest gain in dB that was applied to all stems against clipping; 0 if there was none.
        late_by_seconds: seconds from the deadline to the last byte written; 0 in time and without a deadline.
        stems_add_up: whether the stems are all of the mixture; not if only some were requested.
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
    startup_seconds: float = 0.0
    writing_seconds: float = 0.0
    peak_device_memory_bytes: int | None = None
    separated_shares: Mapping[str, float] = field(default_factory=dict)
    late_by_seconds: float = 0.0
    stems_add_up: bool = True
    common_gain_db: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every stage of the published work covered the whole song."""
        return all(part.is_complete for part in self.parts if not part.is_refinement)

    @property
    def is_separated(self) -> bool:
        """Whether anything was estimated: stems that are only shares of the mixture do not count as a separation."""
        return not self.separated_shares or any(share > 0 for share in self.separated_shares.values())

    @property
    def realtime_factor(self) -> float:
        """Seconds of music per second of work."""
        return self.source_samples / self.source_rate / max(self.seconds, 1e-9)

    def ended(self, budget: Budget) -> SeparationReport:
        """Return the report at the end of work that the deadline includes and that came after the separation.

        Without a deadline the report stays as it is.
        """
        if not budget.is_limited:
            return self
        seconds = budget.elapsed()
        writing_seconds = self.writing_seconds + seconds - self.seconds
        return replace(self, seconds=seconds, writing_seconds=writing_seconds, late_by_seconds=budget.late_by())

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence if nothing was estimated, and one if the song is late."""
        late = f"late by {max(self.late_by_seconds, 0.001):.3f} s" if self.late_by_seconds else ""
        return tuple(text for text in ("" if self.is_separated else NOT_SEPARATED, late) if text)

    def _repr_html_(self) -> str:
        """Return the report as a table for a notebook."""
        facts = {
            "system": self.system,
            "song": self.input_path or "samples",
            "length": f"{self.source_samples / self.source_rate:.1f} s at {self.source_rate} Hz",
            "time": f"{self.seconds:.1f} s, {self.realtime_factor:.1f} x real time",
            "plan": self.plan,
            **{part.name: f"{part.seconds:.1f} s, {part.runs_on}" for part in self.parts},
            "left out": "; ".join(self.left_out),
            "notes": "; ".join((*self.warnings(), *self.input_notes, *self.notes)),
        }
        rows = (
            f'<tr><th style="text-align:left">{as_html(name)}</th><td>{as_html(value)}</td></tr>'
            for name, value in facts.items()
            if value
        )
        return f"<table>{''.join(rows)}</table>"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, ready for :func:`json.dump`."""
        plain = asdict(self)
        for part, report in zip(plain["parts"], self.parts, strict=True):
            part["complete"] = report.is_complete
        return {"schema": REPORT_SCHEMA, "complete": self.is_complete, "separated": self.is_separated, **plain}
