"""The main page: choose a song, watch it being separated, look, listen, mix, take it away."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from my_submission.audio_io import SongInput
from my_submission.errors import MdxError
from my_submission.pictures import AXES, FrequencyAxis
from my_submission.pictures.song_page import level_rows
from my_submission.pictures.wording import clock, residual
from my_submission.systems import SystemRecipe
from my_submission.webapp.app import studio
from my_submission.webapp.browser_sessions import BrowserSession, SessionSong
from my_submission.webapp.components import show_mixer, show_tracks
from my_submission.webapp.job_queue import QueuedJob, SeparationRequest
from my_submission.webapp.markdown import plain
from my_submission.webapp.routes import FORMATS
from my_submission.webapp.session_uploads import taken
from terminal.names import shown

POLL_SECONDS = 0.5

FORMAT_NAMES = {
    "wav-PCM_16": "WAV, 16 bit",
    "wav-PCM_24": "WAV, 24 bit",
    "wav-FLOAT": "WAV, 32-bit float",
    "flac-PCM_16": "FLAC, 16 bit",
    "flac-PCM_24": "FLAC, 24 bit",
}


@dataclass
class SessionState:
    """What a visitor's session has on its desk.

    Attributes:
        visit: the visitor.
        job: the separation asked for last.
        message: what went wrong, to be shown once.
        n_uploads: makes every upload field a new one, so that Streamlit lets go of the file before.
    """

    visit: BrowserSession
    job: QueuedJob | None = None
    message: str = ""
    n_uploads: int = 0


def _leave(visit: BrowserSession) -> None:
    studio().visits.leave(visit)


@st.cache_resource(scope="session", on_release=_leave, show_spinner=False)
def _visit() -> BrowserSession:
    """The visit of this session; its end is told to the studio when the connection is gone."""
    visit = studio().visits.enter(st.session_state.get("visit"))
    st.session_state["visit"] = visit.token
    return visit


def _desk() -> SessionState:
    visit = _visit()
    desk: SessionState | None = st.session_state.get("desk")
    if desk is None or desk.visit is not visit:
        desk = st.session_state["desk"] = SessionState(visit)
    return desk


def show() -> None:
    """Draw the page."""
    desk = _desk()
    with st.sidebar:
        wish = _choose_system()
    st.title("Take a song apart", anchor=False)
    if desk.message:
        st.error(plain(desk.message), icon=":material/error:")
        desk.message = ""
    song, job = desk.visit.song, desk.job
    if song is None:
        _choose_song(desk)
    elif job is not None and job.song is song and not job.is_over:
        _show_head(song)
        _follow(job)
    else:
        _show_head(song)
        _offer(desk, song, wish)
        if job is not None and job.song is song:
            _show_outcome(job, song)


def _choose_system() -> SeparationRequest | None:
    """Ask how to separate; None where it cannot be done so."""
    st.subheader("How", anchor=False)
    systems = studio().systems()
    ready = {system.name for system, is_ready in systems if is_ready}
    system: SystemRecipe = st.selectbox(
        "System",
        [system for system, _ in systems],
        format_func=lambda one: one.name if one.name in ready else f"{one.name} (weights missing)",
        key="system",
    )
    st.caption(system.title)
    sources = st.pills(
        "Stems",
        system.sources,
        selection_mode="multi",
        default=system.sources,
        key=f"sources-{system.name}",
        help="The stems to keep. All are computed, because they depend on each other.",
    )
    budget = st.number_input(
        "Time budget in seconds",
        min_value=1.0,
        value=None,
        step=10.0,
        format="%.0f",
        placeholder="no limit",
        help="Counts from the start of the work, not from the queue. The cheapest complete answer comes first and is "
        "refined while there is time.",
        key="budget",
    )
    if system.published:
        values = ", ".join(f"{name} {value:.2f}" for name, value in system.published.items())
        st.caption(f"Published, {system.board}: {values} dB global SDR")
    st.caption(f"Licence: {system.licence}")
    problems = []
    if system.name not in ready:
        problems.append(f"The weights are not here. On the server: `python -m my_submission fetch {system.name}`")
    if not sources:
        problems.append("Choose at least one stem.")
    for problem in problems:
        st.warning(problem)
    chosen = tuple(source for source in system.sources if source in sources)
    return None if problems else SeparationRequest(system.name, chosen, budget)


def _choose_song(desk: SessionState) -> None:
    place = studio()
    limits = place.settings
    st.write(
        "Upload a song and get its stems to look at, listen to, mix and take away. Your files stay on this server "
        "only for as long as this page is open."
    )
    upload_column, sample_column = st.columns([2, 1], gap="large", vertical_alignment="top")
    with upload_column:
        upload = st.file_uploader(
            f"A song: WAV, FLAC, Ogg, MP3, M4A, MP4, .stem.mp4 … up to {limits.max_upload_mib} MiB and "
            f"{clock(limits.max_song_seconds)}",
            key=f"upload-{desk.n_uploads}",
        )
        if not place.uploads.has_room:
            st.warning("There is no room for another upload now. Try again in a few minutes.", icon=":material/info:")
    if upload is not None:
        try:
            desk.visit.take(taken(upload), max_seconds=limits.max_song_seconds)
        except MdxError as error:
            desk.message = str(error)
        desk.n_uploads += 1
        st.rerun()
    with sample_column:
        _choose_sample(desk, place.samples)


def _choose_sample(desk: SessionState, samples: list[SongInput]) -> None:
    if not samples:
        return
    sample = st.selectbox("Or a sample", samples, format_func=lambda song: shown(song.name), key="sample")
    if st.button("Take this sample", key="take-sample", width="stretch"):
        try:
            desk.visit.take_sample(shown(sample.name), sample.path, max_seconds=studio().settings.max_song_seconds)
        except MdxError as error:
            desk.message = str(error)
        st.rerun()


def _show_head(song: SessionSong) -> None:
    length = "" if song.seconds is None else f" :small[:gray[{clock(song.seconds)}]]"
    st.subheader(f"{plain(song.name)}{length}", anchor=False)


def _offer(desk: SessionState, song: SessionSong, wish: SeparationRequest | None) -> None:
    """What can be done with the song while nothing is running."""
    is_again = desk.job is not None and desk.job.song is song
    with st.container(horizontal=True):
        label = "Separate again" if is_again else "Separate"
        if st.button(label, type="primary", disabled=wish is None, key="separate"):
            _start(desk, song, wish)
        if st.button("Another song", key="another"):
            desk.visit.give_up_song()
            desk.job = None
            st.rerun()


def _start(desk: SessionState, song: SessionSong, wish: SeparationRequest | None) -> None:
    if wish is None:
        return
    try:
        if desk.job is not None and desk.job.song is song:
            song = desk.visit.renew()
        desk.job = studio().workshop.submit(song, wish)
    except MdxError as error:
        desk.message = str(error)
    st.rerun()


@st.fragment(run_every=POLL_SECONDS)
def _follow(job: QueuedJob) -> None:
    """Progress, time left, and a way out."""
    if job.is_over:
        st.rerun()
    moment = job.moment
    with st.container(border=True):
        if job.state == "waiting":
            ahead = studio().workshop.n_ahead(job)
            st.progress(0.0, text=f"Waiting: {ahead} song{'' if ahead == 1 else 's'} ahead of yours")
        else:
            left = "" if moment.left_seconds is None else f" · about {clock(moment.left_seconds)} left"
            st.progress(moment.share, text=f"**{moment.stage}**{left}")
        where = f"{clock(moment.part_seconds)} of {clock(moment.song_seconds)}" if moment.song_seconds else ""
        facts = [moment.part, where, f"{moment.n_chunks} chunks done" if moment.n_chunks else "", *moment.notes]
        st.caption(" · ".join(plain(fact) for fact in facts if fact) or "…")
        if st.button("Stop", key="stop", icon=":material/stop_circle:"):
            job.stop()


def _show_outcome(job: QueuedJob, song: SessionSong) -> None:
    if job.state == "failed":
        st.error(plain(job.error), icon=":material/error:")
    elif job.state == "stopped":
        st.info("Stopped. Nothing of the separation was kept.", icon=":material/stop_circle:")
    elif song.view is not None and song.report is not None:
        _show_stems(song)


def _show_stems(song: SessionSong) -> None:
    report, view = song.report, song.view
    if report is None or view is None:
        return
    st.caption(
        f"{report.system} · {clock(report.seconds)}, {report.realtime_factor:.1f} × real time · "
        f"{report.source_rate / 1000:g} kHz"
    )
    for text in report.warnings():
        st.error(plain(f"{text[:1].upper()}{text[1:]}."), icon=":material/timer:")
    for line in report.left_out:
        st.warning(plain(f"Left out: {line}"), icon=":material/timer:")
    st.subheader("Mixer", anchor=False)
    show_mixer(song)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Tracks", anchor=False)
        axis: FrequencyAxis | None = st.segmented_control("Frequency axis", AXES, default="log", key="axis")
        form = st.selectbox(
            "Download as", list(FORMATS), format_func=lambda name: FORMAT_NAMES[name], key="form", width=220
        )
    show_tracks(song, axis=axis or "log", form=form)
    st.subheader("Levels", anchor=False)
    st.dataframe(level_rows(view), hide_index=True, width="stretch")
    st.caption(
        f"Mixture − Σ stems: {residual(view.residual_db)}, over all stems of the system. Clipped samples are values "
        "beyond full scale, which a 16- or 24-bit file cannot hold; 32-bit float keeps them."
    )
