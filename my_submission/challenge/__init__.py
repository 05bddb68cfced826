"""What the challenges demand: tracks, limits, the submission's one configuration file, and what follows from it."""

from my_submission.challenge.configuration import (
    CONFIGURATION_NAME,
    SubmissionConfiguration,
    active_configuration,
    read_configuration,
)
from my_submission.challenge.limits import SongLimit, limit_from_environment
from my_submission.challenge.tracks import TRACKS, Track, find_track

__all__ = [
    "CONFIGURATION_NAME",
    "TRACKS",
    "SongLimit",
    "SubmissionConfiguration",
    "Track",
    "active_configuration",
    "find_track",
    "limit_from_environment",
    "read_configuration",
]
