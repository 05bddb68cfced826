"""The script that Streamlit runs for every browser session and every click."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from my_submission.webapp.studio.asset_files import ICON
from my_submission.webapp.views import scores_page, separation_page
from my_submission.webapp.views.page_paths import SCORES
from my_submission.webapp.views.session_uploads import expect

st.set_page_config(page_title=separation_page.TITLE, page_icon=str(ICON), layout="wide")
st.html(Path(__file__).with_name("page.css"))
expect(None)  # unless the chosen page expects a song
pages = [
    separation_page.page(),
    st.Page(scores_page.show, title="Scores", url_path=SCORES),
]
st.navigation(pages, position="top").run()
