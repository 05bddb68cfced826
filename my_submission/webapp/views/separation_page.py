"""The main page: upload a song, then hear, mix and download its stems in the studio."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from my_submission.audio_io import SongInput
from my_submission.errors import MdxError
from my_submission.pictures.wording import duration
from my_submission.webapp.app import current_app
from my_submission.webapp.songs.expected_song import ExpectedSong
from my_submission.webapp.songs.song import Song
from my_submission.webapp.studio.component import load_studio, show_studio
from my_submission.webapp.studio.routes import assets_address, song_address
from my_submission.webapp.views.figures import show_figures
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.views.options import Options, choose_options
from my_submission.webapp.views.session_uploads import expect, expected_song, receive
from my_submission.webapp.views.visit import current_visit
from my_submission.webapp.work.separation_job import SeparationJob
from terminal.names import as_html, shown
from terminal.quantities import counted

TITLE = "Music demixing"
SONG_PARAMETER = "song"
LIST_SECONDS = 2.0
"""Time between two checks of the state of the listed songs."""


def page() -> Any:
    """Return the page for Streamlit's navigation."""
    return st.Page(show, title="Separate", url_path="separate", default=True)


def show() -> None:
    """Draw the page."""
    visit = current_visit()
    with st.sidebar:
        options = choose_options()
    token = _arrived() or st.query_params.get(SONG_PARAMETER)
    song = None if token is None else current_app().songs.find(token)
    if token is not None and song is None:
        kept = _duration(current_app().settings.keep_seconds)
        st.info(f"This song is not on the server: it was deleted, or not used for {kept}.", icon=":material/info:")
    message: str | None = st.session_state.pop("message", None)
    if message:
        st.error(plain(message), icon=":material/error:")
    if song is None:
        _show_start(visit, options)
    else:
        _show_song(song, visit, options)


def _arrived() -> str:
    """Return the token of a song that arrived since the page was drawn, and give it the page's address; "" if none."""
    expected = expected_song()
    arrival, expected.arrival = expected.arrival, None
    if arrival is None:
        return ""
    st.session_state["message"] = arrival.problem
    st.session_state["n_uploads"] = st.session_state.get("n_uploads", 0) + 1  # a new key empties the field
    if arrival.token:
        st.query_params[SONG_PARAMETER] = arrival.token
    return arrival.token


def _show_start(visit: str, options: Options) -> None:
    expected = expected_song()
    expected.visit = visit
    expected.request = options.request if options.starts_at_once else None
    expected.remark = options.problem if options.starts_at_once else ""
    expect(expected)
    st.title("Separate a song into stems", anchor=False)
    st.write(
        "Drop a song. You hear its stems as soon as the first seconds are separated, then mix and download them. "
        + _kept_for()
    )
    upload_column, sample_column = st.columns([2, 1], gap="large", vertical_alignment="top")
    with upload_column:
        _choose_upload()
    with sample_column:
        _choose_sample(expected, current_app().samples)
    _show_songs(visit)
    load_studio(assets_address())


def _kept_for() -> str:
    return (
        f"A song and its stems stay on the server for {_duration(current_app().settings.keep_seconds)} after you last "
        "used them, or until you delete them."
    )


def _duration(seconds: float) -> str:
    """Return a length of time in words."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = round(seconds / size)
            return f"one {unit}" if count == 1 else f"{count} {unit}s"
    return duration(seconds)


def _choose_upload() -> None:
    """Show the field for a song, which is opened while its upload is answered."""
    app = current_app()
    limits = app.settings
    field = st.file_uploader(
        f"Audio file: WAV, FLAC, Ogg, MP3, M4A, MP4, .stem.mp4 and others, up to {limits.max_upload_mib} MiB and "
        f"{duration(limits.max_song_seconds)}",
        key=f"upload-{st.session_state.get('n_uploads', 0)}",
    )
    if not app.uploads.has_room:
        st.warning(
            "The server cannot take another upload now. Delete one of your songs, or try again later.",
            icon=":material/info:",
        )
    if field is not None:
        receive(field)
        st.rerun()


def _choose_sample(expected: ExpectedSong, samples: list[SongInput]) -> None:
    if not samples:
        return
    sample = st.selectbox("Or choose a sample", samples, format_func=lambda song: shown(song.name), key="sample")
    if st.button("Use this sample", key="take-sample", width="stretch"):
        app, name = current_app(), shown(sample.name)
        app.open(expected, lambda: app.songs.add_sample(name, sample.path, visit=expected.visit))
        st.rerun()


def _start(song: Song, options: Options) -> None:
    if options.request is None:
        st.session_state["message"] = options.problem
        return
    try:
        current_app().separate(song, options.request)
    except MdxError as error:
        st.session_state["message"] = str(error)


def _show_song(song: Song, visit: str, options: Options) -> None:
    st.set_page_config(page_title=f"{song.name} · {TITLE}")
    # the studio shows the name as well, but the page needs a heading of the first level
    st.html(f'<h1 class="mdx-unseen">{as_html(song.name)}</h1>')
    _show_actions(song, options)
    if show_studio(song_address(song), assets=assets_address(), key=f"studio-{song.token}") == "deleted":
        _leave()
    if song.files.result is not None and song.files.result.is_complete:
        show_figures(song.files.result)
    _show_songs(visit, current=song.token)


def _show_actions(song: Song, options: Options) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        if st.button("Another song", key="another", icon=":material/arrow_back:", type="tertiary"):
            _leave()
        job = song.job
        if job is not None and not job.is_over:
            return
        label = "Separate" if job is None else "Separate again"
        kind: Literal["primary", "tertiary"] = "primary" if job is None else "tertiary"
        hint = "Uses the options in the sidebar. The current result stays until the new one is complete."
        if st.button(label, key="separate", icon=":material/call_split:", type=kind, help=hint):
            _start(song, options)
            st.rerun()


def _leave() -> None:
    """Show the start of the page."""
    st.query_params.clear()
    st.rerun()


def _show_songs(visit: str, current: str = "") -> None:
    """List the songs of the visit with their state, which is polled while one of them is being separated.

    Args:
        visit: token of the visit.
        current: token of the song that is shown, which is left out. Streamlit keeps the arguments of a fragment, so
            they are tokens instead of songs.
    """
    if _listed(visit, current):
        seconds = LIST_SECONDS if _is_moving(visit, current) else None
        st.fragment(_list_songs, run_every=seconds)(visit, current, seconds is not None)


def _listed(visit: str, current: str) -> list[Song]:
    return [song for song in current_app().songs.of_visit(visit) if song.token != current]


def _is_moving(visit: str, current: str) -> bool:
    return any(song.job is not None and not song.job.is_over for song in _listed(visit, current))


def _list_songs(visit: str, current: str, was_moving: bool) -> None:
    if was_moving and not _is_moving(visit, current):
        st.rerun()  # draws the list without looking again
    st.header("Your other songs" if current else "Your songs", anchor=False)
    for song in _listed(visit, current):
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(plain(song.name), key=f"open-{song.token}", type="tertiary", icon=":material/graphic_eq:"):
                st.query_params[SONG_PARAMETER] = song.token
                st.rerun()
            st.write(_state(song.job))
            hint = plain(f"Delete {song.name} and its stems now")
            if st.button("Delete", key=f"delete-{song.token}", icon=":material/delete:", type="tertiary", help=hint):
                current_app().songs.remove(song)
                st.rerun()


def _state(job: SeparationJob | None) -> str:
    """Return the state of a song's separation as words for the list."""
    if job is None:
        return "not separated"
    if job.state == "waiting":
        ahead = current_app().queue.n_ahead(job)
        return f"waiting: {counted(ahead, 'song')} ahead"
    return {
        "running": f"{job.share:.0%} separated",
        "stopping": "stopping",
        "done": "separated",
        "stopped": "stopped",
        "failed": "failed",
    }[job.state]
