"""Audio for the players of a page: embedded Opus of a bit rate that fits, or none."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from my_submission.audio_io.writing.listening_copies import MEDIA_TYPE, has_listening_copies, listening_copy
from my_submission.pictures.song import SongView, TrackView, blocks_of

BITRATES = (48, 32)
"""Bit rates in kbit/s, best first. A page of 3 minutes and four stems has 9 MB at 48."""

MAX_EMBEDDED_BYTES = 16 << 20
"""Largest total of the embedded players, as text of the page: a page that mail programs and phones still open."""

_BASE64 = 4 / 3
_MARGIN = 1.1
"""The encoder's bit rate varies, and a container adds some percent."""


@dataclass(frozen=True)
class Players:
    """Audio of a page.

    Attributes:
        addresses: track to a ``data:`` address of its audio; empty if there are none.
        remark: a sentence about their quality, or why there are none.
    """

    addresses: Mapping[str, str]
    remark: str


def players_of(view: SongView) -> Players:
    """Encode every track of a song for the players of a page.

    Raises:
        InputError: a file cannot be read.
    """
    whole = view.tracks[0].overview
    seconds = len(view.tracks) * whole.samples / whole.sample_rate
    fitting = [rate for rate in BITRATES if embedded_bytes(seconds, rate) <= MAX_EMBEDDED_BYTES]
    beside = "the players use the files beside this page"
    if not fitting:
        limit = f"{MAX_EMBEDDED_BYTES >> 20} MB"
        return Players({}, f"The audio would make this page larger than {limit}: {beside}.")
    if not has_listening_copies():
        return Players({}, f"This computer had no Opus encoder (pip install av): {beside}.")
    addresses = {track.name: _address(track, fitting[0]) for track in view.tracks}
    return Players(
        addresses, f"The players contain small copies (Opus, {fitting[0]} kbit/s); the files have the full quality."
    )


def embedded_bytes(seconds: float, bitrate: int) -> float:
    """Return the expected size in bytes of audio of this length in a page, at a bit rate in kbit/s."""
    return seconds * bitrate * 125 * _BASE64 * _MARGIN


def _address(track: TrackView, bitrate: int) -> str:
    copy = listening_copy(blocks_of(track), track.overview.sample_rate, bitrate=bitrate)
    return f"data:{MEDIA_TYPE};base64,{base64.b64encode(copy).decode()}"
