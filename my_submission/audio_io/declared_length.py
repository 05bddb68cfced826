"""What a file's structure promises, against what the file holds.

libsndfile and FFmpeg shorten files silently when their end is missing, when a size in a header is too small, or when
another recording follows the first one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from my_submission.audio_io.chunks import chunk_facts
from my_submission.audio_io.container_ends import cut_container
from my_submission.audio_io.file_facts import FileFacts
from my_submission.audio_io.flac_frames import flac_facts
from my_submission.audio_io.mpeg_frames import mpeg_facts
from my_submission.audio_io.ogg_pages import ogg_facts

NO_FACTS = FileFacts()


def file_facts(file: BinaryIO) -> FileFacts:
    """Facts of an open file, or of the first of several that were joined; nothing is decoded."""
    for look in (chunk_facts, ogg_facts, flac_facts, mpeg_facts):
        facts = look(file)
        if facts != NO_FACTS:
            return facts
    missing = cut_container(file)
    return NO_FACTS if missing is None else replace(NO_FACTS, missing=missing)
