"""The predictor: an audio file or a waveform in, stems out, within a time budget."""

from my_submission.predictor.core import Predictor
from my_submission.predictor.loading import load
from my_submission.predictor.separation_record import RecordRequest
from my_submission.predictor.separator import Separation, Separator, separate
from my_submission.predictor.time_limit import time_limit_seconds
from my_submission.predictor.worker import leave
from my_submission.reports import SeparationReport, StageReport

__all__ = [
    "Predictor",
    "RecordRequest",
    "Separation",
    "SeparationReport",
    "Separator",
    "StageReport",
    "leave",
    "load",
    "separate",
    "time_limit_seconds",
]
