"""Scores folders of stems and replays published leaderboards; stands alone on numpy and soundfile.

Nothing here imports the separation library, so the organisers' own evaluator may replace this package
at grading time. Doors: ``python -m evaluator`` and :mod:`evaluator.music_demixing`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time in which a signal ends a command in a traceback
    from typing import Any

    from evaluator.errors import EvaluationError
    from evaluator.fitting import EstimateOptions
    from evaluator.metrics import GlobalSdr, SiSdr, global_sdr, si_sdr

__all__ = ["EstimateOptions", "EvaluationError", "GlobalSdr", "SiSdr", "global_sdr", "si_sdr"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: importing the package stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evaluator import errors, fitting, metrics

    return getattr({"EvaluationError": errors, "EstimateOptions": fitting}.get(name, metrics), name)
