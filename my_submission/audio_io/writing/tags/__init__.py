"""Tags of a song: read from any file, and written into stems in each format's usual way."""

from my_submission.audio_io.writing.tags.reading import read_tags
from my_submission.audio_io.writing.tags.song_tags import Cover, SongTags

__all__ = ["Cover", "SongTags", "read_tags"]
