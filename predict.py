"""The 2021 door: what the Music Demixing Challenge's grader runs, and a smoke test on a desk.

``python predict.py`` separates every ``<song>/mixture.wav`` of TEST_DATASET_PATH (``data/test``) into
``RESULTS_DATASET_PATH/<song>/{bass,drums,other,vocals}.wav`` (``data/results``), 16-bit PCM, inside the time limit a
song. MDX_SYSTEM chooses the system (``starter``), MDX_DEVICE the device (``auto``), MDX_MODELS_DIR the weights.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import soundfile

from evaluator.music_demixing import MusicDemixingPredictor
from my_submission.errors import MdxError
from my_submission.predictor import Predictor, load

try:
    from evaluator.errors import EvaluationError
except ImportError:  # the organisers' own evaluator is in place and raises what it likes

    class EvaluationError(Exception):  # type: ignore[no-redef]
        """Never raised."""


logger = logging.getLogger(__name__)

SAFETY_SHARE = 0.95
"""The grader's clock also counts what lies around the call, so this share of the limit is planned with."""


DEFAULT_SONG_SECONDS = 240.0
"""Four minutes a song, as in the 2021 kit."""


class SubmissionPredictor(MusicDemixingPredictor):
    """Runs the chosen system inside the challenge's limits."""

    predictor: Predictor

    def prediction_setup(self) -> None:
        """Open the weights once, before the first song."""
        self.predictor = load(
            os.environ.get("MDX_SYSTEM", "starter"),
            models_dir=os.environ.get("MDX_MODELS_DIR"),
            device=os.environ.get("MDX_DEVICE", "auto"),
        )

    def prediction(
        self,
        mixture_file_path: str,
        bass_file_path: str,
        drums_file_path: str,
        other_file_path: str,
        vocals_file_path: str,
    ) -> None:
        """Separate one song and put every stem where the challenge wants it."""
        targets = {
            "bass": Path(bass_file_path),
            "drums": Path(drums_file_path),
            "other": Path(other_file_path),
            "vocals": Path(vocals_file_path),
        }
        folder = targets["bass"].parent
        budget_seconds = SAFETY_SHARE * song_limit_seconds(mixture_file_path)
        if all(path == folder / f"{source}.wav" for source, path in targets.items()):
            report = self.predictor.separate_file(mixture_file_path, folder, budget_seconds=budget_seconds)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".stems-", dir=folder) as staging:
                report = self.predictor.separate_file(mixture_file_path, staging, budget_seconds=budget_seconds)
                for source, path in targets.items():
                    Path(report.outputs[source]).replace(path)
        for note in report.notes:
            logger.info("%s: %s", mixture_file_path, note)


def song_limit_seconds(mixture_file_path: str) -> float:
    """The challenge's limit for one song: seconds (240), or a multiple of its length where the factor is set."""
    factor = os.environ.get("INFERENCE_PER_MUSIC_TIMEOUT_FACTOR")
    if factor:
        info = soundfile.info(mixture_file_path)
        return float(float(factor) * info.frames / info.samplerate)
    return float(os.environ.get("INFERENCE_PER_MUSIC_TIMEOUT_SECONDS") or DEFAULT_SONG_SECONDS)


def main() -> int:
    """Run the whole test set; 1 when something failed."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        SubmissionPredictor().run()
    except (MdxError, EvaluationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
