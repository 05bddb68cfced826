"""Figures of a fitted blend, as a table and as plain values."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from my_submission.blending.fit import Gain
from my_submission.blending.lab import BlendFit, SourceFit
from terminal.rich_lines import rich_line


def show_fit(fit: BlendFit, console: Console) -> None:
    """Print the table of the fit, and the gains on songs that were left out."""
    names = list(dict.fromkeys(name for each in fit.sources.values() for name in each.systems))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("source", no_wrap=True)
    for name in (*names, "blend", "held-out gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for source, each in fit.sources.items():
        cells = dict(zip(each.systems, zip(each.shares, each.alone, strict=True), strict=True))
        shown = [f"{cells[name][1]:.2f} × {cells[name][0]:.2f}" if name in cells else "" for name in names]
        table.add_row(source, *shown, f"{each.blended:.2f}", in_words(each.gain))
    console.print(table)
    for line in (
        f"SDR in dB of each system alone × its share in the blend; means over {_songs(fit)}",
        "held-out gain: dB of the blend over the best system, on songs left out of the fit, with its 95 % interval",
    ):
        console.print(rich_line(line, "dim"))
    after = fit.afterwards
    for name, gain, is_used in (
        ("Wiener filter over the blend", after.filter_gain, after.uses_filter),
        (f"Mixer over {'the filter' if after.uses_filter else 'the blend'}", after.mixer_gain, after.uses_mixer),
    ):
        console.print(f"{name}: held-out gain {in_words(gain)} dB, {'written' if is_used else 'not written'}")
    for source, each in fit.sources.items():
        if each.sweep:
            row = "  ".join(f"{share:.1f}: {decibels:.2f}" for share, decibels in each.sweep)
            console.print(rich_line(f"{source}, SDR by the share of {each.systems[0]}: {row}", "dim"))


def _songs(fit: BlendFit) -> str:
    """Return the number of songs in words, with those in which a source is silent."""
    words = f"{fit.n_songs} song{'s' * (fit.n_songs != 1)}"
    fewer = [f"{each.n_songs} of {source}" for source, each in fit.sources.items() if each.n_songs < fit.n_songs]
    return f"{words} ({', '.join(fewer)}, which is silent in the others)" if fewer else words


def in_words(gain: Gain) -> str:
    """Return a gain as its mean and interval, in dB."""
    if gain.n_songs == 0:
        return "needs two songs"
    if gain.n_songs == 1:
        return f"{gain.mean:+.2f}"
    return f"{gain.mean:+.2f} ({gain.low:+.2f} … {gain.high:+.2f})"


def figures_of(fit: BlendFit) -> dict[str, object]:
    """Return all figures as plain values."""
    after = fit.afterwards
    return {
        "schema": 1,
        "songs": fit.n_songs,
        "sources": {source: _figures_of_source(each) for source, each in fit.sources.items()},
        "filter": {
            "shares": dict(after.filter_shares),
            "held_out_gain": vars(after.filter_gain),
            "is_written": after.uses_filter,
        },
        "mixer": {
            "sources": list(fit.sources),
            "matrix": after.mixer.tolist(),
            "held_out_gain": vars(after.mixer_gain),
            "is_written": after.uses_mixer,
        },
    }


def _figures_of_source(fit: SourceFit) -> dict[str, object]:
    return {
        "songs": fit.n_songs,
        "shares": dict(zip(fit.systems, fit.shares, strict=True)),
        "alone": dict(zip(fit.systems, fit.alone, strict=True)),
        "blend": fit.blended,
        "held_out_gain": vars(fit.gain),
        "sweep": [list(pair) for pair in fit.sweep],
    }
