"""The script that Streamlit runs for every visitor and every click."""

from __future__ import annotations

import streamlit as st

from my_submission.webapp import scores_page, separation_page

st.set_page_config(page_title="Music demixing", page_icon=":material/graphic_eq:", layout="wide")
st.html("<style>.stMainBlockContainer { max-width: 78rem; padding-top: 4.2rem; }</style>")
pages = [
    st.Page(separation_page.show, title="Separate", icon=":material/graphic_eq:", url_path="separate", default=True),
    st.Page(scores_page.show, title="Scores", icon=":material/leaderboard:", url_path="scores"),
]
st.navigation(pages, position="top").run()
