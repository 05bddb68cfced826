"""Rules of the challenges: tracks, limits, and the configuration file of a submission."""

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
