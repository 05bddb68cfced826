"""The studio as a component of the page; its scripts are loaded from this server only."""

from __future__ import annotations

import streamlit as st

_BOOT = """export default async function (component) {
  const address = new URL(`${component.data.assets}/mount.js`, location.origin);
  return (await import(address.href)).default(component);
}"""
_studio = st.components.v2.component("mdx.studio", html='<div class="studio"></div>', js=_BOOT)


def load_studio(assets: str) -> None:
    """Load the studio's modules and style into the browser without showing anything, so that a song opens sooner."""
    _studio(data={"base": "", "assets": assets}, key="studio-ahead")


def show_studio(address: str, *, assets: str, key: str) -> str | None:
    """Draw the studio of a song: progress, transport, lanes, mixer and downloads.

    The studio polls the song's ``state.json`` itself, so that one call per run of the script is enough.

    Args:
        address: path of the song's routes, such as ``/mdx/song/TOKEN``.
        assets: path of the studio's modules, such as ``/mdx/studio/HASH``.
        key: the same in every run of the script, so that a rerun does not interrupt playback.

    Returns:
        The job's state (or "deleted") in the run of the script that its change caused, else None.
    """
    result = _studio(data={"base": address, "assets": assets}, key=key, on_changed_change=lambda: None)
    changed: str | None = result.changed
    return changed
