"""Writes the pictures and the page of a song beside its stems."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from my_submission.files.part_files import write_whole
from my_submission.pictures import look, wording
from my_submission.pictures.drawing import DEFAULT_WIDTH, FrequencyAxis, PictureStyle, draw_track, require_matplotlib
from my_submission.pictures.song import MIXTURE, SongView, TrackView, view_song
from my_submission.predictor import SeparationReport
from terminal.names import as_html

PAGE_NAME = "report.html"


def write_pictures(
    report: SeparationReport, directory: str | Path, *, song: str, axis: FrequencyAxis = "log"
) -> dict[str, Path]:
    """Write ``<track>.png`` for the mixture and every stem, and ``report.html``.

    The page embeds the pictures and links to the stems beside it.

    Args:
        song: the song's name, used as the page's title.

    Returns:
        Track to path of its PNG, and ``"page"`` to the path of the page.

    Raises:
        MdxError: matplotlib is not installed.
        OutputError: the folder cannot be written.
    """
    require_matplotlib()
    folder = Path(directory)
    view = view_song(report)
    pictures = {track.name: picture_of(track, song=song, axis=axis) for track in view.tracks}
    contents = {f"{name}.png": picture for name, picture in pictures.items()}
    links = {name: quote(Path(path).name) for name, path in report.outputs.items()}
    contents[PAGE_NAME] = song_page(view, report, pictures, song=song, links=links).encode()
    for name, content in contents.items():
        write_whole(folder / name, content)
    return {**{name: folder / f"{name}.png" for name in pictures}, "page": folder / PAGE_NAME}


def picture_of(
    track: TrackView,
    *,
    axis: FrequencyAxis = "log",
    song: str | None = None,
    theme: look.Theme = "light",
    width: int = DEFAULT_WIDTH,
    scale: float = 1.0,
    has_waveform: bool = True,
    has_axes: bool = True,
) -> bytes:
    """Return the PNG of a track, with a title if the song's name is given.

    Args:
        axis: frequency axis of the spectrogram, which shows −80 to 0 dB and the cutoff of the track's network.
        theme: "light" or "dark".
        width: in pixels.
        scale: pixels of the screen per CSS pixel, so that texts keep their size on a fine screen.
        has_waveform: whether the waveform stands above the spectrogram.
        has_axes: whether labels stand around it; without them the plot fills the picture.

    Raises:
        ValueError: width or scale is out of range.
        MdxError: matplotlib is not installed.
    """
    style = PictureStyle(theme, width, scale, has_waveform, has_axes)
    title = "" if song is None else f"{track.name} · {song}"
    colour = style.palette.colour_of(track.name)
    return draw_track(track.overview, title=title, colour=colour, cutoff_hz=track.cutoff_hz, axis=axis, style=style)


def song_page(
    view: SongView, report: SeparationReport, pictures: Mapping[str, bytes], *, song: str, links: Mapping[str, str]
) -> str:
    """Return the page as HTML.

    Args:
        links: track to the relative URL of its audio file, if it has one.
    """
    template = Template(resources.files("my_submission.pictures").joinpath("song_page.html").read_text("utf-8"))
    seconds = report.source_samples / report.source_rate
    colours = {name: getattr(look, name.upper()) for name in ("ink", "soft", "line", "paper", "wash")}
    return template.substitute(
        colours,
        title=as_html(song),
        subtitle=as_html(
            f"{wording.clock(seconds)} at {report.source_rate / 1000:g} kHz, separated by {report.system}"
        ),
        levels=_level_table(view),
        facts="".join(f"<dt>{as_html(key)}</dt><dd>{as_html(value)}</dd>" for key, value in _facts(view, report)),
        tracks="\n".join(_track_section(track, pictures[track.name], links.get(track.name)) for track in view.tracks),
    )


def level_rows(view: SongView) -> list[dict[str, str]]:
    """Return the level report: one row per track, as column to text."""
    return [
        {
            "track": track.name,
            "peak": wording.decibels(track.overview.peak),
            "RMS": wording.decibels(track.overview.rms),
            "loudness": wording.loudness(track.overview.loudness_lufs),
            "clipped samples": str(track.clipped_samples),
            "cutoff": "—" if track.cutoff_hz is None else f"{track.cutoff_hz / 1000:.1f} kHz",
        }
        for track in view.tracks
    ]


def _level_table(view: SongView) -> str:
    rows = level_rows(view)
    head = "".join(f"<th>{as_html(name)}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{as_html(text)}</td>" for text in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _facts(view: SongView, report: SeparationReport) -> list[tuple[str, str]]:
    budget = "none" if report.budget_seconds is None else wording.clock(report.budget_seconds)
    residual = wording.residual(
        view.residual_db, stems_add_up=report.stems_add_up, common_gain_db=report.common_gain_db
    )
    facts = [
        ("mixture − Σ stems", residual),
        ("time", f"{wording.clock(report.seconds)}, {report.realtime_factor:.1f} × real time; budget: {budget}"),
        ("work", "as published" if report.is_as_published else "; ".join(report.left_out) or report.plan),
        ("ran on", ", ".join(dict.fromkeys(part.runs_on for part in report.parts))),
    ]
    if any(share < 1 for share in report.separated_shares.values()):
        shares = ", ".join(f"{stem} {share:.0%}" for stem, share in report.separated_shares.items())
        facts.insert(2, ("estimated", f"{shares} of the song; the rest is an equal share of the mixture"))
    warnings = report.warnings()
    notes = [note for note in report.notes if note not in warnings]
    return [*(("warning", text) for text in warnings), *facts, *(("note", note) for note in notes)]


def _track_section(track: TrackView, picture: bytes, link: str | None) -> str:
    overview = track.overview
    levels = f"peak {wording.decibels(overview.peak)} · {wording.loudness(overview.loudness_lufs)}"
    player = "" if link is None else f'<audio controls preload="none" src="{as_html(link)}"></audio>'
    image = base64.b64encode(picture).decode()
    what = f"waveform and spectrogram of {'the mixture' if track.name == MIXTURE else track.name}"
    return (
        f'<section style="--track: {look.colour_of(track.name)}"><header><h2>{as_html(track.name)}</h2>'
        f'<span class="levels">{as_html(levels)}</span>{player}</header>'
        f'<img alt="{as_html(what)}" src="data:image/png;base64,{image}"></section>'
    )
