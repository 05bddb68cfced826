"""Entry point of the 2021 challenge, which the grader runs; it also works by hand: python predict.py

It separates every <song>/mixture.wav of a folder into <song>/{bass,drums,other,vocals}.wav, 16-bit PCM, within
the time limit per song. For songs of your own use: mdx separate

Environment variables:
  TEST_DATASET_PATH                     folder of songs (default: data/test)
  RESULTS_DATASET_PATH                  folder of stems (default: data/results)
  PARTIAL_RUN_MUSIC_NAMES               names of the songs to separate (default: all)
  INFERENCE_PER_MUSIC_TIMEOUT_SECONDS   time limit per song
  INFERENCE_PER_MUSIC_TIMEOUT_FACTOR    the same, as a multiple of the song's length
  MDX_SYSTEM, MDX_DEVICE, MDX_MODELS_DIR
                                        override submission.toml, which names the system
"""

from __future__ import annotations

import sys

from terminal import early

if __name__ == "__main__":
    early.listen()  # an interruption is one line from here on, even during imports
    if {"-h", "--help"}.intersection(sys.argv[1:]):
        from terminal import streams

        streams.protect()
        print(__doc__)
        sys.exit(0)

import logging
import os
import tempfile
import time
from pathlib import Path

from evaluator.music_demixing import MusicDemixingPredictor
from my_submission.audio_io import probe
from my_submission.budget import Budget
from my_submission.challenge.building import TREE, build_predictor
from my_submission.challenge.configuration import active_configuration
from my_submission.challenge.limits import SETUP_VARIABLE, SongLimit, limit_from_environment, seconds_variable
from my_submission.challenge.song_reports import record_song
from my_submission.errors import MdxError
from my_submission.predictor import Predictor, SeparationReport, leave
from terminal import process
from terminal.lines import complain, log_to_stderr
from terminal.paths import explained_paths

try:
    from evaluator.errors import EvaluationError
except ImportError:  # the organisers' own evaluator, which has other errors

    class EvaluationError(Exception):  # type: ignore[no-redef]
        """Never raised."""


logger = logging.getLogger("predict")

GRADING_VARIABLE = "AICROWD_IS_GRADING"
"""Environment variable that the grader sets."""

SETUP_WARNING_SHARE = 0.5
"""Loading that takes more than this share of its limit causes a warning, because the grader's disk may be slower."""


class SubmissionPredictor(MusicDemixingPredictor):
    """Runs the configured system inside the challenge's limits."""

    predictor: Predictor
    limit: SongLimit
    first_began: float | None = None

    def prediction_setup(self) -> None:
        """Load the system once, before the first song.

        A grader limits this separately. Elsewhere it counts as time of the first song, which began with the process.
        """
        started = process.began()
        self.first_began = None if _has_setup_limit() else started
        configuration = active_configuration(TREE)
        self.limit = limit_from_environment(os.environ, configuration.limit)
        self.predictor = build_predictor(configuration)
        seconds = time.monotonic() - started
        allowed = seconds_variable(os.environ, SETUP_VARIABLE) or configuration.challenge_track.setup_seconds
        logger.info("%s is ready after %.1f s; %s", configuration.system, seconds, self.limit)
        if allowed is not None and seconds > SETUP_WARNING_SHARE * allowed:
            logger.warning("loading took %.1f of the %g s allowed", seconds, allowed)

    def prediction(
        self,
        mixture_file_path: str,
        bass_file_path: str,
        drums_file_path: str,
        other_file_path: str,
        vocals_file_path: str,
    ) -> None:
        """Separate one song and write every stem to its path."""
        targets = {
            "bass": Path(bass_file_path),
            "drums": Path(drums_file_path),
            "other": Path(other_file_path),
            "vocals": Path(vocals_file_path),
        }
        started, self.first_began = self.first_began or time.monotonic(), None
        budget_seconds = self.limit.planned_seconds(_duration_seconds(Path(mixture_file_path), self.limit))
        report = self._separate(Path(mixture_file_path), targets, Budget(budget_seconds, started=started))
        for note in report.notes:
            logger.info("%s: %s", mixture_file_path, note)
        for warning in report.warnings():
            logger.warning("%s: %s", mixture_file_path, warning)
        record_song(report)

    def _separate(self, mixture: Path, targets: dict[str, Path], budget: Budget) -> SeparationReport:
        """Write the stems directly if they have the default names, else through a hidden folder."""
        folder = targets["bass"].parent
        if all(path == folder / f"{source}.wav" for source, path in targets.items()):
            return self._separate_into(folder, mixture, budget)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".stems-", dir=folder) as staging:
            report = self._separate_into(Path(staging), mixture, budget)
            for source, path in targets.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                Path(report.outputs[source]).replace(path)
        return report.ended(budget)

    def _separate_into(self, folder: Path, mixture: Path, budget: Budget) -> SeparationReport:
        return self.predictor.separate_file(
            mixture, folder, budget_seconds=budget.seconds, spent_seconds=budget.elapsed(), keeps_tags=False
        )


def _has_setup_limit() -> bool:
    """Return whether loading has its own time limit, as under a grader."""
    return bool(os.environ.get(SETUP_VARIABLE) or os.environ.get(GRADING_VARIABLE))


def _duration_seconds(mixture: Path, limit: SongLimit) -> float:
    """Return the song's duration, or 0 where the limit does not depend on it."""
    if limit.duration_factor is None:
        return 0.0
    info = probe(mixture)
    if info.samples is None:
        raise MdxError("its length is unknown before decoding", where=mixture, hint="give a WAV file")
    return info.samples / info.sample_rate


def main() -> int:
    """Separate the whole test set; return 1 on a failure."""
    log_to_stderr(logging.INFO)
    try:
        with explained_paths(MdxError):
            SubmissionPredictor().run()
    except (MdxError, EvaluationError) as error:
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt as stop:
        complain(f"{process.stop_message(stop)}; completed songs are kept")
        return process.exit_code(stop)
    return 0


if __name__ == "__main__":
    process.begin()
    process.end_in_order()
    leave(main())
