"""Uploads of a page: songs that it expects, and files of its fields. Streamlit itself has only their names."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from my_submission.errors import MdxError
from my_submission.webapp.app import current_app
from my_submission.webapp.songs.expected_song import ExpectedSong

_EXPECTED = "expected"


def expected_song() -> ExpectedSong:
    """Return the song that this page expects, or that has arrived since the page was drawn."""
    expected: ExpectedSong = st.session_state.setdefault(_EXPECTED, ExpectedSong())
    return expected


def expect(song: ExpectedSong | None) -> None:
    """Let the next upload of this page be opened as expected; None: leave uploads to the page."""
    context = get_script_run_ctx()
    if context is not None:
        current_app().expect(context.session_id, song)


def receive(field: UploadedFile) -> None:
    """Open the expected song from a field, if its upload was complete before the page expected it."""
    current_app().receive(_session(), field.file_id)


def content(field: UploadedFile) -> bytes | None:
    """Return the content of an upload field, or None if it was deleted."""
    upload = current_app().uploads.find(_session(), field.file_id)
    return None if upload is None else upload.path.read_bytes()


def _session() -> str:
    context = get_script_run_ctx()
    if context is None:
        raise MdxError("an upload field was read outside of a page")
    return context.session_id
