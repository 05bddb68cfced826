"""Colours of pictures and pages, light and dark; a test checks their contrast and that the evaluator has the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from my_submission.stems import complemented_source

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)


@dataclass(frozen=True)
class Palette:
    """Colours of one theme as ``#rrggbb``.

    Text has a contrast of 4.5 or more to ``paper`` and ``wash``, graphics have 3 or more (WCAG 2.2, 1.4.3 and 1.4.11).

    Attributes:
        paper: background.
        wash: secondary background, of side bars, panels and wells.
        ink: text.
        soft: secondary text.
        line: separators that carry no meaning.
        edge: borders of controls, and lines in plots that must be seen.
        accent: filled controls, with ``on_accent`` as their text.
        link: links, and text in the accent's hue.
        muted: published entries beside local runs.
        warning: warnings, as text or as an edge.
        stems: source to its colour.
        without: stems that are the mixture minus one source.
    """

    paper: str
    wash: str
    ink: str
    soft: str
    line: str
    edge: str
    accent: str
    on_accent: str
    link: str
    muted: str
    warning: str
    stems: Mapping[str, str]
    without: str

    @property
    def series(self) -> tuple[str, ...]:
        """Colours of series in one plot."""
        return tuple(self.stems[name] for name in ("vocals", "drums", "other", "bass"))

    def colour_of(self, track: str) -> str:
        """Return the colour of a stem, or that of the mixture for any other name."""
        if complemented_source(track) is not None:
            return self.without
        return self.stems.get(track, self.soft)


def _stems(vocals: str, drums: str, other: str, bass: str) -> Mapping[str, str]:
    music = {"vocals": vocals, "drums": drums, "other": other, "bass": bass}
    return MappingProxyType({**music, "dialog": vocals, "effect": drums, "music": bass})


LIGHT = Palette(
    paper="#ffffff",
    wash="#f5f7f9",
    ink="#1b1f24",
    soft="#59636e",
    line="#d8dee4",
    edge="#7d8894",
    accent="#1f6f8b",
    on_accent="#ffffff",
    link="#1a627b",
    muted="#7188a0",
    warning="#8a5a00",
    stems=_stems(vocals="#b4540a", drums="#1f6f8b", other="#557719", bass="#7a4b9c"),
    without="#0f6e67",
)

DARK = Palette(
    paper="#12161b",
    wash="#1b2128",
    ink="#e6edf3",
    soft="#9aa7b4",
    line="#323a43",
    edge="#6f7d8b",
    accent="#2a7d9c",
    on_accent="#ffffff",
    link="#6cc3e0",
    muted="#647a90",
    warning="#e3b341",
    stems=_stems(vocals="#f0944d", drums="#5fb7d4", other="#a3c964", bass="#c39be0"),
    without="#58c4b8",
)

PALETTES: Mapping[Theme, Palette] = MappingProxyType({"light": LIGHT, "dark": DARK})

CUTOFF = "#ffffff"
"""Cutoff line on the spectrogram."""

SPECTROGRAM_MAP = "magma"
"""A colour map with monotonic brightness, also for colour-blind readers."""


def css_variables(palette: Palette) -> str:
    """Return the palette as declarations of CSS variables: ``--ink: #1b1f24; … --stem-vocals: #b4540a; …``."""
    names = ("paper", "wash", "ink", "soft", "line", "edge", "accent", "on_accent", "link", "muted", "warning")
    colours = {name.replace("_", "-"): getattr(palette, name) for name in names}
    colours |= {f"stem-{name}": colour for name, colour in palette.stems.items()}
    colours |= {"stem-without": palette.without, "stem-mixture": palette.colour_of("mixture")}
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def colour_of(track: str) -> str:
    """Return the colour of a stem on a light background, or that of the mixture for any other name."""
    return LIGHT.colour_of(track)


INK, SOFT, LINE, PAPER, WASH = LIGHT.ink, LIGHT.soft, LIGHT.line, LIGHT.paper, LIGHT.wash
MUTED, SERIES = LIGHT.muted, LIGHT.series
