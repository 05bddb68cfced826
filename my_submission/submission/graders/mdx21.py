"""The runner of 2021, written from its contract; replaces evaluator/music_demixing.py in a rehearsal.

The limits are INFERENCE_SETUP_TIMEOUT_SECONDS for the setup and INFERENCE_PER_MUSIC_TIMEOUT_SECONDS, or
INFERENCE_PER_MUSIC_TIMEOUT_FACTOR times its duration, per song. SIGALRM enforces them; the first failure ends the run.
"""

import contextlib
import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile

SOURCES = ("bass", "drums", "other", "vocals")


class SongTimeoutError(Exception):
    """A time limit of the grader was exceeded."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after some seconds."""

    def stop(*_: object) -> None:
        raise SongTimeoutError(f"timed out after {seconds:g} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def record(**entry: Any) -> None:
    """Append one line to the record of the rehearsal."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if path := os.environ.get("REHEARSAL_RECORD"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**entry, "peak_bytes": peak}) + "\n")


class MusicDemixingPredictor:
    """Base class of a submission."""

    def __init__(self) -> None:
        here = Path.cwd()
        self.test_data_path = Path(os.getenv("TEST_DATASET_PATH", str(here / "data" / "test")))
        self.results_data_path = Path(os.getenv("RESULTS_DATASET_PATH", str(here / "data" / "results")))
        self.inference_setup_timeout = float(os.getenv("INFERENCE_SETUP_TIMEOUT_SECONDS", "900"))
        self.inference_per_music_timeout = float(os.getenv("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS", "240"))
        self.duration_factor = os.getenv("INFERENCE_PER_MUSIC_TIMEOUT_FACTOR")
        self.partial_run = os.getenv("PARTIAL_RUN_MUSIC_NAMES")

    def prediction_setup(self) -> None:
        """The submission's own."""
        raise NotImplementedError

    def prediction(
        self,
        mixture_file_path: str,
        bass_file_path: str,
        drums_file_path: str,
        other_file_path: str,
        vocals_file_path: str,
    ) -> None:
        """The submission's own."""
        raise NotImplementedError

    def get_all_music_names(self) -> list[str]:
        """Return the names of the songs to run."""
        if self.partial_run:
            return [name.strip() for name in self.partial_run.split(",")]
        return sorted(path.name for path in self.test_data_path.iterdir() if path.is_dir())

    def run(self) -> None:
        """Run the setup, then every song."""
        names = self.get_all_music_names()
        started = time.monotonic()
        with time_limit(self.inference_setup_timeout):
            self.prediction_setup()
        record(setup_seconds=time.monotonic() - started, setup_limit=self.inference_setup_timeout)
        for name in names:
            self.run_song(name)

    def run_song(self, name: str) -> None:
        """Separate one song within its limit and check that its stems exist."""
        mixture = self.test_data_path / name / "mixture.wav"
        limit = self.inference_per_music_timeout
        if self.duration_factor:
            limit = float(self.duration_factor) * soundfile.info(str(mixture)).duration
        folder = self.results_data_path / name
        folder.mkdir(parents=True, exist_ok=True)
        paths = {f"{source}_file_path": str(folder / f"{source}.wav") for source in SOURCES}
        started = time.monotonic()
        try:
            with time_limit(limit):
                self.prediction(mixture_file_path=str(mixture), **paths)
            missing = [path for path in paths.values() if not Path(path).is_file()]
            if missing:
                raise FileNotFoundError(f"no prediction for {', '.join(missing)}")
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            is_timeout = isinstance(error, SongTimeoutError)
            record(song=name, seconds=time.monotonic() - started, limit=limit, error=reason, timed_out=is_timeout)
            raise
        record(song=name, seconds=time.monotonic() - started, limit=limit, error=None, timed_out=False)

    def scoring(self) -> dict[str, float]:
        """Return nothing; the grader scores elsewhere."""
        return {}
