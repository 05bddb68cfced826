"""AIMLESS' systems of the Sound Demixing Challenge 2023, and the Hybrid Demucs of its web page.

Published: the arithmetic of leaderboard CDX-A (submission 220319) and that of the web page. Ours: the segments in which
``aimless-cdx-a`` takes a film, and all of how ``aimless-mdx-a``, ``aimless-xumx`` and ``aimless-demucs`` are applied,
since no program that does it was published.
"""

from __future__ import annotations

from my_submission.dsp.wiener import WienerSettings
from my_submission.geometry import FadeChunking, FrameChunking, OverlapChunking, WholeSong
from my_submission.mechanisms import MaskingRecipe, MidSideRecipe, WaveformRecipe
from my_submission.stems import CINEMA_SOURCES, DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from my_submission.systems.starters import STARTER, STARTER_CINEMA

PAGE_SEGMENTS = FadeChunking(stride_samples=485_100, fade_samples=4_410)
"""Of the web page and torchaudio's example: ten seconds and a tenth, joined by cross-fades of a tenth of a second."""

BOTTOM_STRIDE = 2_048
"""Samples between two frames at the bottom of Hybrid Demucs. Segments that begin at its multiples have the frames that
the whole song has; others are some 12 dB from it with random weights, these more than 35 dB."""

MUSIC_SEGMENTS = OverlapChunking(segment_samples=240 * BOTTOM_STRIDE, overlap_ratio=0.25)
"""Eleven seconds, about as long as the networks were trained on; at both overlaps they begin at the right places."""

CINEMA_SEGMENTS = OverlapChunking(segment_samples=440 * BOTTOM_STRIDE, overlap_ratio=0.25)
"""Twenty seconds, where training had six: nearer to the whole film, at a gigabyte and a half of memory."""

MASK_STRETCHES = FrameChunking(frames=860, overlap_frames=86)
"""Twenty seconds, two of them shared."""

REDUCED_OVERLAPS = (0.1,)
"""What is left of the overlap when time is short."""

MUSIC_MASK_SHARE = 0.5
"""Of the masked music in the blend; Hybrid Demucs has the rest."""

PUBLISHED_CDX_A = {"song": 4.345}
"""The mean; the values a source were not published."""

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
    title="AIMLESS' DemucsSplit: one encoder, a decoder a source",
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

AIMLESS_SYSTEMS = (CDX_A, CDX_A_WHOLE, MDX_A, X_UMX, DEMUCS_SPLIT, HDEMUCS_MUSDB_PLUS)
