"""Comparison of the length that a file's structure states with the content of the file.

libsndfile and FFmpeg silently shorten files whose end is missing, whose header has too small a size, or that contain
several recordings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from my_submission.audio_io.decoding.chunks import chunk_facts
from my_submission.audio_io.decoding.container_ends import cut_container
from my_submission.audio_io.decoding.file_facts import FileFacts
from my_submission.audio_io.decoding.flac_frames import flac_facts
from my_submission.audio_io.decoding.mpeg_frames import mpeg_facts
from my_submission.audio_io.decoding.ogg_pages import ogg_facts

NO_FACTS = FileFacts()


def file_facts(file: BinaryIO) -> FileFacts:
    """Return facts of an open file, or of the first of several joined ones, without decoding."""
    for look in (chunk_facts, ogg_facts, flac_facts, mpeg_facts):
        facts = look(file)
        if facts != NO_FACTS:
            return facts
    missing = cut_container(file)
    return NO_FACTS if missing is None else replace(NO_FACTS, missing=missing)
