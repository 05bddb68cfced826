"""Draws one track as a PNG, waveform above spectrogram. Needs matplotlib."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from my_submission.dsp.log_spectrogram import FLOOR_DB
from my_submission.dsp.overview import Overview
from my_submission.errors import MdxError
from my_submission.pictures.look import CUTOFF, INK, LINE, PAPER, SOFT, SPECTROGRAM_MAP
from terminal.extras import command_for
from terminal.names import shown

FrequencyAxis = Literal["log", "linear"]
AXES: tuple[FrequencyAxis, ...] = get_args(FrequencyAxis)

PLOT_LEFT, PLOT_RIGHT = 0.058, 0.945
"""Start and end of the time axis as shares of the picture's width; the page's playhead uses them."""

LOWEST_HZ = 30.0
"""Lower end of the logarithmic axis; the lowest string of a double bass has 41 Hz."""

_LOG_TICKS_HZ = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
_LINEAR_TICKS_HZ = tuple(range(0, 96_001, 5_000))

_ROWS = 400
_INCHES = (12.0, 3.5)
_DOTS_PER_INCH = 110

_drawing = threading.Lock()
"""Matplotlib's font cache is shared by all figures and is not thread-safe."""


def require_matplotlib() -> None:
    """Raise MdxError if a library of pictures is not installed; called before any work begins."""
    missing = [library for library in ("matplotlib", "scipy") if find_spec(library) is None]
    if missing:
        raise MdxError(f"pictures need {' and '.join(missing)}", hint=f"run {command_for('matplotlib')}")


def draw_track(
    overview: Overview, *, title: str = "", colour: str, cutoff_hz: float | None = None, axis: FrequencyAxis = "log"
) -> bytes:
    """Draw a track and return a PNG of 1320 × 385 pixels.

    Args:
        title: text above the picture; without it the plots are taller.
        cutoff_hz: frequency above which the network outputs nothing, drawn as a line.

    Raises:
        MdxError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _drawing, rc_context({"text.parse_math": False}):  # names may contain dollar signs
        figure = Figure(figsize=_INCHES, facecolor=PAPER)
        FigureCanvasAgg(figure)
        grid = {"height_ratios": (1, 2.3), "hspace": 0.08, "left": PLOT_LEFT, "right": PLOT_RIGHT}
        wave, spectrum = figure.subplots(
            2, 1, sharex=True, gridspec_kw=grid | {"top": 0.9 if title else 0.97, "bottom": 0.12}
        )
        figure.text(PLOT_LEFT, 0.93, shown(title), fontsize=11, fontweight="bold", color=INK)
        _draw_waveform(wave, overview, colour)
        image = _draw_spectrogram(spectrum, overview, axis, cutoff_hz)
        _draw_scale(figure, spectrum, image)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=_DOTS_PER_INCH)
    return picture.getvalue()


def _draw_waveform(axes: Any, overview: Overview, colour: str) -> None:
    seconds = overview.power.seconds
    envelope = overview.envelope
    times = (np.arange(len(envelope.low)) + 0.5) * seconds / len(envelope.low)
    axes.fill_between(times, envelope.low, envelope.high, color=colour, linewidth=0.4)
    reach = max(1.0, overview.peak)
    axes.set(xlim=(0, seconds), ylim=(-reach, reach), yticks=(-1, 0, 1))
    axes.axhline(0, color=LINE, linewidth=0.6, zorder=0)
    axes.tick_params(bottom=False, labelbottom=False)
    _plain(axes)


def _draw_spectrogram(axes: Any, overview: Overview, axis: FrequencyAxis, cutoff_hz: float | None) -> Any:
    nyquist = overview.sample_rate / 2
    power = overview.power
    mapped = power.on_log_frequencies(LOWEST_HZ, nyquist, rows=_ROWS) if axis == "log" else power
    low, high = (np.log10(LOWEST_HZ), np.log10(nyquist)) if axis == "log" else (0.0, nyquist)
    image = axes.imshow(
        mapped.decibels,
        origin="lower",
        aspect="auto",
        extent=(0, power.seconds, low, high),
        cmap=SPECTROGRAM_MAP,
        vmin=FLOOR_DB,
        vmax=0,
        interpolation="antialiased",
    )
    ticks = _LOG_TICKS_HZ if axis == "log" else _LINEAR_TICKS_HZ
    shown_ticks = [hz for hz in ticks if hz <= nyquist]
    axes.set_yticks([np.log10(hz) if axis == "log" else hz for hz in shown_ticks], [_hertz(hz) for hz in shown_ticks])
    axes.set_ylabel("Hz", color=SOFT, fontsize=8, labelpad=1)
    axes.set_xlabel("s", color=SOFT, fontsize=8, labelpad=0)
    if cutoff_hz is not None and cutoff_hz < nyquist:
        height = np.log10(cutoff_hz) if axis == "log" else cutoff_hz
        axes.axhline(height, color=CUTOFF, linewidth=1.1, linestyle=(0, (6, 4)))
        axes.annotate(
            f"network cutoff {cutoff_hz / 1000:.1f} kHz",
            (0.995, height),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color=CUTOFF,
        )
    _plain(axes)
    return image


def _draw_scale(figure: Any, spectrum: Any, image: Any) -> None:
    box = spectrum.get_position()
    bar = figure.colorbar(image, cax=figure.add_axes((PLOT_RIGHT + 0.008, box.y0, 0.008, box.height)))
    bar.set_ticks([0, -30, -60, -90, -120])
    bar.ax.tick_params(labelsize=7, labelcolor=SOFT, length=2, color=LINE)
    bar.outline.set_visible(False)
    bar.ax.set_title("dB", fontsize=7, color=SOFT, pad=4)


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=8, labelcolor=SOFT, color=LINE, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _hertz(hz: float) -> str:
    return f"{hz / 1000:g} k" if hz >= 1000 else f"{hz:g}"
