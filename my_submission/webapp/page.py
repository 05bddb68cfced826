"""The script that Streamlit runs for every browser session and every click."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from my_submission.webapp.views import scores_page, separation_page

ICON = Path(__file__).parent / "studio" / "assets" / "icon.svg"

STYLE = """<style>
.stMainBlockContainer { max-width: 78rem; padding-top: 4.2rem; }
/* The "Stop" button of Streamlit's status widget does not stop a separation. */
[data-testid="stStatusWidget"] { display: none; }
/* Show the reason of a refused upload; by default it is only a tooltip. */
[data-testid="stFileChip"] [role="alert"] { position: static; width: auto; height: auto; clip: auto; clip-path: none;
  overflow: visible; white-space: normal; margin: 0 .6rem; }
</style>"""

st.set_page_config(page_title="Music demixing", page_icon=str(ICON), layout="wide")
st.html(STYLE)
pages = [
    st.Page(separation_page.show, title="Separate", url_path="separate", default=True),
    st.Page(scores_page.show, title="Scores", url_path="scores"),
]
st.navigation(pages, position="top").run()
