"""Writes the pictures of a song, and its page, which opens anywhere as one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote, unquote

from my_submission.audio_io.writing.listening_copies import MEDIA_TYPE
from my_submission.files.part_files import write_whole
from my_submission.pictures import palettes, wording
from my_submission.pictures.drawing import DEFAULT_WIDTH, FrequencyAxis, PictureStyle, draw_track, require_matplotlib
from my_submission.pictures.players import Players, players_of
from my_submission.pictures.song import MIXTURE, SongView, TrackView, view_song
from my_submission.pictures.track_plot import gradient_css, track_plot
from my_submission.pictures.wording import clock_label
from my_submission.predictor import SeparationReport
from terminal.names import as_html, listed

PAGE_NAME = "report.html"

_UNITS = {"peak": "dBFS", "RMS": "dBFS", "loudness": "LUFS", "clipped": "samples", "cutoff": "kHz"}


def write_pictures(
    report: SeparationReport, directory: str | Path, *, song: str, axis: FrequencyAxis = "log"
) -> dict[str, Path]:
    """Write ``<track>.png`` for the mixture and every stem, and ``report.html``.

    The page embeds its pictures and small copies of the audio, so it opens anywhere; it links to the stems beside it.

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
    contents[PAGE_NAME] = song_page(view, report, song=song, links=links, axis=axis).encode()
    for name, content in contents.items():
        write_whole(folder / name, content)
    return {**{name: folder / f"{name}.png" for name in pictures}, "page": folder / PAGE_NAME}


def picture_of(
    track: TrackView,
    *,
    axis: FrequencyAxis = "log",
    song: str | None = None,
    theme: palettes.Theme = "light",
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
        has_waveform: whether the waveform is drawn above the spectrogram.
        has_axes: whether labels are drawn around it; without them the plot fills the picture.

    Raises:
        ValueError: width or scale is out of range.
        MdxError: matplotlib is not installed.
    """
    style = PictureStyle(theme, width, scale, has_waveform, has_axes)
    title = "" if song is None else f"{track.name} · {song}"
    colour = style.palette.colour_of(track.name)
    return draw_track(track.overview, title=title, colour=colour, cutoff_hz=track.cutoff_hz, axis=axis, style=style)


def song_page(
    view: SongView,
    report: SeparationReport,
    *,
    song: str,
    links: Mapping[str, str],
    axis: FrequencyAxis = "log",
    players: Players | None = None,
) -> str:
    """Return the page as HTML.

    It loads nothing from elsewhere but the files that it links to, and only if it has no audio of its own.

    Args:
        song: the song's name, used as the page's title.
        links: track to the relative URL of its audio file, if it has one.
        axis: frequency axis of the spectrograms.
        players: audio of the tracks; encoded here by default.

    Raises:
        InputError: a file of the song cannot be read.
        MdxError: matplotlib is not installed.
    """
    players = players or players_of(view)
    script = _resource("song_page.js").strip()
    tracks = view.tracks if report.is_separated else view.tracks[:1]
    return Template(_resource("song_page.html")).substitute(
        policy=_policy(script),
        title=as_html(song),
        subtitle=as_html(_subtitle(report)),
        light=palettes.css_variables(palettes.LIGHT),
        dark=palettes.css_variables(palettes.DARK),
        style=_resource("song_page.css"),
        summary=_summary(view, report, players),
        tracks="\n".join(
            _track_section(track, view.tracks[0], axis, players.addresses.get(track.name), links.get(track.name))
            for track in tracks
        ),
        gradient=gradient_css(),
        levels=_level_table(view),
        facts="".join(f"<dt>{as_html(key)}</dt><dd>{as_html(value)}</dd>" for key, value in _facts(view, report)),
        script=script,
    )


def _resource(name: str) -> str:
    return resources.files("my_submission.pictures").joinpath(name).read_text("utf-8")


def _policy(script: str) -> str:
    """Return a content security policy that allows what the page has: its style, its script and its own files."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; media-src data: 'self' file:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _subtitle(report: SeparationReport) -> str:
    seconds = report.source_samples / report.source_rate
    duration = wording.duration(report.seconds)
    return f"{clock_label(round(seconds))} min, separated by the system {report.system} in {duration}"


def _summary(view: SongView, report: SeparationReport, players: Players) -> str:
    """Return the sentences at the top: warnings first, then how the stems fit the song, then the players."""
    warnings = list(report.warnings())
    if not report.is_separated:
        warnings.append("The stems are equal shares of the song. Separate it again with more time.")
    lines = [f'<p class="warning"><strong>Warning:</strong> {as_html(_sentence(text))}</p>' for text in warnings]
    if report.is_separated:
        fit = wording.together(view.residual_db, stems_add_up=report.stems_add_up, common_gain_db=report.common_gain_db)
        lines += [f"<p>{as_html(text)}</p>" for text in (fit, _unseparated_part(report), _clipped(view)) if text]
    turns = " A player continues where the previous one stopped." if players.addresses else ""
    lines.append(f'<p class="soft players">{as_html(players.remark + turns)}</p>')
    return f'<div class="summary">{"".join(lines)}</div>'


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _unseparated_part(report: SeparationReport) -> str:
    """Return a sentence on the stems that are separated in a part of the song only, or nothing."""
    parts = [f"{name} in {share:.0%}" for name, share in report.separated_shares.items() if share < 1]
    if not parts:
        return ""
    return (
        f"There was too little time: {listed(parts)} of the song is separated; the rest is an equal share of the song."
    )


def _clipped(view: SongView) -> str:
    names = [track.name for track in view.tracks if track.clipped_samples and track.name != MIXTURE]
    if not names:
        return ""
    be = "is" if len(names) == 1 else "are"
    return f"{_sentence(f'{listed(names)} {be} clipped in places')} Files of 32-bit float do not clip."


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
    head = "".join(f'<th scope="col">{name}<small>{unit}</small></th>' for name, unit in _UNITS.items())
    body = "".join(_level_row(track) for track in view.tracks)
    return f'<table><thead><tr><th scope="col">track</th>{head}</tr></thead><tbody>{body}</tbody></table>'


def _level_row(track: TrackView) -> str:
    overview, cutoff = track.overview, track.cutoff_hz
    cells = [
        wording.decibels(overview.peak).removesuffix(" dBFS"),
        wording.decibels(overview.rms).removesuffix(" dBFS"),
        wording.loudness(overview.loudness_lufs).removesuffix(" LUFS"),
        str(track.clipped_samples),
        "—" if cutoff is None else f"{cutoff / 1000:.1f}",
    ]
    row = "".join(f"<td>{as_html(text)}</td>" for text in cells)
    return f'<tr><th scope="row">{as_html(track.name)}</th>{row}</tr>'


def _facts(view: SongView, report: SeparationReport) -> list[tuple[str, str]]:
    budget = "none" if report.budget_seconds is None else wording.duration(report.budget_seconds)
    residual = wording.residual(
        view.residual_db, stems_add_up=report.stems_add_up, common_gain_db=report.common_gain_db
    )
    facts = [
        ("mixture − Σ stems", residual),
        ("sample rate", f"{report.source_rate / 1000:g} kHz, {report.source_samples} samples"),
        ("time", f"{wording.duration(report.seconds)}, {report.realtime_factor:.1f} × real time; time limit: {budget}"),
        ("work", "as published" if report.is_as_published else "; ".join(report.left_out) or report.plan),
        ("ran on", ", ".join(dict.fromkeys(part.runs_on for part in report.parts))),
    ]
    if any(share < 1 for share in report.separated_shares.values()):
        shares = ", ".join(f"{stem} {share:.0%}" for stem, share in report.separated_shares.items())
        facts.insert(2, ("separated", f"{shares} of the song; the rest is an equal share of the mixture"))
    warnings = report.warnings()
    notes = [note for note in report.notes if note not in warnings]
    return [*(("warning", text) for text in warnings), *facts, *(("note", note) for note in notes)]


def _track_section(track: TrackView, whole: TrackView, axis: FrequencyAxis, audio: str | None, link: str | None) -> str:
    name = wording.track_name(track.name)
    if track.name == MIXTURE:
        said = "The song before separation"
    else:
        said = wording.beside_song(track.overview, whole.overview)
        said = said[:1].upper() + said[1:]
    file = "" if link is None else f' · <a href="{as_html(link)}" download>{as_html(unquote(link))}</a>'
    colour = (
        f"var(--stem-{track.name})" if track.name in palettes.LIGHT.stems or track is whole else "var(--stem-without)"
    )
    return (
        f'<section class="track" style="--track: {colour}" aria-labelledby="track-{as_html(track.name)}">'
        f'<header><h2 id="track-{as_html(track.name)}">{as_html(name)}</h2><p>{as_html(said)}{file}</p>'
        f"{_player(name, audio, link)}</header>{track_plot(track, axis=axis)}</section>"
    )


def _player(name: str, audio: str | None, link: str | None) -> str:
    """Return a player of the embedded audio, with the file as a second source for a browser that cannot play it."""
    sources = [f'<source src="{audio}" type="{MEDIA_TYPE}; codecs=opus">'] if audio else []
    sources += [f'<source src="{as_html(link)}">'] if link else []
    if not sources:
        return ""
    preload = "metadata" if audio else "none"
    return f'<audio controls preload="{preload}" aria-label="{as_html(name)}">{"".join(sources)}</audio>'
