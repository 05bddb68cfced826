"""The options of a separation, in the side bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from my_submission.stems import complemented_source
from my_submission.systems import DEFAULT_SYSTEM, SystemRecipe, possible_stems
from my_submission.webapp.app import current_app
from my_submission.webapp.work.separation_job import SeparationRequest
from terminal.program import program_name


@dataclass(frozen=True)
class Options:
    """The chosen options.

    Attributes:
        request: the request; None if it is not possible.
        problem: why it is not possible, with the cure; empty if it is.
        starts_at_once: whether a song is separated as soon as it is dropped.
    """

    request: SeparationRequest | None
    problem: str
    starts_at_once: bool


def choose_options() -> Options:
    """Show the options and return the choice."""
    st.subheader("Options", anchor=False)
    starts_at_once = st.toggle(
        "Start at once", value=True, key="start", help="Separate a song as soon as it is dropped, with these options."
    )
    system, is_ready = _choose_system()
    possible = _distinct(possible_stems(system))
    stems = st.pills(
        "Stems",
        possible,
        format_func=_in_words,
        selection_mode="multi",
        default=system.stems,
        key=f"stems-{system.name}",
        help="The stems to make. Instrumental is the song without vocals, drumless is the song without drums. "
        "Fewer stems take less time with most systems.",
    )
    budget = st.number_input(
        "Time limit in seconds",
        min_value=1.0,
        value=None,
        step=10.0,
        format="%.0f",
        placeholder="no limit",
        help="Leave this empty for the best sound. Time in the queue does not count. With a limit, you can play the "
        "stems only when the separation is complete.",
        key="budget",
    )
    if system.published:
        values = ", ".join(f"{name} {value:.2f}" for name, value in system.published.items())
        st.caption(f"Published, {system.board}: {values} dB global SDR")
    st.caption(f"Licence: {system.licence}")
    problem = ""
    if not is_ready:
        problem = f"The weights of {system.name} are missing. Run on the server: {program_name()} fetch {system.name}"
    elif not stems:
        problem = "Choose at least one stem."
    if problem:
        st.warning(problem)
    chosen = tuple(stem for stem in possible if stem in stems)
    return Options(None if problem else SeparationRequest(system.name, chosen, budget), problem, starts_at_once)


def _choose_system() -> tuple[SystemRecipe, bool]:
    """Return the chosen system, and whether its weights are present."""
    systems = current_app().systems()
    ready = {system.name for system, is_ready in systems if is_ready}
    names = [system.name for system, _ in systems]
    system: SystemRecipe = st.selectbox(
        "System",
        [system for system, _ in systems],
        index=names.index(DEFAULT_SYSTEM) if DEFAULT_SYSTEM in ready else 0,
        format_func=lambda one: one.name if one.name in ready else f"{one.name} (weights missing)",
        key="system",
        help="The networks that separate the song. A large system sounds better and takes longer; you hear a preview "
        f"by {DEFAULT_SYSTEM} first.",
    )
    st.caption(system.title)
    return system, system.name in ready


def _distinct(stems: Sequence[str]) -> list[str]:
    """Return the stems without other names of the same one, such as karaoke beside instrumental."""
    found: dict[tuple[str, bool], str] = {}
    for stem in stems:
        source = complemented_source(stem)
        found.setdefault((stem, False) if source is None else (source, True), stem)
    return list(found.values())


def _in_words(stem: str) -> str:
    """Return the display name of a stem."""
    source = complemented_source(stem)
    return f"without {source}" if source is not None and stem.endswith(f"_{source}") else stem
