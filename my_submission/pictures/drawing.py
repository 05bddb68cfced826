"""Draws one track as a PNG, waveform above spectrogram. Needs matplotlib."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from my_submission.dsp.overview import Overview
from my_submission.errors import MdxError
from my_submission.pictures.palettes import CUTOFF, PALETTES, SPECTROGRAM_MAP, THEMES, Palette, Theme
from my_submission.pictures.wording import clock_label, clock_ticks
from terminal.extras import command_for
from terminal.names import shown

FrequencyAxis = Literal["log", "linear"]
AXES: tuple[FrequencyAxis, ...] = get_args(FrequencyAxis)

DEFAULT_WIDTH = 1320
"""Width in pixels of the pictures beside the stems."""

FLOOR_SHOWN_DB = -80.0
"""Darkest level of a spectrogram; anything below is inaudible beside the music."""

_LEFT, _RIGHT, _NARROW_LEFT, _NARROW_RIGHT = 62, 58, 40, 52
_NARROW = 700
"""Width in pixels below which margins are smaller and the axes have fewer labels."""


def plot_edges(width: int, scale: float = 1.0) -> tuple[float, float]:
    """Return start and end of the time axis of a picture as shares of its width."""
    is_narrow = width < _NARROW * scale
    left, right = (_NARROW_LEFT, _NARROW_RIGHT) if is_narrow else (_LEFT, _RIGHT)
    return left * scale / width, 1 - right * scale / width


PLOT_LEFT, PLOT_RIGHT = plot_edges(DEFAULT_WIDTH)
"""Start and end of the time axis of a picture of the default width; the page's playhead uses them."""

LOWEST_HZ = 30.0
"""Lower end of the logarithmic axis; the lowest string of a double bass has 41 Hz."""

_TICKS_HZ: dict[FrequencyAxis, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "log": ((100, 1_000, 10_000), (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)),
    "linear": (tuple(range(0, 96_001, 10_000)), tuple(range(0, 96_001, 5_000))),
}
"""Labels of the frequency axis: few, and as many as a wide picture has room for."""

_ROWS = 400
_DOTS_PER_INCH = 100
_HEIGHT, _SPECTRUM_HEIGHT, _NARROW_SPECTRUM_HEIGHT = 385, 230, 170
_TOP, _TITLE_TOP, _BOTTOM, _NARROW_BOTTOM = 12, 38, 44, 26
_WIDTHS = (200, 4_000)
_SCALES = (0.5, 4.0)

_drawing = threading.Lock()
"""Matplotlib's font cache is shared by all figures and is not thread-safe."""


def require_matplotlib() -> None:
    """Raise MdxError if a library of pictures is not installed; called before any work begins."""
    missing = [library for library in ("matplotlib", "scipy") if find_spec(library) is None]
    if missing:
        raise MdxError(f"pictures need {' and '.join(missing)}", hint=f"run {command_for('matplotlib')}")


@dataclass(frozen=True)
class PictureStyle:
    """The look of a picture.

    Attributes:
        theme: "light" or "dark".
        width: in pixels, 200 to 4000.
        scale: pixels of the screen per CSS pixel, 0.5 to 4: texts, lines and height grow with it, the width does not.
        has_waveform: whether the waveform is drawn above the spectrogram.
        has_axes: whether labels and the scale of levels are drawn around it; without any text the plot fills the
            picture, so that it can be stretched along the time of a page.

    Raises:
        ValueError: a value is out of range.
    """

    theme: Theme = "light"
    width: int = DEFAULT_WIDTH
    scale: float = 1.0
    has_waveform: bool = True
    has_axes: bool = True

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise ValueError(f"theme {self.theme!r} is not one of {', '.join(THEMES)}")
        if not _WIDTHS[0] <= self.width <= _WIDTHS[1]:
            raise ValueError(f"width={self.width} is not between {_WIDTHS[0]} and {_WIDTHS[1]} pixels")
        if not _SCALES[0] <= self.scale <= _SCALES[1]:
            raise ValueError(f"scale={self.scale} is not between {_SCALES[0]:g} and {_SCALES[1]:g}")

    @property
    def palette(self) -> Palette:
        """Colours of the theme."""
        return PALETTES[self.theme]

    @property
    def is_narrow(self) -> bool:
        """Whether axes have few labels."""
        return self.width < _NARROW * self.scale

    @property
    def height(self) -> int:
        """Height in pixels."""
        spectrum = _NARROW_SPECTRUM_HEIGHT if self.is_narrow else _SPECTRUM_HEIGHT
        return round(self.scale * (_HEIGHT if self.has_waveform else spectrum))


DEFAULT_STYLE = PictureStyle()


def draw_track(
    overview: Overview,
    *,
    title: str = "",
    colour: str,
    cutoff_hz: float | None = None,
    axis: FrequencyAxis = "log",
    style: PictureStyle = DEFAULT_STYLE,
) -> bytes:
    """Draw a track and return a PNG, by default of 1320 × 385 pixels; its spectrogram shows −80 to 0 dB.

    Args:
        title: text above the picture; without it the plots are taller.
        colour: colour of the waveform.
        cutoff_hz: frequency above which the network outputs nothing, drawn as a line.

    Raises:
        MdxError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height, scale = style.width, style.height, style.scale
    dots = _DOTS_PER_INCH * scale
    with _drawing, rc_context({"text.parse_math": False}):  # names may contain dollar signs
        figure = Figure(figsize=(width / dots, height / dots), facecolor=style.palette.paper)
        FigureCanvasAgg(figure)
        edges = _edges(style, has_title=bool(title))
        if style.has_waveform:
            grid = {"height_ratios": (1, 2.3), "hspace": 0.08, **edges}
            wave, spectrum = figure.subplots(2, 1, sharex=True, gridspec_kw=grid)
            _draw_waveform(wave, overview, colour, style)
        else:
            spectrum = figure.subplots(gridspec_kw=edges)
        if title:
            place = edges["left"], 1 - 26 * scale / height
            figure.text(*place, shown(title), fontsize=11, fontweight="bold", color=style.palette.ink)
        image = _draw_spectrogram(spectrum, overview, axis, style)
        if cutoff_hz is not None:
            _draw_cutoff(spectrum, cutoff_hz, overview.sample_rate / 2, axis, has_label=style.has_axes)
        if style.has_axes:
            _draw_scale(figure, spectrum, image, style)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=dots)
    return in_few_colours(picture.getvalue())


def _edges(style: PictureStyle, *, has_title: bool) -> dict[str, float]:
    """Return the edges of the plots as shares of the picture's width and height."""
    if not style.has_axes:
        return {"left": 0.0, "right": 1.0, "top": 1.0, "bottom": 0.0}
    left, right = plot_edges(style.width, style.scale)
    top = 1 - style.scale * (_TITLE_TOP if has_title else _TOP) / style.height
    bottom = style.scale * (_NARROW_BOTTOM if style.is_narrow else _BOTTOM) / style.height
    return {"left": left, "right": right, "top": top, "bottom": bottom}


def in_few_colours(png: bytes) -> bytes:
    """Return the PNG with 256 colours, as many as the spectrogram's map has, which halves its size."""
    from PIL import Image

    small = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()


def _draw_waveform(axes: Any, overview: Overview, colour: str, style: PictureStyle) -> None:
    seconds = overview.power.seconds
    envelope = overview.envelope
    times = (np.arange(len(envelope.low)) + 0.5) * seconds / len(envelope.low)
    axes.fill_between(times, envelope.low, envelope.high, color=colour, linewidth=0.4)
    reach = max(1.0, overview.peak)
    axes.set(xlim=(0, seconds), ylim=(-reach, reach), yticks=(-1, 0, 1))
    axes.axhline(0, color=style.palette.line, linewidth=0.6, zorder=0)
    axes.tick_params(bottom=False, labelbottom=False)
    _plain(axes, style)


def _draw_spectrogram(axes: Any, overview: Overview, axis: FrequencyAxis, style: PictureStyle) -> Any:
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
        vmin=FLOOR_SHOWN_DB,
        vmax=0,
        interpolation="antialiased",
    )
    _plain(axes, style)
    if not style.has_axes:
        axes.set(xticks=[], yticks=[])
        return image
    shown_ticks = frequency_ticks(axis, nyquist, are_few=style.is_narrow)
    axes.set_yticks([np.log10(hz) if axis == "log" else hz for hz in shown_ticks], [hertz(hz) for hz in shown_ticks])
    seconds = clock_ticks(power.seconds, at_most=5 if style.is_narrow else 10)
    axes.set_xticks(seconds, [clock_label(tick) for tick in seconds])
    if not style.is_narrow:
        axes.set_ylabel("Hz", color=style.palette.soft, fontsize=8, labelpad=1)
        axes.set_xlabel("min:s", color=style.palette.soft, fontsize=8, labelpad=0)
    return image


def _draw_cutoff(axes: Any, cutoff_hz: float, nyquist: float, axis: FrequencyAxis, *, has_label: bool) -> None:
    if cutoff_hz >= nyquist:
        return
    height = np.log10(cutoff_hz) if axis == "log" else cutoff_hz
    axes.axhline(height, color=CUTOFF, linewidth=1.1, linestyle=(0, (6, 4)))
    if not has_label:
        return
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


def _draw_scale(figure: Any, spectrum: Any, image: Any, style: PictureStyle) -> None:
    box = spectrum.get_position()
    pixel = style.scale / style.width
    bar = figure.colorbar(image, cax=figure.add_axes((box.x1 + 10 * pixel, box.y0, 9 * pixel, box.height)))
    bar.set_ticks([0, -20, -40, -60, -80], labels=["0 dB", "−20", "−40", "−60", "−80"])
    bar.ax.tick_params(labelsize=7, labelcolor=style.palette.soft, length=2, color=style.palette.edge)
    bar.outline.set_visible(False)


def _plain(axes: Any, style: PictureStyle) -> None:
    axes.set_facecolor(style.palette.paper)
    axes.tick_params(labelsize=8, labelcolor=style.palette.soft, color=style.palette.edge, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def frequency_ticks(axis: FrequencyAxis, nyquist: float, *, are_few: bool = False) -> list[int]:
    """Return the frequencies in Hz to label on an axis."""
    few, all_of_them = _TICKS_HZ[axis]
    return [hz for hz in (few if are_few else all_of_them) if hz <= nyquist]


def hertz(hz: float) -> str:
    """Return a frequency for an axis: "500", "2 k"."""
    return f"{hz / 1000:g} k" if hz >= 1000 else f"{hz:g}"
