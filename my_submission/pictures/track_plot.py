"""One track as HTML: waveform as SVG, spectrogram as an image without axes, and axes as text of the page.

The page's style sheet colours waveform and axes, so one plot serves light and dark, and its text is as large on a phone
as elsewhere.
"""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import numpy.typing as npt

from my_submission.dsp.envelope import Envelope
from my_submission.dsp.log_spectrogram import LogSpectrogram, decibels_of
from my_submission.dsp.overview import Overview
from my_submission.pictures.drawing import (
    FLOOR_SHOWN_DB,
    LOWEST_HZ,
    FrequencyAxis,
    frequency_ticks,
    hertz,
    require_matplotlib,
)
from my_submission.pictures.palettes import SPECTROGRAM_MAP
from my_submission.pictures.song import TrackView
from my_submission.pictures.wording import clock_label, clock_ticks, track_name
from terminal.names import as_html

_ROWS = 220
_LABELLED = 0.04
"""Shares of the height or width that a label needs; labels beyond the last one that fits are left out."""


def track_plot(track: TrackView, *, axis: FrequencyAxis) -> str:
    """Return the plot of a track as HTML.

    Raises:
        MdxError: matplotlib is not installed.
    """
    overview = track.overview
    what = f"Spectrogram of {track_name(track.name).lower()}: {_in_words(overview)}"
    image = base64.b64encode(spectrogram_png(overview, axis=axis)).decode()
    cutoff = "" if track.cutoff_hz is None else _cutoff(track.cutoff_hz, overview.sample_rate / 2, axis)
    return (
        f'<div class="plot">{waveform_svg(overview.envelope)}'
        f'<div class="spectrogram"><img alt="{as_html(what)}" src="data:image/png;base64,{image}">'
        f"{_frequency_labels(overview.sample_rate / 2, axis)}{cutoff}</div>"
        f'{_time_labels(overview.power.seconds)}<div class="playhead" hidden></div></div>'
    )


def waveform_svg(envelope: Envelope) -> str:
    """Return the waveform as an SVG area from the minimum to the maximum of every column, as high as its peak."""
    reach = max(float(np.abs(envelope.low).max()), float(np.abs(envelope.high).max()), 1e-4)
    width = len(envelope.high)
    over = [f"{column},{50 - 49 * value / reach:.1f}" for column, value in enumerate(envelope.high)]
    under = [f"{column},{50 - 49 * value / reach + 0.4:.1f}" for column, value in enumerate(envelope.low)]
    return (
        f'<svg class="waveform" viewBox="0 0 {max(1, width - 1)} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="{" ".join([*over, *reversed(under)])}"/></svg>'
    )


def spectrogram_png(overview: Overview, *, axis: FrequencyAxis) -> bytes:
    """Return the spectrogram without axes as a PNG of 256 colours, −80 to 0 dB; one pixel per column.

    Raises:
        MdxError: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl
    from PIL import Image

    nyquist = overview.sample_rate / 2
    power = overview.power
    is_log = axis == "log"
    decibels = power.on_log_frequencies(LOWEST_HZ, nyquist, rows=_ROWS).decibels if is_log else _on_few_rows(power)
    levels = np.clip((decibels - FLOOR_SHOWN_DB) / -FLOOR_SHOWN_DB, 0, 1)
    colours = np.asarray(mpl.colormaps[SPECTROGRAM_MAP](np.arange(256)))[:, :3]
    image = Image.fromarray((255 * levels).round().astype(np.uint8)[::-1])
    image = image.convert("P")
    image.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    png = io.BytesIO()
    image.save(png, format="png", optimize=True)
    return png.getvalue()


def gradient_css() -> str:
    """Return the spectrogram's colours as a CSS gradient from the darkest to the brightest."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    shades = [to_hex(mpl.colormaps[SPECTROGRAM_MAP](step / 16)) for step in range(17)]
    return f"linear-gradient(to right, {', '.join(shades)})"


def _on_few_rows(power: LogSpectrogram) -> npt.NDArray[np.float32]:
    """Return the mean power per row of a linear axis, in dB."""
    energy = 10 ** (power.decibels.astype(np.float64) / 10)
    starts = np.linspace(0, len(energy), _ROWS, endpoint=False).astype(np.int64)
    counts = np.diff([*starts, len(energy)])
    means = np.add.reduceat(energy, starts, axis=0) / counts[:, None]
    return decibels_of(means)


def _height_of(hz: float, nyquist: float, axis: FrequencyAxis) -> float:
    """Return the place of a frequency as a share of the axis."""
    return math.log(hz / LOWEST_HZ) / math.log(nyquist / LOWEST_HZ) if axis == "log" else hz / nyquist


def _frequency_labels(nyquist: float, axis: FrequencyAxis) -> str:
    few = frequency_ticks(axis, nyquist, are_few=True)
    labels = []
    for hz in frequency_ticks(axis, nyquist):
        height = _height_of(hz, nyquist, axis)
        if not _LABELLED < height < 1 - _LABELLED / 2:
            continue
        kind = "hz" if hz in few else "hz more"
        labels.append(f'<span class="{kind}" style="bottom: {100 * height:.2f}%" aria-hidden="true">{hertz(hz)}</span>')
    return "".join(labels)


def _time_labels(seconds: float) -> str:
    labels = []
    for index, tick in enumerate(clock_ticks(seconds, at_most=10)):
        share = tick / seconds
        place = "start" if share < _LABELLED else "end" if share > 1 - _LABELLED else "middle"
        more = " more" if index % 2 else ""
        labels.append(f'<span class="{place}{more}" style="left: {100 * share:.2f}%">{clock_label(tick)}</span>')
    return f'<div class="times" aria-hidden="true">{"".join(labels)}</div>'


def _cutoff(hz: float, nyquist: float, axis: FrequencyAxis) -> str:
    if hz >= nyquist:
        return ""
    height = _height_of(hz, nyquist, axis)
    side = "under" if height > 0.5 else "over"
    return (
        f'<div class="cutoff {side}" style="bottom: {100 * height:.2f}%">'
        f"<span>network cutoff {hz / 1000:.1f} kHz</span></div>"
    )


def _in_words(overview: Overview) -> str:
    return f"{clock_label(round(overview.power.seconds))} from left to right, {LOWEST_HZ:g} Hz to " + (
        f"{overview.sample_rate / 2000:.0f} kHz from bottom to top"
    )
