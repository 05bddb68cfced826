"""Finds the file of an upload field in the upload store; Streamlit itself has only the name."""

from __future__ import annotations

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from my_submission.errors import MdxError
from my_submission.webapp.app import current_app
from my_submission.webapp.serving.uploads import Upload


def taken(field: UploadedFile) -> Upload:
    """Take the file of an upload field, which the caller then must release; UploadRefusedError if it was deleted."""
    return current_app().uploads.take(_session(), field.file_id)


def content(field: UploadedFile) -> bytes | None:
    """Return the content of an upload field, or None if it was deleted."""
    upload = current_app().uploads.find(_session(), field.file_id)
    return None if upload is None else upload.path.read_bytes()


def _session() -> str:
    context = get_script_run_ctx()
    if context is None:
        raise MdxError("an upload field was read outside of a page")
    return context.session_id
