"""Reading songs of any format as stereo at 44.1 kHz, and writing complete sets of stems."""

from my_submission.audio_io.decoding.decode import probe, read_blocks
from my_submission.audio_io.decoding.decoder import DEFAULT_READ_OPTIONS, AudioInfo, ReadOptions
from my_submission.audio_io.decoding.stated_length import stated_seconds
from my_submission.audio_io.mixture import Mixture, check_song, load_mixture, mixture_from_array
from my_submission.audio_io.overwrite_protection import InputFiles, OutputPlaces, refuse_own_folder
from my_submission.audio_io.playback import flac_16, read_span
from my_submission.audio_io.sample_store import DiskStore, MemoryStore, SampleStore, new_store
from my_submission.audio_io.song_names import distinct_names, folder_name, song_name
from my_submission.audio_io.songs import SongInput, find_songs
from my_submission.audio_io.statistics import MixtureStatistics
from my_submission.audio_io.writing.audio_format import WAV_16, WAV_FLOAT, AudioFormat
from my_submission.audio_io.writing.copies import convert_stems, store_to_wav
from my_submission.audio_io.writing.stem_writer import StemFolderWriter
from my_submission.audio_io.writing.tags import SongTags, read_tags
from my_submission.audio_io.writing.written_stem import StemLevels

__all__ = [
    "DEFAULT_READ_OPTIONS",
    "WAV_16",
    "WAV_FLOAT",
    "AudioFormat",
    "AudioInfo",
    "DiskStore",
    "InputFiles",
    "MemoryStore",
    "Mixture",
    "MixtureStatistics",
    "OutputPlaces",
    "ReadOptions",
    "SampleStore",
    "SongInput",
    "SongTags",
    "StemFolderWriter",
    "StemLevels",
    "check_song",
    "convert_stems",
    "distinct_names",
    "find_songs",
    "flac_16",
    "folder_name",
    "load_mixture",
    "mixture_from_array",
    "new_store",
    "probe",
    "read_blocks",
    "read_span",
    "read_tags",
    "refuse_own_folder",
    "song_name",
    "stated_seconds",
    "store_to_wav",
]
