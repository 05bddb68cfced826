"""Score folders of stems and compare the scores with published leaderboards.

This package imports nothing of ``my_submission``, because the organisers' own evaluator may replace it at grading.
Entry points: ``python -m evaluator`` and :mod:`evaluator.music_demixing`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time, during which an interrupt would show a traceback
    from typing import Any

    from evaluator.errors import EvaluationError
    from evaluator.fitting import EstimateOptions
    from evaluator.metrics import GlobalSdr, SiSdr, global_sdr, si_sdr

__all__ = ["EstimateOptions", "EvaluationError", "GlobalSdr", "SiSdr", "global_sdr", "si_sdr"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evaluator import errors, fitting, metrics

    return getattr({"EvaluationError": errors, "EstimateOptions": fitting}.get(name, metrics), name)
