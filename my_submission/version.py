"""The version of this package; no other file defines it."""

__version__ = "0.2.0"
