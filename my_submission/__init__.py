"""Music demixing inside a time limit."""

from my_submission.version import __version__

__all__ = ["__version__"]
