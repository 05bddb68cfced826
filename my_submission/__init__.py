"""Music demixing inside a time limit.

import my_submission as mdx

separator = mdx.load()                                       # or mdx.load("kuielab-a"), ...
stems = separator.separate(mixture, sample_rate=44_100)     # {"bass": float32 (2, samples), …}
report = separator.separate_file("song.flac", "out/song")
"""

from __future__ import annotations

from my_submission.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time in which a signal ends a command in a traceback
    from typing import Any

    from my_submission.audio_io import AudioFormat
    from my_submission.predictor import Predictor, SeparationReport, load

__all__ = ["AudioFormat", "Predictor", "SeparationReport", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the predictor when it is first asked for: importing the package stays fast and silent."""
    if name in {"Predictor", "SeparationReport", "load"}:
        from my_submission import predictor

        return getattr(predictor, name)
    if name == "AudioFormat":
        from my_submission import audio_io

        return audio_io.AudioFormat
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
