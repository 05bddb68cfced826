"""The studio's addresses: state, peaks, playback, pictures, downloads, mixes, and what they refuse."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pytest
import soundfile
from starlette.applications import Starlette
from starlette.types import Message

from my_submission.errors import OutputError
from my_submission.pictures.palettes import DARK, LIGHT
from my_submission.webapp import app as app_module
from my_submission.webapp.app import App, open_app
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.songs.song import Song
from my_submission.webapp.studio import downloads
from my_submission.webapp.studio import routes as routes_module
from my_submission.webapp.studio.formats import FORMATS
from my_submission.webapp.studio.routes import GAIN_HEADER, assets_address, routes, song_address
from my_submission.webapp.work.separation_job import SeparationRequest
from tests.audio_fixtures import noise, write_audio
from tests.webapp.rig import PATIENCE, RATE, REQUEST, SHARES, SOURCES, VISIT, Gate, add, load, until, wav_of, wave

SECONDS = 12
STRETCH = 5 * RATE
DELETED = "This song was deleted."


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def text(self) -> str:
        return self.content.decode()


def ask(address: str, method: str = "GET", *, base_path: str = "") -> Answer:
    """The answer to a request, through the application that serves the routes."""
    path, _, query = address.partition("?")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    address_parts = {"path": unquote(path), "query_string": query.encode(), "headers": []}
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": method, **address_parts}
    asyncio.run(Starlette(routes=routes(base_path))(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def place(tmp_path: Path, tiny_models: Path) -> Iterator[App]:
    sample = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    settings = PageSettings(models_dir=tiny_models, sample_inputs=(sample,), scratch_dir=tmp_path / "scratch")
    made = open_app(settings, load, default_system="fake")
    yield made
    made.close()
    app_module._apps.clear()


def separated(place: App, content: bytes, name: str = "My song.wav", request: SeparationRequest = REQUEST) -> Song:
    song = add(place.songs, content, name)
    assert place.queue.wait(place.separate(song, request), PATIENCE)
    assert song.job is not None
    assert song.job.state == "done", song.job.message
    return song


def wave_in(content: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == RATE
    return np.asarray(samples.T)


def test_the_state_of_a_song_from_the_drop_to_the_end(place: App) -> None:
    song = add(place.songs, wave(), "My song.wav")
    before = ask(f"{song_address(song)}/state.json")
    assert before.status == 200
    assert before.json["song"] == {"name": "My song", "seconds": 1.0, "rate": None, "samples": None}
    assert (before.json["job"]["state"], before.json["result"]) == ("none", None)
    assert before.json["keep_seconds"] == 3600
    assert before.json["formats"][0] == {"name": "wav-PCM_16", "label": "WAV, 16 bit"}
    place.queue.wait(place.separate(song, REQUEST), PATIENCE)
    after = ask(f"{song_address(song)}/state.json").json
    assert after["song"] == {"name": "My song", "seconds": 1.0, "rate": RATE, "samples": RATE}
    job = {name: after["job"][name] for name in ("state", "ahead", "system", "share", "left_seconds", "message")}
    assert job == {"state": "done", "ahead": 0, "system": "fake", "share": 1.0, "left_seconds": None, "message": ""}
    result = after["result"]
    tracks = result.pop("tracks")
    assert result == {
        "version": "1",
        "system": "fake",
        "is_preview": False,
        "is_complete": True,
        "is_separated": True,
        "is_over": True,
        "ready_samples": RATE,
        "samples": RATE,
        "rate": RATE,
        "stretch_samples": STRETCH,
        "peak_samples": 256,
    }
    assert [track["name"] for track in tracks] == ["mixture", *SOURCES]
    assert [track["is_stem"] for track in tracks] == [False, True, True, True, True]
    assert tracks[4] == {
        "name": "vocals",
        "is_stem": True,
        "colour_light": LIGHT.colour_of("vocals"),
        "colour_dark": DARK.colour_of("vocals"),
        "clipped": 0,
        "ready_samples": RATE,
    }


def test_a_waiting_song_knows_its_place(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(place.queue._systems, "_load", gate.load)
    songs = [add(place.songs) for _ in range(3)]
    for song in songs:
        place.separate(song, REQUEST)
    assert gate.reached.wait(PATIENCE)
    jobs = [ask(f"{song_address(song)}/state.json").json["job"] for song in songs]
    assert [(job["state"], job["ahead"]) for job in jobs] == [("running", 0), ("waiting", 1), ("waiting", 2)]
    assert ask(f"{song_address(songs[1])}/stop", "POST").status == 204
    assert ask(f"{song_address(songs[1])}/state.json").json["job"]["state"] == "stopped"
    assert ask(f"{song_address(songs[2])}/state.json").json["job"]["ahead"] == 1
    assert ask(f"{song_address(songs[0])}/stop", "POST").status == 204
    assert ask(f"{song_address(songs[0])}/state.json").json["job"]["state"] == "stopping"
    gate.opened.set()
    until(lambda: ask(f"{song_address(songs[2])}/state.json").json["job"]["state"] == "done")


def test_peaks_come_from_any_bin_on(place: App) -> None:
    mixture = noise(2, RATE, level=0.4)
    base = f"{song_address(separated(place, wav_of(mixture)))}/1"
    whole = ask(f"{base}/peaks/vocals")
    assert whole.headers["content-type"] == "application/octet-stream"
    pairs = np.frombuffer(whole.content, "<i2").reshape(-1, 2)
    assert len(pairs) == -(-RATE // 256)
    first = SHARES["vocals"] * mixture[:, :256] * 16_384
    np.testing.assert_allclose(pairs[0], [first.min(), first.max()], atol=1)
    last = SHARES["vocals"] * mixture[:, RATE - RATE % 256 :] * 16_384
    np.testing.assert_allclose(pairs[-1], [last.min(), last.max()], atol=1)
    assert ask(f"{base}/peaks/vocals?from=100").content == whole.content[400:]
    assert ask(f"{base}/peaks/vocals?from=5000").content == b""
    for wrong in ("-1", "x", "1e3", "9" * 30, "²"):
        assert ask(f"{base}/peaks/vocals?from={wrong}").status == 400


def test_stretches_for_playback_are_the_track_at_half_level(place: App) -> None:
    """In 16 bits, without clipping samples up to 2.0."""
    mixture = noise(2, SECONDS * RATE, level=0.5)
    base = f"{song_address(separated(place, wav_of(mixture)))}/1"
    for name, share in {"mixture": 1.0, **SHARES}.items():
        answers = [ask(f"{base}/play/{name}/{index}.flac") for index in range(3)]
        assert {answer.headers["content-type"] for answer in answers} == {"audio/flac"}
        stretches = [wave_in(answer.content) for answer in answers]
        assert [each.shape[1] for each in stretches] == [STRETCH, STRETCH, 2 * RATE]
        wanted = np.clip(0.5 * share * mixture, -1, 1)
        assert np.abs(np.concatenate(stretches, axis=1) - wanted).max() <= 2**-15
    assert ask(f"{base}/play/vocals/3.flac").status == 404
    assert ask(f"{base}/play/vocals/x.flac").status == 400


def test_a_running_song_plays_as_far_as_it_is_separated(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(n_runs=int(0.7 * SECONDS * RATE / 4_096))
    monkeypatch.setattr(place.queue._systems, "_load", gate.load)
    song = add(place.songs, wave(SECONDS))
    job = place.separate(song, REQUEST)
    assert gate.reached.wait(PATIENCE)
    base = f"{song_address(song)}/1"
    until(lambda: ask(f"{base}/play/vocals/0.flac").status == 200)
    state = ask(f"{song_address(song)}/state.json").json
    assert (state["job"]["state"], state["result"]["is_complete"]) == ("running", False)
    assert state["result"]["ready_samples"] == STRETCH
    assert [track["ready_samples"] for track in state["result"]["tracks"][:2]] == [SECONDS * RATE, STRETCH]
    assert ask(f"{base}/play/mixture/2.flac").status == 200
    for early in ("play/vocals/2.flac", "download/wav-PCM_16/vocals", "mix/wav-PCM_16?vocals=0,0"):
        assert ask(f"{base}/{early}").status == 425
    assert ask(f"{base}/picture/log/vocals.png").status == 425
    assert ask(f"{song_address(song)}/stop", "POST").status == 204
    gate.opened.set()
    assert place.queue.wait(job, PATIENCE)
    ready = ask(f"{song_address(song)}/state.json").json["result"]["ready_samples"]
    assert STRETCH <= ready < SECONDS * RATE
    assert wave_in(ask(f"{base}/download/wav-FLOAT/vocals").content).shape == (2, ready)
    assert wave_in(ask(f"{base}/mix/wav-FLOAT?vocals=0,0&mixture=-6,0").content).shape == (2, ready)
    assert ask(f"{base}/play/vocals/{ready // STRETCH + 1}.flac").status == 404
    with zipfile.ZipFile(io.BytesIO(ask(f"{base}/download/flac-PCM_16/all").content)) as packed:
        assert sorted(packed.namelist()) == [f"song/{name}.flac" for name in SOURCES]


def test_pictures_are_drawn_for_the_screen(place: App) -> None:
    base = f"{song_address(separated(place, wave()))}/1"
    sizes = {}
    for axis, theme, width in (("log", "light", 400), ("linear", "dark", 400), ("log", "light", 900)):
        answer = ask(f"{base}/picture/{axis}/vocals.png?theme={theme}&width={width}")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
        sizes[axis, theme, width] = int.from_bytes(answer.content[16:20], "big")
    assert list(sizes.values()) == [400, 400, 900]
    assert ask(f"{base}/picture/log/mixture.png").status == 200
    for wrong, status in (
        ("picture/mel/vocals.png", 404),
        ("picture/log/vocals.png?theme=blue", 404),
        ("picture/log/vocals.png?width=20", 400),
        ("picture/log/vocals.png?width=90000", 400),
        ("picture/log/vocals.png?scale=x", 400),
        ("picture/log/piano.png", 404),
    ):
        assert ask(f"{base}/{wrong}").status == status, wrong


def test_one_thread_draws_for_all(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"{song_address(separated(place, wave(0.2)))}/1"
    drew = []

    def note(track: object, **_: object) -> bytes:
        drew.append(threading.get_ident())
        return b""

    monkeypatch.setattr(downloads, "picture_of", note)
    asked = [f"{base}/picture/log/{name}.png" for name in ("mixture", *SOURCES)]
    threads = [threading.Thread(target=ask, args=(address,)) for address in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(drew), len(set(drew))) == (5, 1)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_downloads_come_in_every_format(place: App, form: str) -> None:
    song = separated(place, wave(0.5))
    answer = ask(f"{song_address(song)}/1/download/{form}/vocals")
    wanted = FORMATS[form].audio_format
    info = soundfile.info(io.BytesIO(answer.content))
    assert (info.format.lower(), info.subtype, info.frames) == (wanted.file_format, wanted.subtype, RATE // 2)
    assert filename(answer) == f"My song - vocals{wanted.suffix}"
    assert GAIN_HEADER.lower() not in answer.headers
    mixture = ask(f"{song_address(song)}/1/download/{form}/mixture")
    assert filename(mixture) == f"My song - mixture{wanted.suffix}"


def filename(answer: Answer) -> str:
    stated = answer.headers["content-disposition"]
    match = re.search(r"filename\*=utf-8''(.*)$|filename=\"(.*)\"$", stated)
    assert match is not None, stated
    return unquote(match[1] or match[2])


def test_the_archive_has_the_stems_and_the_page(place: App) -> None:
    song = separated(place, wave(0.5))
    answer = ask(f"{song_address(song)}/1/download/flac-PCM_24/all")
    assert filename(answer) == "My song.zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        expected = {f"My song/{name}.flac" for name in SOURCES} | {"My song/report.html", "My song/separation.json"}
        assert set(packed.namelist()) == expected
        for name in ("report.html", "separation.json"):
            assert str(song.files.folder) not in packed.read(f"My song/{name}").decode()


def test_no_download_clips_silently(place: App) -> None:
    """Integer files of loud stems get one gain, which is told; 32-bit float files keep the samples."""
    mixture = noise(2, RATE, level=0.9)
    song = separated(place, wav_of(mixture))
    base = f"{song_address(song)}/1"
    quieter = ask(f"{base}/download/wav-PCM_24/vocals")
    gain_db = float(quieter.headers[GAIN_HEADER.lower()])
    loudest = max(float(np.abs(share * mixture).max()) for share in SHARES.values())
    assert gain_db == pytest.approx(-20 * np.log10(loudest), abs=0.006)
    wanted = SHARES["vocals"] * mixture / loudest
    np.testing.assert_allclose(wave_in(quieter.content), wanted, atol=1e-6)
    bass = ask(f"{base}/download/wav-PCM_24/bass")
    assert bass.headers[GAIN_HEADER.lower()] == quieter.headers[GAIN_HEADER.lower()]
    with zipfile.ZipFile(io.BytesIO(ask(f"{base}/download/wav-PCM_24/all").content)) as packed:
        record = json.loads(packed.read("My song/separation.json"))
    assert record["report"]["common_gain_db"] == pytest.approx(gain_db, abs=0.006)
    kept = ask(f"{base}/download/wav-FLOAT/vocals")
    assert GAIN_HEADER.lower() not in kept.headers
    np.testing.assert_allclose(wave_in(kept.content), SHARES["vocals"] * mixture, atol=1e-6)
    mix = ask(f"{base}/mix/flac-PCM_16?name=loud&vocals=12,0")
    assert float(mix.headers[GAIN_HEADER.lower()]) < -12 + 1
    assert np.abs(wave_in(mix.content)).max() <= 1


def test_a_mix_is_rendered_and_leaves_no_file(place: App) -> None:
    mixture = noise(2, RATE)
    song = separated(place, wav_of(mixture))
    answer = ask(f"{song_address(song)}/1/mix/wav-FLOAT?name=karaoke&drums=-6,0&bass=0,-1")
    assert filename(answer) == "My song - karaoke.wav"
    drums = 10 ** (-6 / 20) * SHARES["drums"] * mixture.astype(np.float64)
    bass = SHARES["bass"] * mixture.astype(np.float64)
    wanted = drums + np.stack([bass[0] + bass[1], 0 * bass[1]])
    np.testing.assert_allclose(wave_in(answer.content), wanted, atol=1e-6)
    assert list(song.files.folder.glob("mix-*")) == []
    hostile = ask(f"{song_address(song)}/1/mix/wav-FLOAT?name=..%2F..%2Fetc%0d%0aX:y&drums=0,0")
    assert hostile.status == 200
    assert "\n" not in hostile.headers["content-disposition"]
    assert "/" not in filename(hostile)
    for name in ("", "%00", "%20", "ü" * 200, "%00" * 200, "a%5Cb"):
        assert filename(ask(f"{song_address(song)}/1/mix/wav-FLOAT?name={name}&drums=0,0")).startswith("My song - ")
    for wrong, status in (("drums=a,0", 400), ("drums=0,2", 400), ("piano=0,0", 404), ("", 404), ("name=mix", 404)):
        assert ask(f"{song_address(song)}/1/mix/wav-FLOAT?{wrong}").status == status
    assert ask(f"{song_address(song)}/1/mix/wav-PCM_8?drums=0,0").status == 404
    assert list(song.files.folder.glob("mix-*")) == []


def test_nothing_is_cached_but_the_studio_s_own_files(place: App) -> None:
    song = separated(place, wave(0.5))
    base = song_address(song)
    result = f"{base}/1"
    for address in (
        f"{base}/state.json",
        f"{result}/peaks/bass",
        f"{result}/play/bass/0.flac",
        f"{result}/play/bass/9.flac",
        f"{result}/picture/log/bass.png?width=300",
        f"{result}/download/wav-PCM_16/bass",
        f"{result}/download/wav-PCM_16/piano",
        f"{result}/mix/wav-PCM_16?bass=0,0",
        "/song/unknown/state.json",
    ):
        assert ask(address).headers["cache-control"] == "private, no-store", address
    assert ask(f"{base}/stop", "POST").headers["cache-control"] == "private, no-store"
    script = ask(f"{assets_address()}/studio.js")
    assert script.status == 200
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    for wrong in (f"{assets_address()}/routes.py", f"{assets_address()}/..%2froutes.py", "/studio/0/studio.js"):
        assert ask(wrong).status == 404


def test_addresses_lead_to_a_song_and_to_nobody_else_s(place: App) -> None:
    song = separated(place, wave(0.5))
    good = f"{song_address(song)}/1/play/drums/0.flac"
    assert ask(good).status == 200
    for bad in (good.replace("drums", "piano"), good.replace("drums", "..%2Finput"), good.replace("/1/", "/2/")):
        assert ask(bad).status == 404
    for token in ("tökén", "\ud800", song.token[:-1], song.token.upper(), "x" * 48, VISIT):
        answer = ask(good.replace(song.token, token))
        assert (answer.status, answer.text) == (404, DELETED)
    for other in ("/", "/1", "/1/2/3/4/5/6", "/mixer.wav"):
        assert ask(f"{song_address(song)}{other}").status == 404
    assert ask(f"{song_address(song)}/state.json", "POST").status == 405
    assert ask(f"{song_address(song)}/delete").status == 404
    assert song.files.folder.exists(), "only a POST deletes"
    assert ask(f"{song_address(song)}/delete", "POST").status == 204
    for gone in (good, f"{song_address(song)}/state.json"):
        assert (ask(gone).status, ask(gone).text) == (404, DELETED)
    assert ask(f"{song_address(song)}/delete", "POST").status == 404
    assert not song.files.folder.exists()


def test_a_full_disk_is_told_without_places_on_the_server(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    song = separated(place, wave(0.2))

    def fail(*_: object, **__: object) -> None:
        raise OutputError("the disk is full", where=song.files.folder, hint="free some space there")

    for name in ("convert_stems", "write_mix"):
        monkeypatch.setattr(downloads, name, fail)
    for address in ("download/wav-PCM_16/bass", "mix/wav-PCM_16?bass=0,0"):
        answer = ask(f"{song_address(song)}/1/{address}")
        assert (answer.status, answer.text) == (
            500,
            "The server cannot make this file: the disk is full. Try again later.",
        )
    assert list(song.files.folder.glob("mix-*")) == []


def test_the_state_is_answered_when_it_has_changed(place: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A studio that has seen the present state waits for another one; after a while it is told the same."""
    song = add(place.songs)
    address = f"{song_address(song)}/state.json"
    tag = ask(address).json["tag"]
    looks = []

    async def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3 and song.job is None:
            assert place.queue.wait(place.separate(song, REQUEST), PATIENCE)

    monkeypatch.setattr(routes_module.asyncio, "sleep", look)
    after = ask(f"{address}?seen={quote(tag)}").json
    assert len(looks) == 3
    assert (after["job"]["state"], after["result"]["is_over"]) == ("done", True)
    looks.clear()
    assert ask(f"{address}?seen={quote(after['tag'])}").json["tag"] == after["tag"]
    assert sum(looks) == pytest.approx(routes_module.STATE_WAIT_SECONDS)
    looks.clear()
    assert ask(f"{address}?seen={quote(tag)}").json["tag"] == after["tag"]
    assert looks == []


def test_polling_is_use(place: App) -> None:
    song = add(place.songs)
    song.used_at = -1.0
    place.songs._clock = lambda: place.songs.keep_seconds - 2
    assert ask(f"{song_address(song)}/state.json").status == 200
    place.songs._clock = lambda: 2 * place.songs.keep_seconds - 3
    assert ask(f"{song_address(song)}/state.json").status == 200


def test_an_old_version_is_refused_after_the_next(place: App) -> None:
    song = separated(place, wave(0.5))
    assert place.queue.wait(place.separate(song, SeparationRequest("fake", ("vocals",))), PATIENCE)
    assert ask(f"{song_address(song)}/1/play/vocals/0.flac").status == 404
    assert ask(f"{song_address(song)}/2/play/vocals/0.flac").status == 200
    assert ask(f"{song_address(song)}/2/play/drums/0.flac").status == 404


@pytest.mark.parametrize("what", ["download/wav-FLOAT/all", "download/wav-FLOAT/drums", "mix/wav-FLOAT?drums=0,0"])
def test_a_download_that_meets_the_next_version_is_complete(
    place: App, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It is made and sent of the version that it began with, whose files are deleted only then."""
    song = separated(place, wave(0.5))
    old = song.files.result
    assert old is not None
    expected = ask(f"{song_address(song)}/1/{what}").content
    for made in old.folder.glob("wav-FLOAT*"):  # to be made again
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    make = {name: getattr(downloads, name) for name in ("convert_stems", "write_mix")}

    def swapped(*arguments: Any, name: str, **named: Any) -> Any:
        if song.files.result is old:
            assert place.queue.wait(place.separate(song, SeparationRequest("fake", ("drums",))), PATIENCE)
            assert song.files.result is not old
        return make[name](*arguments, **named)

    for name in make:
        monkeypatch.setattr(downloads, name, functools.partial(swapped, name=name))
    answer = ask(f"{song_address(song)}/1/{what}")
    assert answer.status == 200
    assert parts_of(answer.content) == parts_of(expected)
    assert not old.folder.exists()
    assert list(song.files.folder.glob("mix-*")) == []


def parts_of(content: bytes) -> dict[str, bytes]:
    """The files of an archive by name, but for the page and record, which hold times; or the one file."""
    if not content.startswith(b"PK"):
        return {"": content}
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name) for name in packed.namelist() if name.endswith(".wav")}


def test_a_download_of_an_earlier_version_leads_to_the_present_one(place: App) -> None:
    song = separated(place, wave(0.5))
    assert place.queue.wait(place.separate(song, REQUEST), PATIENCE)
    for what in ("download/wav-FLOAT/all", "mix/wav-FLOAT?name=a%20b&drums=0,0", "picture/log/drums.png?width=300"):
        answer = ask(f"{song_address(song)}/1/{what}")
        assert (answer.status, answer.headers["location"]) == (307, f"{song_address(song)}/2/{what}")
        assert ask(answer.headers["location"]).status == 200
    for version in ("3", "01x", "9" * 30):
        assert ask(f"{song_address(song)}/{version}/download/wav-FLOAT/all").status == 404


def test_every_address_is_below_the_base_path(tmp_path: Path, tiny_models: Path) -> None:
    sample = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    settings = PageSettings(
        models_dir=tiny_models, sample_inputs=(sample,), scratch_dir=tmp_path / "scratch", base_path="/mdx/demo"
    )
    made = open_app(settings, load, default_system="fake")
    song = made.songs.add_sample("sample", sample, visit=VISIT)
    assert song_address(song) == f"/mdx/demo/song/{song.token}"
    assert ask(f"{song_address(song)}/state.json", base_path="/mdx/demo").status == 200
    assert ask(f"{assets_address()}/studio.js", base_path="/mdx/demo").status == 200
    assert ask(f"/song/{song.token}/state.json", base_path="/mdx/demo").status == 404
    made.close()
    app_module._apps.clear()
