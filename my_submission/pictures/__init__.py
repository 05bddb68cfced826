"""Pictures of songs and stems: waveforms, spectrograms, level reports, and one page per song."""

from my_submission.pictures.drawing import AXES, FrequencyAxis, draw_track, require_matplotlib
from my_submission.pictures.palettes import colour_of
from my_submission.pictures.song import SongView, TrackView, view_song
from my_submission.pictures.song_page import write_pictures

__all__ = [
    "AXES",
    "FrequencyAxis",
    "SongView",
    "TrackView",
    "colour_of",
    "draw_track",
    "require_matplotlib",
    "view_song",
    "write_pictures",
]
