"""Panels that the help of several commands groups options in."""

from __future__ import annotations

from typing import Final

OUTPUT: Final = "Output"
TIME: Final = "Time"
HARDWARE: Final = "Hardware"
NETWORK: Final = "Your own network, and public ones"
EXPERT: Final = "Expert"
GENERAL: Final = "General"
