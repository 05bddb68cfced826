"""Paths of the pages below the base path, for the navigation of the script and the routes of the server."""

from __future__ import annotations

SCORES = "scores"
"""Path of the scores page; the separation page is at the root."""

PAGES = ("/", f"/{SCORES}")
"""Paths of all pages, each of which the server answers with Streamlit's page."""
