"""The page's mixer and track cards: HTML, CSS and JavaScript of this package, which load data from this server only."""

from __future__ import annotations

from importlib import resources
from typing import Any

import streamlit as st

from my_submission.pictures import FrequencyAxis, SongView, colour_of
from my_submission.pictures.drawing import PLOT_LEFT, PLOT_RIGHT
from my_submission.pictures.song import TrackView
from my_submission.pictures.wording import decibels, loudness
from my_submission.webapp.songs.browser_sessions import SessionSong
from my_submission.webapp.studio.routes import (
    ALL_STEMS,
    audio_address,
    download_address,
    mixer_address,
    picture_address,
)


def _text(name: str) -> str:
    return resources.files("my_submission.webapp.studio").joinpath("assets", name).read_text("utf-8")


_tracks = st.components.v2.component(
    "mdx.tracks", html='<div class="tracks"></div>', css=_text("tracks.css"), js=_text("tracks.js")
)
_mixer = st.components.v2.component(
    "mdx.mixer", html='<div class="mixer"></div>', css=_text("mixer.css"), js=_text("mixer.js")
)

_BOOT = """export default async function (component) {
  const address = new URL(`${component.data.assets}/mount.js`, location.origin);
  return (await import(address.href)).default(component);
}"""
_studio = st.components.v2.component("mdx.studio", html='<div class="studio"></div>', js=_BOOT)


def show_studio(address: str, *, assets: str, key: str) -> str | None:
    """Draw the studio of a song: progress, transport, lanes, mixer and downloads.

    The studio polls the song's ``state.json`` itself, so that one call per run of the script is enough.

    Args:
        address: path of the song's routes, such as ``/mdx/song/TOKEN``.
        assets: path of the studio's modules, such as ``/mdx/studio/HASH``.
        key: the same in every run of the script, so that a rerun does not interrupt playback.

    Returns:
        The job's state (or "deleted") in the run of the script that its change caused, else None.
    """
    result = _studio(data={"base": address, "assets": assets}, key=key, on_changed_change=lambda: None)
    changed: str | None = result.changed
    return changed


def show_tracks(song: SessionSong, view: SongView, *, axis: FrequencyAxis, form: str) -> None:
    """Draw one card per track: levels, player, picture with playhead, download."""
    tracks = view.tracks
    data = {
        "song": song.token,
        "left": PLOT_LEFT,
        "right": PLOT_RIGHT,
        "seconds": tracks[0].overview.power.seconds,
        "tracks": [_card(song, track, axis=axis, form=form, is_stem=index > 0) for index, track in enumerate(tracks)],
        "all": download_address(song, ALL_STEMS, form),
    }
    _tracks(data=data, key=f"tracks-{song.token}")


def show_mixer(song: SessionSong, view: SongView) -> None:
    """Draw the mixer, which plays all stems in sync with mute, solo and gain per stem."""
    strips = [{"name": track.name, "colour": colour_of(track.name)} for track in view.tracks[1:]]
    seconds = view.tracks[0].overview.power.seconds
    data = {"song": song.token, "address": mixer_address(song), "seconds": seconds, "strips": strips}
    _mixer(data=data, key=f"mixer-{song.token}")


def _card(song: SessionSong, track: TrackView, *, axis: FrequencyAxis, form: str, is_stem: bool) -> dict[str, Any]:
    overview = track.overview
    clipped = track.clipped_samples
    return {
        "name": track.name,
        "colour": colour_of(track.name),
        "levels": f"peak {decibels(overview.peak)} · {loudness(overview.loudness_lufs)}",
        "warning": f"{clipped} clipped samples" if clipped else "",
        "audio": audio_address(song, track.name),
        "picture": picture_address(song, track.name, axis),
        "download": download_address(song, track.name, form) if is_stem else "",
    }
