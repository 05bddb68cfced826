"""What the page serves beside itself: sound in ranges, pictures, downloads; all under a song's secret token.

Files are sent from the disk, so that no song is held in memory, and nobody without the token finds them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from my_submission.audio_io import convert_stems, folder_name
from my_submission.audio_io.stem_sets import RECORD_FILE, SetFile
from my_submission.audio_io.stem_writer import FORMAT_SUBTYPES
from my_submission.errors import InputError, MdxError
from my_submission.files.part_files import write_whole, written_whole
from my_submission.pictures import FrequencyAxis
from my_submission.pictures.song_page import PAGE_NAME, picture_of, song_page
from my_submission.predictor.separation_record import record_of_copy
from my_submission.webapp.app import studio
from my_submission.webapp.browser_sessions import SessionSong

PRIVATE = {"Cache-Control": "private, no-store"}
"""No cache on the way keeps a visitor's song."""

ALL_STEMS = "all"

FORMATS = {
    f"{file_format}-{subtype}": (file_format, subtype)
    for file_format, subtypes in FORMAT_SUBTYPES.items()
    for subtype in subtypes
}
"""Formats of a download, by the name they have in an address."""

_drawing = ThreadPoolExecutor(1, thread_name_prefix="mdx-pictures")
"""One thread draws for all: matplotlib keeps fonts open for every thread that it has drawn in."""


def routes(base_path: str = "") -> list[Route]:
    """The addresses, for the server; all begin with the base path."""
    song = f"{base_path}/song/{{token}}"
    return [
        Route(f"{song}/audio/{{track}}.wav", _answering(_audio)),
        Route(f"{song}/mixer.wav", _answering(_mixer)),
        Route(f"{song}/picture/{{axis}}/{{track}}.png", _answering(_picture)),
        Route(f"{song}/download/{{form}}/{{what}}", _answering(_download)),
    ]


def _address(song: SessionSong) -> str:
    return f"{studio().settings.base_path}/song/{song.token}"


def audio_address(song: SessionSong, track: str) -> str:
    """Where a track can be heard."""
    return f"{_address(song)}/audio/{track}.wav"


def mixer_address(song: SessionSong) -> str:
    """Where all stems can be heard in step."""
    return f"{_address(song)}/mixer.wav"


def picture_address(song: SessionSong, track: str, axis: FrequencyAxis) -> str:
    """Where a track can be seen."""
    return f"{_address(song)}/picture/{axis}/{track}.png"


def download_address(song: SessionSong, what: str, form: str) -> str:
    """Where a stem, or ``ALL_STEMS``, can be had in one of ``FORMATS``."""
    return f"{_address(song)}/download/{form}/{what}"


def _answering(answer: Callable[[Request, SessionSong], Response]) -> Callable[[Request], Response]:
    """An endpoint for a song that is there; Starlette runs it in a thread."""

    def endpoint(request: Request) -> Response:
        song = studio().visits.song(request.path_params["token"])
        if song is None:
            return PlainTextResponse("This song is no longer here.", 404)
        try:
            with song.in_use():
                return answer(request, song)
        except (InputError, KeyError):
            return PlainTextResponse("There is no such track of this song.", 404)
        except MdxError as error:
            return PlainTextResponse(str(error), 500)

    return endpoint


def _audio(request: Request, song: SessionSong) -> Response:
    view = song.view
    if view is None:
        raise KeyError(song.token)
    return FileResponse(view.track(request.path_params["track"]).path, media_type="audio/wav", headers=PRIVATE)


def _mixer(_: Request, song: SessionSong) -> Response:
    if song.view is None:
        raise KeyError(song.token)
    return FileResponse(song.folder / "mixer.wav", media_type="audio/wav", headers=PRIVATE)


def _picture(request: Request, song: SessionSong) -> Response:
    axis = request.path_params["axis"]
    if axis not in get_args(FrequencyAxis):
        raise KeyError(axis)
    picture = _drawn(song, request.path_params["track"], cast("FrequencyAxis", axis))
    return FileResponse(picture, media_type="image/png", headers=PRIVATE)


def _drawn(song: SessionSong, name: str, axis: FrequencyAxis) -> Path:
    """The PNG of a track, drawn when it is first asked for."""
    if song.view is None:
        raise KeyError(song.token)
    track = song.view.track(name)
    path = song.folder / f"{name}.{axis}.png"
    with song.lock:
        if not path.exists():
            write_whole(path, _drawing.submit(picture_of, track, axis=axis).result())
    return path


def _download(request: Request, song: SessionSong) -> Response:
    what, form = request.path_params["what"], request.path_params["form"]
    file_format, subtype = FORMATS[form]
    stems = song.stems
    if not stems or (what != ALL_STEMS and what not in stems):
        raise KeyError(what)
    with song.lock:
        folder = song.folder / form
        if not folder.exists():
            record = song.record

            def describe(files: Mapping[str, SetFile]) -> Mapping[str, Any]:
                return record_of_copy(record or {}, files, file_format=file_format, subtype=subtype)

            convert_stems(
                stems, folder, subtype=subtype, file_format=file_format, describe=describe if record else None
            )
    if what == ALL_STEMS:
        return FileResponse(_zipped(song, form), filename=f"{folder_name(song.name)}.zip", headers=PRIVATE)
    file = folder / f"{what}.{file_format}"
    return FileResponse(file, filename=f"{folder_name(song.name)} - {file.name}", headers=PRIVATE)


def _zipped(song: SessionSong, form: str) -> Path:
    """All stems of a format and the song's page, in one file."""
    path = song.folder / f"{form}.zip"
    name = folder_name(song.name)
    view, report = song.view, song.report
    if view is None or report is None:
        raise KeyError(song.token)
    pictures = {track.name: _drawn(song, track.name, "log").read_bytes() for track in view.tracks}
    files = sorted((song.folder / form).iterdir())
    links = {file.stem: file.name for file in files if file.name != RECORD_FILE}
    page = song_page(view, report, pictures, song=song.name, links=links)
    with song.lock:
        if not path.exists():
            # FLAC is compressed already, and WAV hardly shrinks
            with (
                written_whole(path, is_flushed=False) as part,
                zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
            ):
                for file in files:
                    archive.write(file, f"{name}/{file.name}")
                archive.writestr(f"{name}/{PAGE_NAME}", page)
    return path
