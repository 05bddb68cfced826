"""A separation as HTML for notebooks: a picture of the waveform and a player for every stem."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from my_submission.audio_io.writing.listening_copies import MEDIA_TYPE, has_listening_copies, listening_copy
from my_submission.dsp.envelope import Envelope, EnvelopeAccumulator
from my_submission.stems import Waveform
from terminal.names import as_html

COLUMNS = 400
"""Columns of a waveform."""

PLAYER_SECONDS = 60.0
"""Longest part of a stem in a player, from its start."""

PLAYER_BITRATE = 64
"""Bit rate of the players' copies, in kbit/s: a minute of a stem takes 0.6 MB in the notebook."""


def stems_html(stems: Mapping[str, Any], sample_rate: int, *, title: str) -> str:
    """Return a table of stems as HTML: name, waveform, player.

    The players contain copies (Opus) of the first minute. Without an Opus encoder the table has no players.

    Args:
        stems: name to float (channels, samples), arrays or tensors on the CPU.
        sample_rate: sample rate in Hz.
        title: the line above the table.
    """
    rows = "".join(_row(name, np.asarray(wave, np.float32), sample_rate) for name, wave in stems.items())
    return f"<p>{as_html(title)}</p><table>{rows}</table>"


def _row(name: str, wave: Waveform, sample_rate: int) -> str:
    return (
        f'<tr><th style="text-align:left">{as_html(name)}</th>'
        f"<td>{_picture(name, wave)}</td><td>{_player(wave, sample_rate)}</td></tr>"
    )


def _picture(name: str, wave: Waveform) -> str:
    samples = wave.shape[1]
    if not samples:
        return ""
    meter = EnvelopeAccumulator(samples, columns=COLUMNS)
    meter.push(wave)
    points = _outline(meter.result())
    return (
        f'<svg role="img" aria-label="Waveform of {as_html(name)}" viewBox="0 -1 {COLUMNS} 2" width="{COLUMNS}" '
        f'height="48" preserveAspectRatio="none" style="max-width:100%"><path d="M{points}Z" fill="#1f6f8b"/></svg>'
    )


def _outline(envelope: Envelope) -> str:
    """Return the area between minimum and maximum; full scale is the height of the picture."""
    high, low = (np.clip(np.nan_to_num(each), -1, 1) for each in (envelope.high, envelope.low))
    step = COLUMNS / max(1, len(high))
    over = [f"{column * step:.1f} {-value - 0.01:.3f}" for column, value in enumerate(high)]
    under = [f"{column * step:.1f} {-value + 0.01:.3f}" for column, value in enumerate(low)]
    return "L".join([*over, *reversed(under)])


def _player(wave: Waveform, sample_rate: int) -> str:
    if not has_listening_copies():
        return "no player: this computer has no Opus encoder"
    part = wave[:, : int(PLAYER_SECONDS * sample_rate)]
    copy = listening_copy([part], sample_rate, bitrate=PLAYER_BITRATE)
    address = f"data:{MEDIA_TYPE};base64,{base64.b64encode(copy).decode()}"
    return f'<audio controls preload="none" src="{address}"></audio>'
