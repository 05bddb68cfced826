"""Contrast of the colours of pages and pictures, computed as in WCAG 2.2."""

from __future__ import annotations

import re

import pytest

from my_submission.pictures import colour_of, palettes
from my_submission.pictures.palettes import DARK, LIGHT, PALETTES, THEMES, Palette, css_variables
from my_submission.stems import COMPLEMENTS, SOURCE_SETS

SOURCES = tuple(name for names in SOURCE_SETS for name in names)


def luminance(colour: str) -> float:
    """Relative luminance of a colour; 0 is black and 1 is white."""
    assert re.fullmatch("#[0-9a-f]{6}", colour), colour
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005), "as published for this grey"


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_and_graphics_can_be_seen(theme: palettes.Theme) -> None:
    palette = PALETTES[theme]
    texts = {"ink": palette.ink, "soft": palette.soft, "link": palette.link, "warning": palette.warning}
    texts |= {name: palette.colour_of(name) for name in (*SOURCES, *COMPLEMENTS, "no_other", "mixture")}
    graphics = {"edge": palette.edge, "accent": palette.accent, "muted": palette.muted}
    for background in (palette.paper, palette.wash):
        low = {name: contrast(colour, background) for name, colour in texts.items()}
        assert {name: value for name, value in low.items() if value < 4.5} == {}
        low = {name: contrast(colour, background) for name, colour in graphics.items()}
        assert {name: value for name, value in low.items() if value < 3} == {}
    assert contrast(palette.on_accent, palette.accent) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_sources_of_one_song_have_different_colours(palette: Palette) -> None:
    for names in SOURCE_SETS:
        shown = [palette.colour_of(name) for name in (*names, "mixture", "instrumental")]
        assert len(set(shown)) == len(shown)
    assert set(palette.series) == set(palette.stems.values())


def test_light_is_light_and_dark_is_dark() -> None:
    assert luminance(LIGHT.paper) > 0.9
    assert luminance(DARK.paper) < 0.02
    assert colour_of("vocals") == LIGHT.stems["vocals"]


def test_css_variables_name_every_colour() -> None:
    variables = dict(re.findall(r"--([\w-]+): (#\w{6});", css_variables(DARK)))
    assert variables["ink"] == DARK.ink
    assert variables["stem-bass"] == DARK.stems["bass"]
    assert variables["stem-mixture"] == DARK.soft
