"""Costs of stages on this machine, kept in a file between runs."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median_low
from typing import Literal

from my_submission.documents import convert
from my_submission.errors import OutputError
from my_submission.files.cache import cache_folder
from my_submission.files.hashing import sha256_of_document
from my_submission.files.part_files import write_whole
from terminal.documents import DocumentError, read_json

logger = logging.getLogger(__name__)

CALIBRATION_FILE = "calibration.json"
SCHEMA = 2

KEPT_RUNS = 5
"""Number of runs of which the median counts, the latest ones: a single run on a busy machine does not change it."""

_ENOUGH_RUNS = 3
"""From this number of runs on, the highest cost is that of the second worst run: the worst may have been a stall."""


@dataclass(frozen=True)
class Cost:
    """Cost of one stage, in seconds of work per second of audio.

    Attributes:
        typical: average over a run, or the median of several runs.
        high: cost that is hardly exceeded.
    """

    typical: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.typical <= self.high < float("inf"):
            raise ValueError(f"typical={self.typical} and high={self.high} are not costs")

    @classmethod
    def of_runs(cls, runs: Sequence[Cost]) -> Cost:
        """Return the cost of a stage by the costs of its runs: the median, so that no single run decides.

        Of two runs the lower one counts, because a busy machine only makes work slower.
        """
        typical = median_low(run.typical for run in runs)
        highest = sorted(run.high for run in runs)[-2 if len(runs) >= _ENOUGH_RUNS else -1]
        return cls(typical, max(typical, highest))


class Calibration:
    """Costs by key, in memory and optionally in a file.

    The costs of the latest :data:`KEPT_RUNS` runs are kept. A file that cannot be read or written is logged and
    ignored: everything is then measured again.

    Args:
        path: the file; None keeps the costs for this process only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._runs: dict[str, tuple[Cost, ...]] = _read(path) if path is not None else {}

    @classmethod
    def of_user(cls) -> Calibration:
        """Return the calibration in the user's cache folder."""
        return cls(cache_folder() / CALIBRATION_FILE)

    def get(self, key: str) -> Cost | None:
        """Return the cost of a key, or None."""
        return Cost.of_runs(runs) if (runs := self._runs.get(key)) else None

    def n_runs(self, key: str) -> int:
        """Return the number of kept runs of a key."""
        return len(self._runs.get(key, ()))

    def update(self, measured: Mapping[str, Cost]) -> None:
        """Add the costs of a run and write the file; costs that other processes wrote in the meantime are kept."""
        if not measured:
            return
        if self._path is not None:
            self._runs = {**self._runs, **_read(self._path)}
        for key, cost in measured.items():
            self._runs[key] = (*self._runs.get(key, ()), cost)[-KEPT_RUNS:]
        if self._path is not None:
            _write(self._path, self._runs)


def part_key(part: str, **circumstances: object) -> str:
    """Return the key of a stage's cost: a hash of this machine, the stage, and all given circumstances."""
    known = {"machine": machine_name(), "part": part, **circumstances}
    return sha256_of_document(known)[:24]


@lru_cache(maxsize=1)
def machine_name() -> str:
    """Return processor and number of processors, so that machines can share a cache folder."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    return f"{platform.system()} {model} x{os.cpu_count()}"


@dataclass(frozen=True)
class _CalibrationFile:
    schema: Literal[2]  # SCHEMA
    runs: Mapping[str, tuple[Cost, ...]]


@dataclass(frozen=True)
class _AveragesFile:
    """The first format: one cost per stage, averaged over all runs; it is read as the cost of one run."""

    schema: Literal[1]
    costs: Mapping[str, Cost]

    @property
    def runs(self) -> Mapping[str, tuple[Cost, ...]]:
        return {key: (cost,) for key, cost in self.costs.items()}


def _read(path: Path) -> dict[str, tuple[Cost, ...]]:
    try:
        document = read_json(path)
        is_first_format = isinstance(document, dict) and document.get("schema") == 1
        stored: _AveragesFile | _CalibrationFile = (
            convert(_AveragesFile, document) if is_first_format else convert(_CalibrationFile, document)
        )
    except FileNotFoundError:
        return {}
    except (OSError, DocumentError) as error:
        logger.warning("%s cannot be used (%s); everything is measured again", path, error)
        return {}
    return dict(stored.runs)


def _write(path: Path, runs: Mapping[str, Sequence[Cost]]) -> None:
    document = {"schema": SCHEMA, "runs": {key: [asdict(cost) for cost in runs[key]] for key in sorted(runs)}}
    try:
        write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
    except OutputError as error:
        logger.warning("%s cannot be written (%s); the next run measures again", path, error.problem)
