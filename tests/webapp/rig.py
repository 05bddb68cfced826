"""Songs, systems and a library for tests of the page without a browser."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from my_submission.predictor import Predictor
from my_submission.systems import LoadedSystem
from my_submission.webapp.serving.uploads import Upload, UploadLimits, UploadStore
from my_submission.webapp.songs.song import Song
from my_submission.webapp.songs.song_library import SongLibrary
from my_submission.webapp.tokens import new_token
from my_submission.webapp.work.job_queue import JobQueue
from my_submission.webapp.work.loaded_systems import LoadedSystems, LoadPredictor
from my_submission.webapp.work.separation_job import SeparationJob, SeparationRequest
from tests.audio_fixtures import noise
from tests.rigs import GAINS, WAVEFORM_GAINS, scaling, two_branches

RATE = 44_100
SOURCES = ("bass", "drums", "other", "vocals")
REQUEST = SeparationRequest("fake", SOURCES)
PATIENCE = 60.0
VISIT = "0" * 48
SHARES = {name: (GAINS[name] + WAVEFORM_GAINS[name]) / 2 for name in SOURCES}
"""Stem to what the fake system multiplies the mixture by."""


class HeavySystem(LoadedSystem):
    """A system whose networks do not fit into memory together."""

    is_streamable = False  # type: ignore[assignment]


def load(name: str, stems: tuple[str, ...]) -> Predictor:
    """The fake system under any name; those called "heavy" do not work from start to end."""
    return predictor_of(two_branches(), name, stems)


def predictor_of(system: LoadedSystem, name: str, stems: Sequence[str]) -> Predictor:
    """A predictor of a fake system under a name, for some stems."""
    recipe = replace(system.recipe, name=name, chosen_stems=tuple(stems))
    kind = HeavySystem if name.startswith("heavy") else LoadedSystem
    return Predictor(kind(recipe, system.branches, system.weights))


def queue_of(load: LoadPredictor = load, *, max_waiting: int = 8, max_seconds: float = 60.0) -> JobQueue:
    systems = LoadedSystems(load, default="fake", is_small=lambda name: not name.startswith("heavy"))
    return JobQueue(systems, max_seconds=max_seconds, max_waiting=max_waiting)


def wave(seconds: float = 1.0, *, seed: int = 0, rate: int = RATE, level: float = 0.1) -> bytes:
    """A WAV of noise."""
    return wav_of(noise(2, int(seconds * rate), seed=seed, level=level), rate)


def wav_of(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def uploaded(library: SongLibrary, content: bytes, name: str = "song.wav") -> Upload:
    """An upload that arrived."""
    limits = UploadLimits(1 << 24, 1 << 24, 1, 1 << 24, 1)
    arrived = UploadStore(library.uploads_folder, limits).announce("visitor", "1", len(content))
    arrived.write(content)
    arrived.complete(name, "audio/wav")
    return arrived


def add(library: SongLibrary, content: bytes | None = None, name: str = "song.wav", *, visit: str = VISIT) -> Song:
    """A song that a visitor uploaded."""
    return library.add(uploaded(library, wave() if content is None else content, name), visit=visit)


def submit(queue: JobQueue, song: Song, request: SeparationRequest = REQUEST) -> SeparationJob:
    job = SeparationJob(song.files, request)
    queue.submit(job)
    song.job = job
    return job


def separated(queue: JobQueue, song: Song, request: SeparationRequest = REQUEST) -> SeparationJob:
    """A job that has ended."""
    job = submit(queue, song, request)
    assert queue.wait(job, PATIENCE)
    return job


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class Gate:
    """Networks that wait after some runs until they are let through.

    Args:
        n_runs: runs of the vocals' network that pass.
    """

    def __init__(self, n_runs: int = 0) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()
        self._n_left = n_runs

    def _run(self, _: int) -> None:
        self._n_left -= 1
        if self._n_left < 0:
            self.reached.set()
            assert self.opened.wait(PATIENCE)

    def load(self, name: str, stems: tuple[str, ...]) -> Predictor:
        engines = {"vocals": scaling(GAINS["vocals"], self._run)}
        return predictor_of(two_branches(engines=engines), name, stems)


def token() -> str:
    return new_token()


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
