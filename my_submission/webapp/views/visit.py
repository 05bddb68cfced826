"""The visit of the browser that a page is drawn for."""

from __future__ import annotations

import streamlit as st

from my_submission.webapp.serving.visits import VISIT_COOKIE, is_visit
from my_submission.webapp.tokens import new_token


def current_visit() -> str:
    """Return the token of the browser's visit; without a cookie, one that ends with this page."""
    stated = st.context.cookies.get(VISIT_COOKIE, "")
    if is_visit(stated):
        return stated
    token: str = st.session_state.setdefault("visit", new_token())
    return token
