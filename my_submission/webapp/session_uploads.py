"""The content of what a visitor put into an upload field: Streamlit knows the name, our store has the file."""

from __future__ import annotations

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from my_submission.errors import MdxError
from my_submission.webapp.app import studio
from my_submission.webapp.uploads import Upload


def taken(field: UploadedFile) -> Upload:
    """The file of an upload field, which is the caller's from now on.

    Raises:
        UploadRefusedError: it is no longer there.
    """
    return studio().uploads.take(_session(), field.file_id)


def content(field: UploadedFile) -> bytes | None:
    """The content of an upload field; it stays there. None where it is no longer there."""
    upload = studio().uploads.find(_session(), field.file_id)
    return None if upload is None else upload.path.read_bytes()


def _session() -> str:
    context = get_script_run_ctx()
    if context is None:
        raise MdxError("an upload field was read outside a page")
    return context.session_id
