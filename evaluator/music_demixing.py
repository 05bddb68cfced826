"""Entry point of the 2021 challenge: a predictor class that runs over a folder of songs under the challenge's limits.

Input is ``<test>/<song>/mixture.wav``, output ``<results>/<song>/{bass,drums,other,vocals}.wav``. Reference stems, if
available, are beside the mixture. At grading the organisers' own file of the same name replaces this one.

| environment variable | meaning | default |
|---|---|---|
| TEST_DATASET_PATH | folder of songs | ``./data/test/`` |
| RESULTS_DATASET_PATH | folder for the stems | ``./data/results/`` |
| INFERENCE_SETUP_TIMEOUT_SECONDS | limit of ``prediction_setup`` | 900 |
| INFERENCE_PER_MUSIC_TIMEOUT_SECONDS | limit of one ``prediction`` | 240 |
| INFERENCE_PER_MUSIC_TIMEOUT_FACTOR | limit as a multiple of the song's duration (round two: 1.57); overrides | unset |
| PARTIAL_RUN_MUSIC_NAMES | comma-separated songs to run | all |
| AICROWD_IS_GRADING, PREDICTIONS_OUTPUT_PATH | set by the grader: report progress; folder for the stems | unset |
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

from evaluator.errors import DatasetError, EvaluationError, SongsFailedError
from evaluator.metrics import GlobalSdr
from evaluator.time_limit import time_limit
from terminal.lines import say
from terminal.names import system_name

SOURCES = ("bass", "drums", "other", "vocals")
"""The stems of the challenge, in the order of its scorer."""

SETUP_TIMEOUT_SECONDS = 900.0
PER_MUSIC_TIMEOUT_SECONDS = 240.0
"""The challenge's limits: 15 minutes to load, four minutes per song."""

_BLOCK_SAMPLES = 1 << 18
"""Samples read at once while scoring, about 6 s at 44.1 kHz."""

log = logging.getLogger(__name__)


class MusicDemixingPredictor:
    """Base class of a 2021 submission: override ``prediction_setup`` and ``prediction``, then call ``run``.

    Args:
        model_name: a subfolder of the results folder; none by default.

    Attributes:
        results_data_path: folder for the stems, with ``model_name`` appended.
        inference_setup_timeout: limit of ``prediction_setup`` in seconds.
        inference_per_music_timeout: limit of one ``prediction`` in seconds.
        inference_per_music_timeout_factor: the same as a multiple of the song's duration, or None.
    """

    def __init__(self, model_name: str | None = None) -> None:
        here = Path.cwd()
        results = Path(os.getenv("RESULTS_DATASET_PATH", here / "data" / "results"))
        if _is_grading() and os.getenv("PREDICTIONS_OUTPUT_PATH"):
            results = Path(os.environ["PREDICTIONS_OUTPUT_PATH"])
        self.model_name = model_name
        self.test_data_path = Path(os.getenv("TEST_DATASET_PATH", here / "data" / "test"))
        self.results_data_path = results / model_name if model_name else results
        self.partial_run = os.getenv("PARTIAL_RUN_MUSIC_NAMES") or None
        self.inference_setup_timeout = _seconds("INFERENCE_SETUP_TIMEOUT_SECONDS", SETUP_TIMEOUT_SECONDS)
        self.inference_per_music_timeout = _seconds("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS", PER_MUSIC_TIMEOUT_SECONDS)
        factor = os.getenv("INFERENCE_PER_MUSIC_TIMEOUT_FACTOR")
        self.inference_per_music_timeout_factor = (
            _seconds("INFERENCE_PER_MUSIC_TIMEOUT_FACTOR", 0.0) if factor else None
        )

    def prediction_setup(self) -> None:
        """Load the models; called once, within ``inference_setup_timeout`` seconds."""
        raise NotImplementedError("a submission must define prediction_setup")

    def prediction(
        self,
        mixture_file_path: str,
        bass_file_path: str,
        drums_file_path: str,
        other_file_path: str,
        vocals_file_path: str,
    ) -> None:
        """Separate one song: read the first path, write the four others."""
        raise NotImplementedError("a submission must define prediction")

    def get_all_music_names(self) -> list[str]:
        """Return the songs to run: every folder with a mixture, sorted, or those of PARTIAL_RUN_MUSIC_NAMES.

        Raises:
            DatasetError: the folder does not exist or has no songs, or a requested song is missing.
        """
        if not self.test_data_path.is_dir():
            raise DatasetError("no such folder of songs", where=self.test_data_path, hint="set TEST_DATASET_PATH")
        found = sorted(path.parent.name for path in self.test_data_path.glob("*/mixture.wav"))
        if not found:
            hint = "put each song into its own folder, as <song>/mixture.wav"
            raise DatasetError("no songs here", where=self.test_data_path, hint=hint)
        if self.partial_run is None:
            return found
        asked = [name.strip() for name in self.partial_run.split(",") if name.strip()]
        absent = [name for name in asked if name not in found]
        if absent:
            problem = f"has no song {', '.join(absent)}, which PARTIAL_RUN_MUSIC_NAMES asks for"
            raise DatasetError(problem, where=self.test_data_path)
        return asked

    def get_music_file_location(self, music_name: str, instrument: str | None = None) -> str:
        """Return the path of a song's mixture, or of its stem ``instrument``, whose folder is created."""
        if instrument is None:
            return str(self.test_data_path / music_name / "mixture.wav")
        folder = self.results_data_path / music_name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder / f"{instrument}.wav")

    def run(self) -> None:
        """Set up, separate every song and check that its stems exist; a failed song does not stop the others.

        Raises:
            TimeLimitError: setup took too long.
            DatasetError: there are no songs.
            SongsFailedError: at the end, if at least one song failed.
        """
        names = self.get_all_music_names()
        _tell_grader("execution_started", songs=len(names))
        failures: dict[str, str] = {}
        try:
            with time_limit(self.inference_setup_timeout, what="prediction_setup"):
                self.prediction_setup()
            for index, name in enumerate(names):
                reason = self._predict_one(name)
                if reason is not None:
                    failures[name] = reason
                    log.error("%s failed: %s", name, reason)
                _tell_grader("execution_progress", song=name, done=index + 1, songs=len(names))
            if failures:
                raise SongsFailedError(failures, n_done=len(names) - len(failures))
        except Exception as error:
            _tell_grader("execution_error", reason=str(error))
            raise
        _tell_grader("execution_success", songs=len(names))

    def verify_results(self, music_name: str) -> None:
        """Check that a song's four stems exist.

        Raises:
            DatasetError: at least one is missing.
        """
        absent = [source for source in SOURCES if not self._stem_path(music_name, source).is_file()]
        if absent:
            problem = f"no {', '.join(absent)} written for {music_name}"
            raise DatasetError(problem, where=self.results_data_path / music_name)

    def scoring(self) -> dict[str, dict[str, float]]:
        """Print and return the challenge's SDR of every song that has reference stems beside its mixture.

        Returns:
            Song to ``{"bass": dB, …, "song": mean of the four}``; songs without references are skipped.

        Raises:
            EvaluationError: a stem is missing or differs in shape from its reference.
        """
        scores: dict[str, dict[str, float]] = {}
        for name in self.get_all_music_names():
            if not all((self.test_data_path / name / f"{source}.wav").is_file() for source in SOURCES):
                say(f"{name}: no reference stems beside the mixture, not scored")
                continue
            self.verify_results(name)
            by_source = {
                source: _file_sdr(self.test_data_path / name / f"{source}.wav", self._stem_path(name, source))
                for source in SOURCES
            }
            scores[name] = {**by_source, "song": sum(by_source.values()) / len(SOURCES)}
            say(f"{name}: {_sdr_line(scores[name])}")
        if scores:
            columns = (*SOURCES, "song")
            mean = {key: sum(song[key] for song in scores.values()) / len(scores) for key in columns}
            say(f"mean of {len(scores)} songs (global SDR): {_sdr_line(mean)}")
        return scores

    def _stem_path(self, music_name: str, source: str) -> Path:
        return self.results_data_path / music_name / f"{source}.wav"

    def _song_limit(self, music_name: str) -> float:
        if self.inference_per_music_timeout_factor is None:
            return self.inference_per_music_timeout
        info = soundfile.info(system_name(self.get_music_file_location(music_name)))
        return float(self.inference_per_music_timeout_factor * info.frames / info.samplerate)

    def _predict_one(self, name: str) -> str | None:
        """Separate one song and return why it failed, or None."""
        started = time.monotonic()
        try:
            paths = {f"{source}_file_path": self.get_music_file_location(name, source) for source in SOURCES}
            with time_limit(self._song_limit(name), what=f"song {name}"):
                self.prediction(mixture_file_path=self.get_music_file_location(name), **paths)
            self.verify_results(name)
        except Exception as error:  # any error of a submission fails this song only
            if not isinstance(error, EvaluationError):
                log.debug("traceback of %s", name, exc_info=True)
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        log.info("%s: %.1f s", name, time.monotonic() - started)
        return None


def _is_grading() -> bool:
    return os.getenv("AICROWD_IS_GRADING", "").strip().lower() not in ("", "0", "false", "no")


def _seconds(variable: str, default: float) -> float:
    text = os.getenv(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise EvaluationError(f"{variable}={text!r} is not a number") from error
    if not 0 < value < float("inf"):
        raise EvaluationError(f"{variable}={text!r} is not a positive number")
    return value


def _tell_grader(message: str, **payload: Any) -> None:
    """Report to the organisers' client, if this is a grading run and the client is installed."""
    if not _is_grading():
        return
    try:
        events: Callable[[], Any] = importlib.import_module("aicrowd_api.events").AIcrowdEvents
    except ModuleNotFoundError:
        log.debug("the organisers' client is not installed: %s %s", message, payload)
        return
    client = events()
    kind = client.AICROWD_EVENT_ERROR if message == "execution_error" else client.AICROWD_EVENT_INFO
    client.register_event(event_type=kind, message=message, payload=payload)


def _file_sdr(reference_path: Path, estimate_path: Path) -> float:
    """Return the global SDR of two files, read block by block; DatasetError if their shapes differ."""
    score = GlobalSdr()
    true_name, name = system_name(reference_path), system_name(estimate_path)
    with soundfile.SoundFile(true_name) as reference, soundfile.SoundFile(name) as estimate:
        found, expected = ((file.frames, file.channels, file.samplerate) for file in (estimate, reference))
        if found != expected:
            problem = f"(samples, channels, Hz) is {found}, the reference's is {expected}"
            raise DatasetError(problem, where=estimate_path)
        for _ in range(0, reference.frames, _BLOCK_SAMPLES):
            score.add(*(file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True) for file in (reference, estimate)))
    return score.decibels


def _sdr_line(scores: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
