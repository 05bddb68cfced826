"""Music demixing (source separation) within a time limit.

    import my_submission as mdx

    separation = mdx.separate("song.mp3")                  # files in stems/song/, as `mdx separate song.mp3` makes them
    separation.paths["vocals"]                             # Path
    separation.stems["vocals"]                             # float32 (2, samples) at separation.sample_rate

    separator = mdx.Separator("starter-plus", stems=["vocals", "instrumental"])     # loaded once, for many songs
    separation = separator.separate(samples, sample_rate=44_100)                    # array or tensor in, the same out

Names are imported when they are first used, so that importing the package is fast.
"""

from __future__ import annotations

from my_submission.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time, during which an interrupt would show a traceback
    from typing import Any

    from my_submission.audio_io import AudioFormat, ReadOptions
    from my_submission.errors import MdxError
    from my_submission.predictor import Predictor, Separation, SeparationReport, Separator, load, separate
    from my_submission.progress import Progress
    from my_submission.systems import NetworkOptions, OwnNetwork

__all__ = [
    "AudioFormat",
    "MdxError",
    "NetworkOptions",
    "OwnNetwork",
    "Predictor",
    "Progress",
    "ReadOptions",
    "Separation",
    "SeparationReport",
    "Separator",
    "__version__",
    "load",
    "separate",
]

_MODULES = {
    "AudioFormat": "my_submission.audio_io",
    "MdxError": "my_submission.errors",
    "NetworkOptions": "my_submission.systems",
    "OwnNetwork": "my_submission.systems",
    "Progress": "my_submission.progress",
    "ReadOptions": "my_submission.audio_io",
}
"""Public name to its module; all others are in ``my_submission.predictor``."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_MODULES.get(name, "my_submission.predictor")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return all public names, so that completion shows them before they are imported."""
    return sorted({*globals(), *__all__})
