"""Routes for audio, pictures and downloads of a song, under its secret token; files are sent from disk."""

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
from my_submission.audio_io.writing.audio_format import AudioFormat
from my_submission.audio_io.writing.stem_sets import RECORD_FILE, SetFile
from my_submission.errors import InputError, MdxError
from my_submission.files.part_files import write_whole, written_whole
from my_submission.pictures import FrequencyAxis, SongView
from my_submission.pictures.song_page import PAGE_NAME, picture_of, song_page
from my_submission.predictor.separation_record import record_of_copy
from my_submission.webapp.app import current_app
from my_submission.webapp.songs.browser_sessions import SessionSong

PRIVATE = {"Cache-Control": "private, no-store"}
"""Prevents caches from storing songs."""

ALL_STEMS = "all"

FORMATS = {
    f"{audio_format.file_format}-{audio_format.subtype}": audio_format
    for audio_format in (
        *(AudioFormat("wav", bit_depth=depth) for depth in ("16", "24", "32f")),
        *(AudioFormat("flac", bit_depth=depth) for depth in ("16", "24")),
        AudioFormat("mp3"),
    )
}
"""Download formats by their name in URLs."""

_drawing = ThreadPoolExecutor(1, thread_name_prefix="mdx-pictures")
"""One thread draws all pictures, because matplotlib keeps fonts open per thread."""


def routes(base_path: str = "") -> list[Route]:
    """Return the routes; all paths begin with the base path."""
    song = f"{base_path}/song/{{token}}"
    return [
        Route(f"{song}/audio/{{track}}.wav", _answering(_audio)),
        Route(f"{song}/mixer.wav", _answering(_mixer)),
        Route(f"{song}/picture/{{axis}}/{{track}}.png", _answering(_picture)),
        Route(f"{song}/download/{{form}}/{{what}}", _answering(_download)),
    ]


def _address(song: SessionSong) -> str:
    return f"{current_app().settings.base_path}/song/{song.token}"


def audio_address(song: SessionSong, track: str) -> str:
    """Return the URL of a track's audio."""
    return f"{_address(song)}/audio/{track}.wav"


def mixer_address(song: SessionSong) -> str:
    """Return the URL of the file with all stems for the mixer."""
    return f"{_address(song)}/mixer.wav"


def picture_address(song: SessionSong, track: str, axis: FrequencyAxis) -> str:
    """Return the URL of a track's picture."""
    return f"{_address(song)}/picture/{axis}/{track}.png"


def download_address(song: SessionSong, what: str, form: str) -> str:
    """Return the download URL of a stem, or of ``ALL_STEMS``, in one of ``FORMATS``."""
    return f"{_address(song)}/download/{form}/{what}"


def _answering(answer: Callable[[Request, SessionSong], Response]) -> Callable[[Request], Response]:
    """Return an endpoint that looks up the song and handles errors; Starlette runs it in a thread."""

    def endpoint(request: Request) -> Response:
        song = current_app().sessions.song(request.path_params["token"])
        if song is None:
            return PlainTextResponse("This song was deleted.", 404)
        try:
            with song.in_use():
                return answer(request, song)
        except (InputError, KeyError):
            return PlainTextResponse("This song has no such track.", 404)
        except MdxError as error:
            return PlainTextResponse(str(error), 500)

    return endpoint


def _view(song: SessionSong) -> SongView:
    if song.view is None:
        raise KeyError(song.token)
    return song.view


def _audio(request: Request, song: SessionSong) -> Response:
    return FileResponse(_view(song).track(request.path_params["track"]).path, media_type="audio/wav", headers=PRIVATE)


def _mixer(_: Request, song: SessionSong) -> Response:
    _view(song)
    return FileResponse(song.folder / "mixer.wav", media_type="audio/wav", headers=PRIVATE)


def _picture(request: Request, song: SessionSong) -> Response:
    axis = request.path_params["axis"]
    if axis not in get_args(FrequencyAxis):
        raise KeyError(axis)
    picture = _drawn(song, request.path_params["track"], cast("FrequencyAxis", axis))
    return FileResponse(picture, media_type="image/png", headers=PRIVATE)


def _drawn(song: SessionSong, name: str, axis: FrequencyAxis) -> Path:
    """Return the path of a track's PNG, which is drawn on the first request."""
    track = _view(song).track(name)
    path = song.folder / f"{name}.{axis}.png"
    with song.lock:
        if not path.exists():
            write_whole(path, _drawing.submit(picture_of, track, axis=axis).result())
    return path


def _download(request: Request, song: SessionSong) -> Response:
    what, form = request.path_params["what"], request.path_params["form"]
    audio_format = FORMATS[form]
    stems = song.stems
    if not stems or (what != ALL_STEMS and what not in stems):
        raise KeyError(what)
    with song.lock:
        folder = song.folder / form
        if not folder.exists():
            record = song.record

            def describe(files: Mapping[str, SetFile]) -> Mapping[str, Any]:
                return record_of_copy(record or {}, files, audio_format)

            convert_stems(stems, folder, audio_format, describe=describe if record else None)
    if what == ALL_STEMS:
        return FileResponse(_zipped(song, form), filename=f"{folder_name(song.name)}.zip", headers=PRIVATE)
    file = folder / f"{what}{audio_format.suffix}"
    return FileResponse(file, filename=f"{folder_name(song.name)} - {file.name}", headers=PRIVATE)


def _zipped(song: SessionSong, form: str) -> Path:
    """Return the path of a ZIP with all stems in a format and the song's page."""
    path = song.folder / f"{form}.zip"
    name = folder_name(song.name)
    view, report = _view(song), song.report
    if report is None:
        raise KeyError(song.token)
    files = sorted((song.folder / form).iterdir())
    links = {file.stem: file.name for file in files if file.name != RECORD_FILE}
    page = song_page(view, report, song=song.name, links=links)
    with song.lock:
        if not path.exists():
            # audio hardly compresses
            with (
                written_whole(path, is_flushed=False) as part,
                zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
            ):
                for file in files:
                    archive.write(file, f"{name}/{file.name}")
                archive.writestr(f"{name}/{PAGE_NAME}", page)
    return path
