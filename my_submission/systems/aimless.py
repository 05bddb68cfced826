"""AIMLESS' systems of the Sound Demixing Challenge 2023, and the Hybrid Demucs of its web page.

The arithmetic of leaderboard CDX-A (submission 220319) and that of the web page are published. The segments of
``aimless-cdx-a`` are our choice, and so is the inference of ``aimless-mdx-a``, ``aimless-xumx`` and ``aimless-demucs``,
because no program for it was published.
"""

from __future__ import annotations

from dataclasses import replace

from my_submission.dsp.wiener import WienerSettings
from my_submission.geometry import FadeChunking, FrameChunking, OverlapChunking, WholeSong
from my_submission.mechanisms import MaskingRecipe, MidSideRecipe, WaveformRecipe
from my_submission.stems import CINEMA_SOURCES, DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from my_submission.systems.starters import STARTER, STARTER_CINEMA

PAGE_SEGMENTS = FadeChunking(stride_samples=485_100, fade_samples=4_410)
"""Segments of the web page and of torchaudio's example, joined by cross-fades of 0.1 s."""

BOTTOM_STRIDE = 2_048
"""Samples between two frames of Hybrid Demucs' innermost level. Segments that begin at multiples of it have the frames
of the whole song: with random weights they agree with it to more than 35 dB, others to about 12 dB."""

MUSIC_SEGMENTS = OverlapChunking(segment_samples=240 * BOTTOM_STRIDE, overlap_ratio=0.25)
"""Segments of 11 s, about the length in training; at both overlaps they begin at multiples of ``BOTTOM_STRIDE``."""

CINEMA_SEGMENTS = OverlapChunking(segment_samples=440 * BOTTOM_STRIDE, overlap_ratio=0.25)
"""Segments of 20 s, where training had 6 s: closer to the result on the whole film, in 1.5 GB of memory."""

MASK_STRETCHES = FrameChunking(frames=860, overlap_frames=86)
"""Stretches of 20 s, of which neighbours share 2 s."""

REDUCED_OVERLAPS = (0.1,)
"""Overlap ratios to use instead when time is short."""

MUSIC_MASK_SHARE = 0.5
"""Share of the masked music in the blend; Hybrid Demucs has the rest."""

PUBLISHED_CDX_A = {"song": 4.345}
"""The mean in dB; no values per source were published."""

UNPUBLISHED = "not stated; the weights were not published by their authors"


def _cinema(segments: OverlapChunking | WholeSong, *, is_whole: bool) -> tuple[BranchRecipe, ...]:
    passes = 0 if is_whole else 2
    hybrid = MidSideRecipe("aimless/cdx-hdemucs", CINEMA_SOURCES, "none", segments, REDUCED_OVERLAPS, passes)
    masked = MaskingRecipe("aimless/cdx-band-split-rnn", ("music",), MASK_STRETCHES, WienerSettings(), is_whole)
    return (
        BranchRecipe("mid/side", hybrid, {"dialog": 1.0, "effect": 1.0, "music": 1 - MUSIC_MASK_SHARE}),
        BranchRecipe("music mask", masked, {"music": MUSIC_MASK_SHARE}),
    )


def _alone(name: str, recipe: WaveformRecipe | MaskingRecipe) -> tuple[BranchRecipe, ...]:
    return (BranchRecipe(name, recipe, dict.fromkeys(MUSIC_SOURCES, 1.0)),)


CDX_A = SystemRecipe(
    name="aimless-cdx-a",
    title="AIMLESS, cinematic leaderboard A: Hybrid Demucs on mid and side, BandSplitRNN; films in segments",
    sources=CINEMA_SOURCES,
    branches=_cinema(CINEMA_SEGMENTS, is_whole=False),
    published=PUBLISHED_CDX_A,
    board="CDXDB23, leaderboard A",
    licence=UNPUBLISHED,
    fallback=STARTER_CINEMA,
)

CDX_A_WHOLE = SystemRecipe(
    name="aimless-cdx-a-whole",
    title="the same as published: the whole film at once and at its own sample rate; memory grows with it",
    sources=CINEMA_SOURCES,
    branches=_cinema(WholeSong(CINEMA_SEGMENTS), is_whole=True),
    published=PUBLISHED_CDX_A,
    board="CDXDB23, leaderboard A",
    licence=UNPUBLISHED,
    fallback=STARTER_CINEMA,
    keeps_native_rate=True,
)

MDX_A = SystemRecipe(
    name="aimless-mdx-a",
    title="AIMLESS, music leaderboard A of 2023 (submission 220426): Hybrid Demucs trained on label noise",
    sources=MUSIC_SOURCES,
    branches=_alone(
        "hdemucs",
        WaveformRecipe("aimless/mdx-hdemucs", DEMUCS_SOURCES, "none", MUSIC_SEGMENTS, REDUCED_OVERLAPS),
    ),
    licence=UNPUBLISHED,
    fallback=STARTER,
)

X_UMX = SystemRecipe(
    name="aimless-xumx",
    title="AIMLESS' X-UMX: four masks and a Wiener filter",
    sources=MUSIC_SOURCES,
    branches=_alone(
        "masks",
        MaskingRecipe("aimless/x-umx", DEMUCS_SOURCES, MASK_STRETCHES, WienerSettings(has_residual=False)),
    ),
    licence=UNPUBLISHED,
    fallback=STARTER,
)

DEMUCS_SPLIT = SystemRecipe(
    name="aimless-demucs",
    title="AIMLESS' DemucsSplit: one encoder, a quarter of the decoder's channels per source",
    sources=MUSIC_SOURCES,
    branches=_alone(
        "demucs",
        WaveformRecipe("aimless/demucs-split", DEMUCS_SOURCES, "none", MUSIC_SEGMENTS, REDUCED_OVERLAPS),
    ),
    licence=UNPUBLISHED,
    fallback=STARTER,
)

HDEMUCS_MUSDB_PLUS = SystemRecipe(
    name="hdemucs-musdb-plus",
    title="Hybrid Demucs of torchaudio (HDEMUCS_HIGH_MUSDB_PLUS), as the AIMLESS web page applies it",
    sources=MUSIC_SOURCES,
    branches=_alone("hdemucs", WaveformRecipe("hdemucs/musdb-plus", DEMUCS_SOURCES, "mono", PAGE_SEGMENTS)),
    licence="non-commercial: the weights are not for commercial use",
    fallback=STARTER,
    uses_external_data=True,
)

HDEMUCS_MUSDB = replace(
    HDEMUCS_MUSDB_PLUS,
    name="hdemucs-musdb",
    title="Hybrid Demucs of torchaudio trained on MUSDB18-HQ alone (HDEMUCS_HIGH_MUSDB)",
    branches=_alone("hdemucs", WaveformRecipe("hdemucs/musdb", DEMUCS_SOURCES, "mono", PAGE_SEGMENTS)),
    uses_external_data=False,
)

AIMLESS_SYSTEMS = (CDX_A, CDX_A_WHOLE, MDX_A, X_UMX, DEMUCS_SPLIT, HDEMUCS_MUSDB_PLUS, HDEMUCS_MUSDB)
