"""The main page: upload a song, separate it, then view, play, mix and download its stems."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from my_submission.audio_io import SongInput
from my_submission.errors import MdxError
from my_submission.pictures import AXES, FrequencyAxis, SongView
from my_submission.pictures.song_page import level_rows
from my_submission.pictures.wording import clock, residual
from my_submission.predictor import SeparationReport
from my_submission.systems import SystemRecipe, possible_stems
from my_submission.webapp.app import current_app
from my_submission.webapp.songs.browser_sessions import BrowserSession, SessionSong
from my_submission.webapp.studio.component import show_mixer, show_tracks
from my_submission.webapp.studio.routes import FORMATS
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.views.session_uploads import taken
from my_submission.webapp.work.job_queue import QueuedJob, SeparationRequest
from terminal.names import shown
from terminal.program import program_name

POLL_SECONDS = 0.5

FORMAT_NAMES = {
    "wav-PCM_16": "WAV, 16 bit",
    "wav-PCM_24": "WAV, 24 bit",
    "wav-FLOAT": "WAV, 32-bit float",
    "flac-PCM_16": "FLAC, 16 bit",
    "flac-PCM_24": "FLAC, 24 bit",
    "mp3-MPEG_LAYER_III": "MP3, 320 kbit/s",
}


@dataclass
class SessionState:
    """State of one browser session between runs of the script.

    Attributes:
        job: the last separation.
        message: an error to show once.
        n_uploads: part of the upload field's key; with a new key Streamlit drops the old file.
    """

    session: BrowserSession
    job: QueuedJob | None = None
    message: str = ""
    n_uploads: int = 0


def _leave(session: BrowserSession) -> None:
    current_app().sessions.leave(session)


@st.cache_resource(scope="session", on_release=_leave, show_spinner=False)
def _browser_session() -> BrowserSession:
    """Return the browser session; Streamlit calls ``on_release`` when its connection ends."""
    session = current_app().sessions.enter(st.session_state.get("session"))
    st.session_state["session"] = session.token
    return session


def _session_state() -> SessionState:
    session = _browser_session()
    state: SessionState | None = st.session_state.get("state")
    if state is None or state.session is not session:
        state = st.session_state["state"] = SessionState(session)
    return state


def show() -> None:
    """Draw the page."""
    state = _session_state()
    with st.sidebar:
        request = _choose_system()
    st.title("Separate a song into stems", anchor=False)
    if state.message:
        st.error(plain(state.message), icon=":material/error:")
        state.message = ""
    song, job = state.session.song, state.job
    if song is None:
        _choose_song(state)
    elif job is not None and job.song is song and not job.is_over:
        _show_head(song)
        _show_progress(job)
    else:
        _show_head(song)
        _show_actions(state, song, request)
        if job is not None and job.song is song:
            _show_outcome(job, song)


def _choose_system() -> SeparationRequest | None:
    """Show the options and return the request, or None if it is not possible."""
    st.subheader("Options", anchor=False)
    systems = current_app().systems()
    ready = {system.name for system, is_ready in systems if is_ready}
    system: SystemRecipe = st.selectbox(
        "System",
        [system for system, _ in systems],
        format_func=lambda one: one.name if one.name in ready else f"{one.name} (weights missing)",
        key="system",
    )
    st.caption(system.title)
    possible = possible_stems(system)
    stems = st.pills(
        "Stems",
        possible,
        selection_mode="multi",
        default=system.sources,
        key=f"stems-{system.name}",
        help="The stems to make. Instrumental is the song without vocals, drumless the song without drums. Fewer stems "
        "take less time with most systems.",
    )
    budget = st.number_input(
        "Time limit in seconds",
        min_value=1.0,
        value=None,
        step=10.0,
        format="%.0f",
        placeholder="no limit",
        help="Waiting in the queue does not count. With a limit, quality depends on the available time.",
        key="budget",
    )
    if system.published:
        values = ", ".join(f"{name} {value:.2f}" for name, value in system.published.items())
        st.caption(f"Published, {system.board}: {values} dB global SDR")
    st.caption(f"Licence: {system.licence}")
    problems = []
    if system.name not in ready:
        problems.append(f"The weights are missing. Run on the server: `{program_name()} fetch {system.name}`")
    if not stems:
        problems.append("Choose at least one stem.")
    for problem in problems:
        st.warning(problem)
    chosen = tuple(stem for stem in possible if stem in stems)
    return None if problems else SeparationRequest(system.name, chosen, budget)


def _choose_song(state: SessionState) -> None:
    app = current_app()
    limits = app.settings
    st.write(
        "Upload a song, then view, play, mix and download its stems. "
        "Your files are deleted from the server when you close this page."
    )
    upload_column, sample_column = st.columns([2, 1], gap="large", vertical_alignment="top")
    with upload_column:
        upload = st.file_uploader(
            f"Audio file: WAV, FLAC, Ogg, MP3, M4A, MP4, .stem.mp4 and others, up to {limits.max_upload_mib} MiB and "
            f"{clock(limits.max_song_seconds)}",
            key=f"upload-{state.n_uploads}",
        )
        if not app.uploads.has_room:
            st.warning("The server cannot take another upload now. Try again in a few minutes.", icon=":material/info:")
    if upload is not None:
        try:
            state.session.take(taken(upload), max_seconds=limits.max_song_seconds)
        except MdxError as error:
            state.message = str(error)
        state.n_uploads += 1
        st.rerun()
    with sample_column:
        _choose_sample(state, app.samples)


def _choose_sample(state: SessionState, samples: list[SongInput]) -> None:
    if not samples:
        return
    sample = st.selectbox("Or choose a sample", samples, format_func=lambda song: shown(song.name), key="sample")
    if st.button("Use this sample", key="take-sample", width="stretch"):
        try:
            state.session.take_sample(
                shown(sample.name), sample.path, max_seconds=current_app().settings.max_song_seconds
            )
        except MdxError as error:
            state.message = str(error)
        st.rerun()


def _show_head(song: SessionSong) -> None:
    length = "" if song.seconds is None else f" :small[:gray[{clock(song.seconds)}]]"
    st.subheader(f"{plain(song.name)}{length}", anchor=False)


def _show_actions(state: SessionState, song: SessionSong, request: SeparationRequest | None) -> None:
    """Show the buttons of a song that is not being separated."""
    is_again = state.job is not None and state.job.song is song
    with st.container(horizontal=True):
        label = "Separate again" if is_again else "Separate"
        if st.button(label, type="primary", disabled=request is None, key="separate"):
            _start(state, song, request)
        if st.button("Another song", key="another"):
            state.session.discard_song()
            state.job = None
            st.rerun()


def _start(state: SessionState, song: SessionSong, request: SeparationRequest | None) -> None:
    if request is None:
        return
    try:
        if state.job is not None and state.job.song is song:
            song = state.session.renew()
        state.job = current_app().queue.submit(song, request)
    except MdxError as error:
        state.message = str(error)
    st.rerun()


@st.fragment(run_every=POLL_SECONDS)
def _show_progress(job: QueuedJob) -> None:
    """Show progress, remaining time and a stop button."""
    if job.is_over:
        st.rerun()
    progress = job.progress
    with st.container(border=True):
        if job.state == "waiting":
            ahead = current_app().queue.n_ahead(job)
            st.progress(0.0, text=f"Waiting: {ahead} song{'' if ahead == 1 else 's'} before yours")
        else:
            left = "" if progress.left_seconds is None else f" · about {clock(progress.left_seconds)} left"
            st.progress(progress.share, text=f"**{progress.stage}**{left}")
        where = f"{clock(progress.part_seconds)} of {clock(progress.song_seconds)}" if progress.song_seconds else ""
        facts = [progress.part, where, f"{progress.n_chunks} chunks done" if progress.n_chunks else "", *progress.notes]
        st.caption(" · ".join(plain(fact) for fact in facts if fact) or "…")
        if st.button("Stop", key="stop", icon=":material/stop_circle:"):
            job.stop()


def _show_outcome(job: QueuedJob, song: SessionSong) -> None:
    if job.state == "failed":
        st.error(plain(job.error), icon=":material/error:")
    elif job.state == "stopped":
        st.info("Stopped. There are no stems.", icon=":material/stop_circle:")
    elif song.view is not None and song.report is not None:
        _show_stems(song, song.view, song.report)


def _show_stems(song: SessionSong, view: SongView, report: SeparationReport) -> None:
    st.caption(
        f"{report.system} · {clock(report.seconds)}, {report.realtime_factor:.1f} × real time · "
        f"{report.source_rate / 1000:g} kHz"
    )
    for text in report.warnings():
        st.error(plain(f"{text[:1].upper()}{text[1:]}."), icon=":material/timer:")
    for line in report.left_out:
        st.warning(plain(f"Left out: {line}"), icon=":material/timer:")
    st.subheader("Mixer", anchor=False)
    show_mixer(song, view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Tracks", anchor=False)
        axis: FrequencyAxis | None = st.segmented_control("Frequency axis", AXES, default="log", key="axis")
        form = st.selectbox(
            "Download as", list(FORMATS), format_func=lambda name: FORMAT_NAMES[name], key="form", width=220
        )
    show_tracks(song, view, axis=axis or "log", form=form)
    st.subheader("Levels", anchor=False)
    st.dataframe(level_rows(view), hide_index=True, width="stretch")
    st.caption(
        f"Mixture − Σ stems: {residual(view.residual_db, stems_add_up=report.stems_add_up)}. Clipped samples are "
        "beyond full scale: 16- and 24-bit files cut them, 32-bit float files keep them."
    )
