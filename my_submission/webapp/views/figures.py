"""Technical details of a separation, folded by default."""

from __future__ import annotations

import math

import streamlit as st

from my_submission.pictures import SongView
from my_submission.pictures.song_page import level_rows
from my_submission.pictures.wording import duration, signed
from my_submission.predictor import SeparationReport
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.work.song_result import SongResult


def show_figures(result: SongResult) -> None:
    """Show how long the work took, and the level of every track; the tracks are measured when this is opened."""
    folded = st.expander("Technical details", key=f"figures-{result.version}", on_change="rerun")
    report = result.report
    if not folded.open or report is None:
        return
    with folded:
        st.write(plain(cost_of(report)))
        for line in report.left_out:
            st.write(plain(f"Left out: {line}."))
        view = result.measurements.song()
        if view is not None and report.is_separated:
            st.dataframe(level_rows(view), hide_index=True, width="stretch")
            st.caption(
                f"{plain(sum_of(view, report))} Clipped samples exceed the range of 16- and 24-bit files. "
                "Such downloads are attenuated, all stems by the same gain; 32-bit float files keep the samples."
            )


def cost_of(report: SeparationReport) -> str:
    """Return what a separation took, in one sentence."""
    return (
        f"Separated by {report.system} in {duration(report.seconds)}, {report.realtime_factor:.1f} × real time, "
        f"at {report.source_rate / 1000:g} kHz."
    )


def sum_of(view: SongView, report: SeparationReport) -> str:
    """Return how well the stems add up to the song, in one sentence."""
    if not report.stems_add_up:
        return "Only some stems were made, so they do not add up to the song."
    if view.residual_db is None:
        return "The song is silent."
    if view.residual_db == -math.inf:
        return "The stems add up exactly to the song."
    return f"The stems add up to the song with an error of {signed(view.residual_db)} dB; lower is better."
