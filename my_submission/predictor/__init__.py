"""The predictor: a file or a waveform in, stems out, inside a time budget."""

from my_submission.predictor.core import Predictor
from my_submission.predictor.loading import load
from my_submission.predictor.report import PartReport, SeparationReport
from my_submission.predictor.worker import leave

__all__ = ["PartReport", "Predictor", "SeparationReport", "leave", "load"]
