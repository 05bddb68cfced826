"""Scores folders of stems and replays published leaderboards; stands alone on numpy and soundfile.

Nothing here imports the separation library, so the organisers' own evaluator may replace this package
at grading time. Doors: ``python -m evaluator`` and :mod:`evaluator.music_demixing`.
"""

from evaluator.errors import EvaluationError
from evaluator.metrics import GlobalSdr, SiSdr, global_sdr, si_sdr

__all__ = ["EvaluationError", "GlobalSdr", "SiSdr", "global_sdr", "si_sdr"]
