"""Costs of stages on this machine, kept in a file between runs."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from my_submission.documents import convert
from my_submission.errors import OutputError
from my_submission.files.cache import cache_folder
from my_submission.files.hashing import sha256_of_document
from my_submission.files.part_files import write_whole
from terminal.documents import DocumentError, read_json

logger = logging.getLogger(__name__)

CALIBRATION_FILE = "calibration.json"
SCHEMA = 1

_NEW_SHARE = 0.5
"""Weight of the latest run in the typical cost: machines change more often than measurements fail."""

_HIGH_DECAY = 0.8
"""Decay of the highest cost per run, so that a brief stall loses its effect after a few runs."""


@dataclass(frozen=True)
class Cost:
    """Cost of one stage, in seconds of work per second of audio.

    Attributes:
        typical: average over runs.
        high: highest of the recent runs.
    """

    typical: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.typical <= self.high < float("inf"):
            raise ValueError(f"typical={self.typical} and high={self.high} are not costs")

    def updated(self, latest: Cost) -> Cost:
        """Return the cost after another measured run."""
        typical = (1 - _NEW_SHARE) * self.typical + _NEW_SHARE * latest.typical
        high = max(latest.high, _HIGH_DECAY * self.high + (1 - _HIGH_DECAY) * latest.high, typical)
        return Cost(typical, high)


class Calibration:
    """Costs by key, in memory and optionally in a file.

    A file that cannot be read or written is logged and ignored: everything is then measured again.

    Args:
        path: the file; None keeps the costs for this process only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._costs: dict[str, Cost] = _read(path) if path is not None else {}

    @classmethod
    def of_user(cls) -> Calibration:
        """Return the calibration in the user's cache folder."""
        return cls(cache_folder() / CALIBRATION_FILE)

    def get(self, key: str) -> Cost | None:
        """Return the cost of a key, or None."""
        return self._costs.get(key)

    def update(self, measured: Mapping[str, Cost]) -> None:
        """Add the costs of a run and write the file; costs that other processes wrote in the meantime are kept."""
        if not measured:
            return
        if self._path is not None:
            self._costs = {**self._costs, **_read(self._path)}
        for key, cost in measured.items():
            before = self._costs.get(key)
            self._costs[key] = cost if before is None else before.updated(cost)
        if self._path is not None:
            _write(self._path, self._costs)


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
    schema: Literal[1]  # SCHEMA
    costs: Mapping[str, Cost]


def _read(path: Path) -> dict[str, Cost]:
    try:
        stored = convert(_CalibrationFile, read_json(path))
    except FileNotFoundError:
        return {}
    except (OSError, DocumentError) as error:
        logger.warning("%s cannot be used (%s); everything is measured again", path, error)
        return {}
    return dict(stored.costs)


def _write(path: Path, costs: Mapping[str, Cost]) -> None:
    document = {"schema": SCHEMA, "costs": {key: asdict(cost) for key, cost in sorted(costs.items())}}
    try:
        write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
    except OutputError as error:
        logger.warning("%s cannot be written (%s); the next run measures again", path, error.problem)
