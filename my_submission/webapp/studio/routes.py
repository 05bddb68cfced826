"""Addresses of a song for the studio, under its secret token; files are sent from disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from my_submission.audio_io import flac_16
from my_submission.errors import InputError, MdxError
from my_submission.pictures import FrequencyAxis
from my_submission.pictures.drawing import DEFAULT_WIDTH
from my_submission.pictures.palettes import Theme
from my_submission.pictures.song import MIXTURE
from my_submission.webapp.app import current_app
from my_submission.webapp.songs.song import Song
from my_submission.webapp.studio.asset_files import asset, assets_hash
from my_submission.webapp.studio.downloads import Download, archive_download, mix_download, picture, track_download
from my_submission.webapp.studio.formats import FORMATS
from my_submission.webapp.studio.mix import Fader
from my_submission.webapp.studio.state import state_of, tag_of
from my_submission.webapp.work.shared_use import DiscardedError
from my_submission.webapp.work.song_files import SongFiles
from my_submission.webapp.work.song_result import SongResult
from terminal.names import shown

PRIVATE = {"Cache-Control": "private, no-store"}
"""Prevents caches from storing songs."""

GAIN_HEADER = "Mdx-Common-Gain-Db"
"""Gain in dB that all tracks of a download were given so that none clips; absent if nothing was changed."""

ALL_STEMS = "all"
PLAYBACK_GAIN = 0.5
"""Level of playback files, so that samples up to 2.0 are not clipped; the player multiplies by 2."""

STATE_WAIT_SECONDS = 1.0
"""Longest wait for a change of a song's state; the server's end waits for open requests."""

STATE_LOOK_SECONDS = 0.02

MAX_DIGITS = 9
MAX_NAME_LETTERS = 40


logger = logging.getLogger(__name__)


class _RefusedError(Exception):
    """A request that is answered with a status and a text."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _SongFile(FileResponse):
    """A file of a song.

    Args:
        held: uses of the song and result that the file belongs to; they end when it is sent.
    """

    def __init__(self, held: contextlib.ExitStack, download: Download) -> None:
        headers = {**PRIVATE, **({GAIN_HEADER: f"{download.gain_db:.2f}"} if download.gain_db else {})}
        super().__init__(download.path, filename=download.name or None, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


def routes(base_path: str = "") -> list[Route]:
    """Return the routes; all paths begin with the base path."""
    song = f"{base_path}/song/{{token}}"
    result = f"{song}/{{version}}"
    return [
        Route(f"{song}/state.json", _state_once_changed),
        Route(f"{song}/stop", _of_song(_stop), methods=["POST"]),
        Route(f"{song}/delete", _of_song(_delete), methods=["POST"]),
        Route(f"{result}/peaks/{{track}}", _of_result(_peaks)),
        Route(f"{result}/play/{{track}}/{{index}}.flac", _of_result(_play)),
        Route(f"{result}/picture/{{axis}}/{{track}}.png", _file_of_result(_picture)),
        Route(f"{result}/download/{{form}}/{{what}}", _file_of_result(_download)),
        Route(f"{result}/mix/{{form}}", _file_of_result(_mix)),
        Route(f"{song}/{{rest:path}}", _missing),
        Route(f"{base_path}/studio/{{hash}}/{{file}}", asset),
    ]


def song_address(song: Song) -> str:
    """Return the path of a song's addresses."""
    return f"{current_app().settings.base_path}/song/{song.token}"


def assets_address() -> str:
    """Return the path of the studio's scripts and styles."""
    return f"{current_app().settings.base_path}/studio/{assets_hash()}"


def _refusal(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(text, status, headers=PRIVATE)


def _deleted() -> Response:
    return _refusal(HTTPStatus.NOT_FOUND, "This song was deleted.")


def _missing(_: Request) -> Response:
    return _refusal(HTTPStatus.NOT_FOUND, "There is no such page.")


def _of_song(answer: Callable[[Request, Song], Response]) -> Callable[[Request], Response]:
    """Return an endpoint that looks up the song and handles errors; Starlette runs it in a thread."""

    def endpoint(request: Request) -> Response:
        song = current_app().songs.find(request.path_params["token"])
        if song is None:
            return _deleted()
        try:
            with song.files.in_use():
                return answer(request, song)
        except _RefusedError as refusal:
            return _refusal(refusal.status, refusal.text)
        except InputError as error:
            return _deleted() if song.files.is_discarded else _refusal(HTTPStatus.BAD_REQUEST, str(error))
        except KeyError:
            return _refusal(HTTPStatus.NOT_FOUND, "This song has no such track or format.")
        except MdxError as error:
            logger.error("%s: %s", song.name, error)
            problem = f"The server cannot make this file: {error.problem}. Try again later."
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, problem)

    return endpoint


def _of_result(answer: Callable[[Request, SongFiles, SongResult], Response]) -> Callable[[Request], Response]:
    def find(request: Request, song: Song) -> Response:
        with _result_in_use(request, song) as result:
            return answer(request, song.files, result)

    return _of_song(find)


def _file_of_result(make: Callable[[Request, SongFiles, SongResult], Download]) -> Callable[[Request], Response]:
    """Return an endpoint that sends a file; result and song stay until it is sent.

    A request for an earlier result, such as a preview, is redirected to the current one.
    """

    def find(request: Request, song: Song) -> Response:
        with contextlib.ExitStack() as stack:
            stack.enter_context(song.files.in_use())
            try:
                result = stack.enter_context(_result_in_use(request, song))
            except _OldResultError as error:
                head, _, tail = request.url.path.partition(f"{song.token}/{request.path_params['version']}/")
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"{head}{song.token}/{error.present}/{tail}{query}", headers=PRIVATE)
            download = make(request, song.files, result)
            if download.dispose is not None:
                stack.callback(download.dispose)
            return _SongFile(stack.pop_all(), download)

    return _of_song(find)


class _OldResultError(_RefusedError):
    """A request names an earlier result than the current one."""

    def __init__(self, present: str) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, "There is a newer result. Load the page again.")
        self.present = present


@contextlib.contextmanager
def _result_in_use(request: Request, song: Song) -> Iterator[SongResult]:
    """Yield the result that a request names, and keep it during the body of a ``with``."""
    stated = request.path_params["version"]
    while True:
        result = song.files.result
        if result is not None and _is_number(stated) and int(stated) < int(result.version):
            raise _OldResultError(result.version)
        if result is None or stated != result.version:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such result.")
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(result.in_use())
            except DiscardedError:
                continue  # a newer result has just replaced it
            yield result
            return


async def _state_once_changed(request: Request) -> Response:
    """Answer with the state as soon as its tag differs from the one that the studio has seen, or after a timeout."""
    song = await run_in_threadpool(current_app().songs.find, request.path_params["token"])
    seen, queue = request.query_params.get("seen"), current_app().queue
    if song is not None and seen is not None:
        for _ in range(round(STATE_WAIT_SECONDS / STATE_LOOK_SECONDS)):
            if song.files.is_discarded or tag_of(song, queue) != seen:
                break
            await asyncio.sleep(STATE_LOOK_SECONDS)
    return await run_in_threadpool(_of_song(_state), request)


def _state(_: Request, song: Song) -> Response:
    app = current_app()
    return JSONResponse(state_of(song, app.queue, keep_seconds=app.songs.keep_seconds), headers=PRIVATE)


def _stop(_: Request, song: Song) -> Response:
    if song.job is not None:
        song.job.stop()
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=PRIVATE)


def _delete(_: Request, song: Song) -> Response:
    current_app().songs.remove(song)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=PRIVATE)


def _peaks(request: Request, _: SongFiles, result: SongResult) -> Response:
    track = result.tracks[request.path_params["track"]]
    first = _number(request.query_params.get("from", "0"))
    return Response(track.peaks.read(first), media_type="application/octet-stream", headers=PRIVATE)


def _play(request: Request, _: SongFiles, result: SongResult) -> Response:
    """Encode a stretch; this takes some milliseconds and avoids a second copy of every track."""
    name, index = request.path_params["track"], _number(request.path_params["index"])
    start = index * result.stretch_samples
    ready = result.playable_samples(name)
    end = ready if result.is_over else result.samples
    stop = min(start + result.stretch_samples, end)
    if start >= end:
        raise _RefusedError(HTTPStatus.NOT_FOUND, "The song ends earlier.")
    if stop > ready:
        raise _RefusedError(HTTPStatus.TOO_EARLY, "This part is not separated yet.")
    content = flac_16(result.tracks[name].read(start, stop), result.sample_rate, gain=PLAYBACK_GAIN)
    return Response(content, media_type="audio/flac", headers=PRIVATE)


def _picture(request: Request, files: SongFiles, result: SongResult) -> Download:
    axis, name = request.path_params["axis"], request.path_params["track"]
    theme = request.query_params.get("theme", "light")
    if axis not in get_args(FrequencyAxis) or theme not in get_args(Theme):
        raise KeyError(axis)
    if name != MIXTURE:
        _refuse_unless_over(result)
    width = _number(request.query_params.get("width", str(DEFAULT_WIDTH)))
    try:
        scale = float(request.query_params.get("scale", "1"))
        axis, theme = cast("FrequencyAxis", axis), cast("Theme", theme)
        return picture(files, result, name, axis=axis, theme=theme, width=width, scale=scale)
    except ValueError as error:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"There is no such picture: {error}.") from error


def _download(request: Request, files: SongFiles, result: SongResult) -> Download:
    form, what = FORMATS[request.path_params["form"]], request.path_params["what"]
    if what != ALL_STEMS and what not in result.tracks:
        raise KeyError(what)
    _refuse_unless_over(result)
    return archive_download(files, result, form) if what == ALL_STEMS else track_download(files, result, form, what)


def _mix(request: Request, files: SongFiles, result: SongResult) -> Download:
    form, asked = FORMATS[request.path_params["form"]], dict(request.query_params)
    name = shown(asked.pop("name", "")).strip()[:MAX_NAME_LETTERS] or "mix"
    faders = {track: Fader.parse(text) for track, text in asked.items() if track in result.tracks}
    if len(faders) != len(asked):
        raise KeyError("track")
    _refuse_unless_over(result)
    return mix_download(files, result, form, faders, name=name)


def _refuse_unless_over(result: SongResult) -> None:
    if not result.is_over:
        raise _RefusedError(HTTPStatus.TOO_EARLY, "The song is still being separated. Wait, or stop it to keep a part.")


def _number(text: str) -> int:
    if not _is_number(text):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "A whole number is expected.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
