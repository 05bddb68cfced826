"""The script that Streamlit runs for every browser session and every click."""

from __future__ import annotations

import streamlit as st

from my_submission.webapp.studio.asset_files import ICON
from my_submission.webapp.views import scores_page, separation_page

STYLE = """<style>
/* Height of Streamlit's header: the studio's transport stays below it. */
:root { --mdx-top: 3.75rem; }
.stMainBlockContainer { max-width: 78rem; padding-top: 4.2rem; }
.mdx-unseen { position: absolute; width: 1px; height: 1px; margin: 0; padding: 0; overflow: hidden;
  clip-path: inset(50%); }
/* Chosen pills and captions have too little contrast otherwise. */
[data-testid="stButtonGroup"] button[data-selected="true"] { color: inherit; font-weight: 600; }
[data-testid="stCaptionContainer"] { opacity: 1; }
/* The "Stop" button of Streamlit's status widget does not stop a separation. */
[data-testid="stStatusWidget"] { display: none; }
/* Show the reason of a refused upload; by default it is only a tooltip. */
[data-testid="stFileChip"] [role="alert"] { position: static; width: auto; height: auto; clip: auto; clip-path: none;
  overflow: visible; white-space: normal; margin: 0 .6rem; }
/* Text of captions and of chosen segments and pills, which Streamlit draws with too little contrast. */
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {
  color: color-mix(in srgb, CanvasText 72%, transparent); }
button[data-selected="true"] p { color: color-mix(in srgb, currentcolor 45%, CanvasText); }
</style>"""

st.set_page_config(page_title=separation_page.TITLE, page_icon=str(ICON), layout="wide")
st.html(STYLE)
pages = [
    separation_page.page(),
    st.Page(scores_page.show, title="Scores", url_path="scores"),
]
st.navigation(pages, position="top").run()
