"""The page without a browser: sessions, the job queue, progress, URLs, settings."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.errors import StreamlitAPIException

from my_submission.cli import main, web
from my_submission.errors import InputError, MdxError
from my_submission.events import Planned, StageStarted
from my_submission.files.scratch import LOCK_NAME
from my_submission.predictor import Predictor
from my_submission.webapp import app as app_module
from my_submission.webapp import server
from my_submission.webapp.app import App, open_app
from my_submission.webapp.server import configuration
from my_submission.webapp.serving.uploads import UploadLimits, UploadStore
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.songs.browser_sessions import (
    FOLDER_PREFIX,
    UPLOADS_FOLDER,
    BrowserSession,
    BrowserSessions,
    SessionSong,
)
from my_submission.webapp.studio import routes as addresses
from my_submission.webapp.tokens import new_token
from my_submission.webapp.views.markdown import plain
from my_submission.webapp.views.scores_files import MAX_BYTES, find_scores
from my_submission.webapp.work.job_queue import JobQueue, QueuedJob, SeparationRequest
from tests.audio_fixtures import noise, write_audio
from tests.rigs import two_branches

RATE = 44_100
SOURCES = ("bass", "drums", "other", "vocals")
REQUEST = SeparationRequest("fake", SOURCES)
PATIENCE = 60.0


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[BrowserSessions]:
    rooms = BrowserSessions(tmp_path, grace_seconds=0.01)
    yield rooms
    rooms.close()


def upload(wave_seconds: float = 1.0, *, seed: int = 0) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, noise(2, int(wave_seconds * RATE), seed=seed).T, RATE, format="WAV")
    file.seek(0)
    return file


def six_channels() -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, noise(6, RATE // 10).T, RATE, format="WAV")
    return file


def take(session: BrowserSession, content: io.BytesIO, name: str = "song.wav") -> SessionSong:
    limits = UploadLimits(1 << 20, 1 << 20, 1, 1 << 20, 1)
    arrived = UploadStore(session._folder / UPLOADS_FOLDER, limits).announce("visitor", "1", len(content.getvalue()))
    arrived.write(content.getvalue())
    arrived.complete(name, "audio/wav")
    return session.take(arrived, max_seconds=3.0)


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (upload(3.5), "longer than the limit of 3 s"),
        (six_channels(), "6 channels where 1 or 2 are expected"),
        (io.BytesIO(b"this is no audio" * 50), "not audio that can be decoded"),
        (io.BytesIO(b""), "empty"),
        (io.BytesIO(upload().getvalue()[:50_000]), "truncated"),
    ],
    ids=["long", "surround", "text", "empty", "cut"],
)
def test_bad_uploads_are_refused_and_leave_nothing(
    sessions: BrowserSessions, content: io.BytesIO, problem: str
) -> None:
    session = sessions.enter()
    with pytest.raises(InputError, match=problem) as caught:
        take(session, content)
    assert str(sessions.folder) not in str(caught.value)
    assert session.song is None
    assert [path.name for path in sessions.folder.rglob("*") if path.is_file()] == [LOCK_NAME]
    assert sorted(path.name for path in sessions.folder.iterdir()) == [LOCK_NAME, UPLOADS_FOLDER]


def test_names_of_uploads_do_not_lead_elsewhere(sessions: BrowserSessions) -> None:
    song = take(sessions.enter(), upload(), "../../../etc/My Song.stem.wav")
    assert song.path.parent.parent == song.folder
    assert (song.folder.parent, song.name) == (sessions.folder, "My Song.stem")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("5.1 surround", "5"),
        ("..", "__"),
        ("mixture.wav", "mixture"),
        (".", "song"),
        ("", "song"),
        ("C:\\music\\a song.flac", "a song"),
        ("a\x00b\x1b[31m\n.wav", "a_b_[31m_"),
        ("é" * 300 + ".wav", "é" * 56),
        ("\ud800.wav", "_"),
    ],
)
def test_any_name_of_a_file_is_taken(sessions: BrowserSessions, queue: JobQueue, given: str, name: str) -> None:
    song = take(sessions.enter(), upload(0.1), given)
    assert song.name == name
    assert finish(queue, queue.submit(song, REQUEST)).state == "done"


def test_a_visit_ends_with_everything_it_brought(sessions: BrowserSessions) -> None:
    session = sessions.enter()
    first = take(session, upload())
    second = take(session, upload())
    assert not first.folder.exists()
    assert sessions.song(second.token) is second
    sessions.leave(session)
    assert until(lambda: not second.folder.exists())
    assert sessions.song(second.token) is None


def test_a_visitor_may_come_back_in_time(tmp_path: Path) -> None:
    sessions = BrowserSessions(tmp_path, grace_seconds=PATIENCE)
    session = sessions.enter()
    song = take(session, upload())
    sessions.leave(session)
    assert sessions.enter(session.token) is session
    assert song.folder.exists()
    assert sessions.enter("of someone else") is not session
    sessions.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_sample", [False, True])
def test_a_song_renewed_has_its_input_and_nothing_else(
    sessions: BrowserSessions, tmp_path: Path, is_sample: bool
) -> None:
    session = sessions.enter()
    if is_sample:
        sample = write_audio(tmp_path / "sample.wav", noise(2, RATE))
        old = session.take_sample("sample", sample, max_seconds=3)
    else:
        old = take(session, upload())
    (old.folder / "mixer.wav").touch()
    new = session.renew()
    assert (new.name, new.seconds) == (old.name, 1.0)
    assert new.token != old.token
    assert sessions.song(old.token) is None
    assert not old.folder.exists()
    assert [path for path in new.folder.rglob("*") if path.is_file()] == ([] if is_sample else [new.path])
    assert soundfile.info(new.path).frames == RATE


def test_files_in_use_are_removed_by_their_last_user(sessions: BrowserSessions) -> None:
    song = take(sessions.enter(), upload())
    with song.in_use():
        song.discard()
        assert song.folder.exists()
    assert not song.folder.exists()
    with pytest.raises(InputError, match="was deleted"), song.in_use():
        pass


def test_folders_of_killed_servers_are_removed_by_the_next(tmp_path: Path) -> None:
    killed = tmp_path / f"{FOLDER_PREFIX}killed"
    killed.mkdir()
    (killed / LOCK_NAME).touch()
    (killed / "song.wav").touch()
    alive = BrowserSessions(tmp_path)
    assert not killed.exists()
    second = BrowserSessions(tmp_path)
    assert alive.folder.exists()
    alive.close()
    second.close()


def test_a_song_gives_its_space_to_others_when_it_is_given_up(sessions: BrowserSessions) -> None:
    store = UploadStore(sessions.uploads_folder, UploadLimits(1 << 20, 1 << 20, 2, 1 << 20, 2))
    session = sessions.enter()

    wave = upload().getvalue()
    for file_id in ("1", "2"):
        arrived = store.announce("session", file_id, len(wave))
        arrived.write(wave)
        arrived.complete("song.wav", "audio/wav")
        session.take(store.take("session", file_id), max_seconds=3.0)
        assert (store.n_files, store.n_bytes) == (1, len(wave))
    session.renew()
    assert (store.n_files, store.n_bytes) == (1, len(wave))
    arrived = store.announce("session", "3", 4)
    arrived.write(b"RIFF")
    arrived.complete("broken.wav", "audio/wav")
    with pytest.raises(InputError):
        session.take(store.take("session", "3"), max_seconds=3.0)
    assert (store.n_files, store.n_bytes) == (1, len(wave))
    session.discard_song()
    assert (store.n_files, store.n_bytes) == (0, 0)


def load(name: str, stems: tuple[str, ...]) -> Predictor:
    system = two_branches()
    return Predictor(replace(system, recipe=replace(system.recipe, chosen_stems=stems)))


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    shop = JobQueue(load, max_seconds=10.0, max_waiting=2)
    yield shop
    shop.close()


def finish(queue: JobQueue, job: QueuedJob) -> QueuedJob:
    assert queue.wait(job, PATIENCE)
    return job


def test_a_song_becomes_stems_a_view_and_a_mixer_file(sessions: BrowserSessions, queue: JobQueue) -> None:
    song = take(sessions.enter(), upload())
    job = finish(queue, queue.submit(song, SeparationRequest("fake", ("vocals", "bass"))))
    assert (job.state, job.error) == ("done", "")
    assert song.view is not None
    assert [track.name for track in song.view.tracks] == ["mixture", "vocals", "bass"]
    assert song.view.residual_db is None  # two stems are not all of the song
    assert soundfile.info(song.folder / "mixer.wav").channels == 4
    names = sorted(path.name for path in (song.folder / "stems").iterdir())
    assert names == ["bass.wav", "separation.json", "vocals.wav"]
    stems, _ = soundfile.read(song.stems["vocals"], dtype="float32")
    mixture, _ = soundfile.read(song.path, dtype="float32")
    assert stems == pytest.approx(0.43 * mixture, abs=1e-6)


def test_two_visitors_get_their_own_songs_from_one_loaded_system(sessions: BrowserSessions) -> None:
    loaded = []

    def load_and_count(name: str, stems: tuple[str, ...]) -> Predictor:
        loaded.append(name)
        return load(name, stems)

    queue = JobQueue(load_and_count, max_seconds=10.0)
    songs = [take(sessions.enter(), upload(seconds, seed=7)) for seconds in (1.0, 0.5)]
    jobs = [queue.submit(song, REQUEST) for song in songs]
    for job, seconds in zip(jobs, (1.0, 0.5), strict=True):
        assert finish(queue, job).state == "done"
        assert soundfile.info(job.song.stems["drums"]).duration == seconds
    queue.close()
    assert loaded == ["fake"]


class Gate:
    """Loading that waits until it is let through."""

    def __init__(self) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()

    def load(self, name: str, stems: tuple[str, ...]) -> Predictor:
        self.reached.set()
        assert self.opened.wait(PATIENCE)
        return load(name, stems)


def test_the_queue_counts_stops_and_refuses(sessions: BrowserSessions) -> None:
    gate = Gate()
    queue = JobQueue(gate.load, max_seconds=10.0, max_waiting=2)
    running = queue.submit(take(sessions.enter(), upload()), REQUEST)
    assert gate.reached.wait(PATIENCE)
    second, third = (queue.submit(take(sessions.enter(), upload()), REQUEST) for _ in range(2))
    assert [queue.n_ahead(job) for job in (running, second, third)] == [0, 1, 2]
    with pytest.raises(MdxError, match="2 songs are waiting"):
        queue.submit(take(sessions.enter(), upload()), REQUEST)
    second.stop()
    assert queue.n_ahead(third) == 1
    assert second.state == "stopped"
    gone = third.song
    gone.discard()
    assert not gone.folder.exists()
    running.stop()
    gate.opened.set()
    assert finish(queue, running).state == "stopped"
    assert finish(queue, third).state == "stopped"
    assert not (running.song.folder / "stems").exists()
    queue.close()


def test_a_failure_is_told_without_places_on_the_server(sessions: BrowserSessions) -> None:
    def fail(name: str, stems: tuple[str, ...]) -> Predictor:
        raise RuntimeError("a bug")

    queue = JobQueue(fail, max_seconds=0.5)
    song = take(sessions.enter(), upload())
    assert finish(queue, queue.submit(song, REQUEST)).error.startswith("Internal error")
    queue.close()
    queue = JobQueue(load, max_seconds=0.5)
    job = finish(queue, queue.submit(song, REQUEST))
    assert (job.state, job.error.partition(": ")[0]) == ("failed", "song")
    assert str(sessions.folder) not in job.error
    queue.close()


@pytest.fixture
def place(tmp_path: Path, tiny_models: Path) -> Iterator[App]:
    samples = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    settings = PageSettings(models_dir=tiny_models, sample_inputs=(samples,), scratch_dir=tmp_path)
    made = open_app(settings, load)
    yield made
    made.close()
    app_module._apps.clear()


def ask(address: str) -> Response:
    """The answer to an address, by the route that takes it."""
    scope = {"type": "http", "method": "GET", "path": address, "headers": [], "query_string": b""}
    for route in addresses.routes():
        match, found = route.matches(scope)
        if match is Match.FULL:
            response: Response = route.endpoint(Request({**scope, **found}))
            return response
    raise AssertionError(f"no route takes {address}")


def test_addresses_lead_to_a_song_and_to_nobody_else_s(place: App) -> None:
    session = place.sessions.enter()
    song = session.take_sample("sample", place.samples[0].path, max_seconds=10)
    assert ask(addresses.mixer_address(song)).status_code == 404  # not separated yet
    assert finish(place.queue, place.queue.submit(song, REQUEST)).state == "done"
    for address in (addresses.audio_address(song, "drums"), addresses.mixer_address(song)):
        answer = ask(address)
        assert isinstance(answer, FileResponse)
        assert answer.headers["cache-control"] == "private, no-store"
    for axis in ("log", "linear"):
        assert ask(addresses.picture_address(song, "mixture", axis)).media_type == "image/png"
    good = addresses.audio_address(song, "drums")
    for bad in (
        good.replace(song.token, "x" * 32),
        good.replace("drums", "piano"),
        good.replace("drums", "..%2Finput"),
        addresses.download_address(song, "drums", "mp3-PCM_16"),
        addresses.download_address(song, "mixture", "wav-PCM_16"),
    ):
        assert ask(bad).status_code == 404
    for token in ("tökén", "\ud800", "", song.token[:-1], song.token.upper()):
        assert ask(good.replace(song.token, token or " ")).status_code == 404
    session.discard_song()
    assert ask(good).status_code == 404
    assert place.samples[0].path.exists()


def test_downloads_come_in_every_format(place: App) -> None:
    song = take(place.sessions.enter(), upload(0.5), "My song.wav")
    finish(place.queue, place.queue.submit(song, REQUEST))
    for form, wanted in addresses.FORMATS.items():
        answer = ask(addresses.download_address(song, "vocals", form))
        assert isinstance(answer, FileResponse)
        info = soundfile.info(answer.path)
        assert (info.format.lower(), info.subtype, info.frames) == (wanted.file_format, wanted.subtype, RATE // 2)
        assert answer.filename == f"My song - vocals{wanted.suffix}"
    archive = ask(addresses.download_address(song, addresses.ALL_STEMS, "flac-PCM_24"))
    assert isinstance(archive, FileResponse)
    with zipfile.ZipFile(archive.path) as packed:
        assert packed.testzip() is None
        expected = {f"My song/{name}.flac" for name in SOURCES} | {"My song/report.html", "My song/separation.json"}
        assert set(packed.namelist()) == expected
        assert str(song.folder) not in packed.read("My song/report.html").decode()


def test_one_thread_draws_for_all(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    song = take(place.sessions.enter(), upload(0.1))
    finish(place.queue, place.queue.submit(song, REQUEST))
    drew = []

    def note(track: object, *, axis: str) -> bytes:
        drew.append(threading.get_ident())
        return b""

    monkeypatch.setattr(addresses, "picture_of", note)
    asked = [addresses.picture_address(song, name, "log") for name in ("mixture", *SOURCES)]
    threads = [threading.Thread(target=ask, args=(address,)) for address in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drew) == 5
    assert len(set(drew)) == 1


def test_text_of_others_is_no_markup() -> None:
    assert plain("![x](http://elsewhere) :red[a] 7.5") == r"\!\[x\]\(http\:\/\/elsewhere\) \:red\[a\] 7\.5"


def test_a_separation_tells_its_parts_before_it_begins() -> None:
    predictor = Predictor(two_branches())
    first, *events = predictor.stream(noise(2, 20_000))
    assert isinstance(first, Planned)
    begun = [event.part for event in events if isinstance(event, StageStarted)]
    assert list(first.parts) == begun


def test_only_systems_with_weights_are_ready(place: App) -> None:
    assert [system.name for system, is_ready in place.systems() if is_ready] == ["starter"]


def test_nobody_else_is_let_in_or_told() -> None:
    options = configuration(PageSettings())
    assert (options["server.address"], options["server.port"]) == ("127.0.0.1", 8501)
    assert options["browser.gatherUsageStats"] is False


@pytest.mark.parametrize(
    ("host", "warns"), [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True)]
)
def test_the_command_makes_the_settings(
    host: str, warns: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[PageSettings] = []
    monkeypatch.setattr(web, "serve", lambda settings, load: served.append(settings))
    limits = ["--max-upload", "5", "--max-duration", "60", "--max-waiting", "3", "--max-uploads", "7"]
    addresses_ = ["--port", "9000", "--base-path", "/mdx/", "--allow-host", "a.example", "--allow-host", "b.example"]
    assert main(["web", "--host", host, *limits, *addresses_, "--max-uploads-size", "11"]) == 0
    (settings,) = served
    found = (settings.host, settings.port, settings.max_song_seconds, settings.max_waiting)
    assert found == (host, 9000, 60.0, 3)
    assert (settings.max_upload_mib, settings.max_uploads, settings.max_uploads_mib) == (5, 7, 11)
    assert (settings.base_path, settings.allowed_hosts) == ("/mdx", ("a.example", "b.example"))
    assert ("warning: everyone who can reach" in capsys.readouterr().err) is warns


def test_the_command_says_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert main(["web"]) == 1
    assert "pip install 'mdx-submission[web]'" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"max_upload_mib": 0}, {"max_song_seconds": 0.0}, {"max_waiting": 0}])
def test_limits_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        PageSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--base-path", "mdx"],
        ["--base-path", "/../mdx"],
        ["--base-path", "/a b"],
        ["--base-path", "/{token}"],
        ["--allow-host", "http://a.example"],
        ["--allow-host", "*"],
        ["--max-upload", "50", "--max-uploads-size", "40"],
    ],
)
def test_settings_that_cannot_be_are_one_line(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "serve", lambda settings, load: pytest.fail("served"))
    assert main(["web", *wrong]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert wrong[1].strip("-") in told


def test_no_token_is_one_that_streamlit_refuses() -> None:
    """The rule that Streamlit applies to the name of every component, which ends in the key."""
    with pytest.raises(StreamlitAPIException, match="delimiter"):
        _make_trigger_id("$$ID-0123-tracks-a__b", "events")
    for _ in range(200):
        _make_trigger_id(f"$$ID-0123-tracks-{new_token()}", "events")


def test_tokens_are_plain_and_each_another() -> None:
    tokens = {new_token() for _ in range(2_000)}
    assert len(tokens) == 2_000
    assert all(re.fullmatch("[0-9a-f]{48}", token) for token in tokens)


def test_every_address_of_a_song_is_below_the_base_path(tmp_path: Path, tiny_models: Path) -> None:
    sample = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    settings = PageSettings(
        models_dir=tiny_models, sample_inputs=(sample,), scratch_dir=tmp_path, base_path="/mdx/demo"
    )
    made = open_app(settings, load)
    song = made.sessions.enter().take_sample("sample", sample, max_seconds=10)
    for address in (
        addresses.audio_address(song, "bass"),
        addresses.mixer_address(song),
        addresses.picture_address(song, "bass", "log"),
        addresses.download_address(song, "bass", "wav-PCM_16"),
    ):
        assert address.startswith("/mdx/demo/song/")
        scope = {"type": "http", "method": "GET", "path": address}
        assert [route.matches(scope)[0] for route in addresses.routes("/mdx/demo")].count(Match.FULL) == 1
    made.close()
    app_module._apps.clear()


def scores(**changes: object) -> dict[str, object]:
    row = {"bass": 6.0, "drums": 7.0, "other": 5.0, "vocals": 8.0, "song": 6.5}
    metrics = {"mdx": {"songs": {"one": row}, "mean": row}}
    good = {"schema": 1, "dataset": "one song", "system": "x", "sources": list(SOURCES), "metrics": metrics}
    return {**good, **changes}


BAD_SCORES: dict[str, str | bytes] = {
    "no json": "{",
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
    "deep metrics": '{"schema": 1, "dataset": "d", "metrics": ' + '{"mdx":' * 50_000,
    "lacks a source": json.dumps(scores(sources=[*SOURCES, "piano"])),
    "sources are numbers": json.dumps(scores(sources=[1, 2])),
    "sources is a number": json.dumps(scores(sources=5)),
    "infinite": json.dumps(scores()).replace("6.5", "1e999"),
    "NaN": json.dumps(scores()).replace("6.5", "NaN"),
    "400 digits": json.dumps(scores()).replace("6.5", "9" * 400),
    "9 000 digits": json.dumps(scores()).replace("6.5", "9" * 9_000),
    "no mean": json.dumps(scores(metrics={"mdx": {"songs": {}, "mean": {}}})),
    "frames": json.dumps(scores(metrics={"bsseval": {"songs": {"a": {"bass": {}}}, "median": {"bass": {}}}})),
}


def test_one_bad_scores_file_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    (tmp_path / "good-scores.json").write_text(json.dumps(scores()))
    (tmp_path / "run.json").write_text('{"songs": [1, 2]}')  # of another kind
    (tmp_path / "list.json").write_text("[]")
    for name, content in BAD_SCORES.items():
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{name}.json").write_bytes(raw)
    (tmp_path / "large.json").touch()
    os.truncate(tmp_path / "large.json", MAX_BYTES + 1)
    found = find_scores([tmp_path])
    assert {name.rpartition("/")[2] for name in found.documents} == {"good-scores.json"}
    named = {name.rpartition("/")[2].removesuffix(".json") for name in found.problems}
    assert named == {*BAD_SCORES, "large"}
    assert not [problem for problem in found.problems.values() if str(tmp_path) in problem or len(problem) > 400]


def test_scores_files_of_one_name_are_all_shown(tmp_path: Path) -> None:
    for folder in ("one/a/b", "two/a/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "scores.json").write_text(json.dumps(scores()))
    assert sorted(find_scores([tmp_path]).documents) == ["a/b/scores.json", "a/b/scores.json (2)"]
