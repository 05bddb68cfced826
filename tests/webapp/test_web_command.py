"""The command that serves the page: its options, its settings, and Streamlit's."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest
from streamlit.config import get_config_options

from my_submission.cli import main, web
from my_submission.errors import MdxError
from my_submission.pictures import palettes
from my_submission.webapp import server
from my_submission.webapp.app import App
from my_submission.webapp.server import configuration
from my_submission.webapp.settings import PageSettings
from my_submission.webapp.songs.expected_song import Arrival, ExpectedSong
from tests.webapp.rig import PATIENCE, REQUEST, VISIT, Gate, add, load, wave


def test_only_systems_with_weights_are_ready(tmp_path: Path, tiny_models: Path) -> None:
    place = App(PageSettings(models_dir=tiny_models, scratch_dir=tmp_path), lambda name, stems: pytest.fail("loaded"))
    assert [system.name for system, is_ready in place.systems() if is_ready] == ["starter"]
    place.prepare()  # the default system has no weights here
    place.close()


def test_a_song_is_separated_once_at_a_time(tmp_path: Path, tiny_models: Path) -> None:
    gate = Gate()
    place = App(PageSettings(models_dir=tiny_models, scratch_dir=tmp_path), gate.load, default_system="fake")
    song = add(place.songs)
    job = place.separate(song, REQUEST)
    with pytest.raises(MdxError, match="already being separated"):
        place.separate(song, REQUEST)
    job.stop()
    gate.opened.set()
    assert place.queue.wait(job, PATIENCE)
    assert place.queue.wait(place.separate(song, REQUEST), PATIENCE)
    assert song.job is not None
    assert song.job.state == "done"
    place.close()


def test_an_expected_song_is_separated_while_its_upload_is_answered(tmp_path: Path, tiny_models: Path) -> None:
    """A page that expects nothing, such as that of scores, keeps its upload; a song that is refused says why."""
    place = App(PageSettings(models_dir=tiny_models, scratch_dir=tmp_path), load, default_system="fake")

    def put(page: str, content: bytes) -> str:
        arrived = place.uploads.announce(page, "file", len(content))
        arrived.write(content)
        arrived.complete("A song.wav", "audio/wav")
        place.receive(page, "file")
        return page

    put("of scores", b"{}")
    assert place.uploads.find("of scores", "file") is not None
    expected = ExpectedSong(VISIT, REQUEST)
    place.expect("page", expected)
    put("page", b"no audio")
    assert expected.arrival is not None
    assert (expected.arrival.token, "A song.wav" in expected.arrival.problem) == ("", True)
    expected.arrival = None
    put("page", wave(0.2))
    (song,) = place.songs.of_visit(VISIT)
    assert expected.arrival == Arrival(song.token, "")
    assert song.job is not None
    assert place.queue.wait(song.job, PATIENCE)
    place.expect("page", None)
    put("page", wave(0.2))
    place.expect("page", expected)
    del expected
    gc.collect()
    put("page", wave(0.2))
    assert place.songs.of_visit(VISIT) == [song], "the page has gone, or does not expect it"
    place.close()


def test_nobody_else_is_let_in_or_told() -> None:
    options = configuration(PageSettings())
    assert (options["server.address"], options["server.port"]) == ("127.0.0.1", 8501)
    assert options["browser.gatherUsageStats"] is False


def test_the_browser_s_colour_scheme_decides() -> None:
    """With colours for both schemes and no base theme Streamlit follows the browser; every option is one of its own."""
    options = configuration(PageSettings())
    assert "theme.base" not in options
    assert not {name for name in options if name.startswith("theme.")} - set(get_config_options())
    assert options["theme.light.backgroundColor"] == palettes.LIGHT.paper
    assert options["theme.dark.backgroundColor"] == palettes.DARK.paper


@pytest.mark.parametrize(
    ("host", "warns"), [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True)]
)
def test_the_command_makes_the_settings(
    host: str, warns: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[PageSettings] = []
    monkeypatch.setattr(web, "serve", lambda settings, load: served.append(settings))
    limits = ["--max-upload", "5", "--max-duration", "60", "--max-waiting", "3", "--max-uploads", "7"]
    limits += ["--keep", "600"]
    addresses_ = ["--port", "9000", "--base-path", "/mdx/", "--allow-host", "a.example", "--allow-host", "b.example"]
    assert main(["web", "--host", host, *limits, *addresses_, "--max-uploads-size", "11"]) == 0
    (settings,) = served
    found = (settings.host, settings.port, settings.max_song_seconds, settings.max_waiting, settings.keep_seconds)
    assert found == (host, 9000, 60.0, 3, 600.0)
    assert (settings.max_upload_mib, settings.max_uploads, settings.max_uploads_mib) == (5, 7, 11)
    assert (settings.base_path, settings.allowed_hosts) == ("/mdx", ("a.example", "b.example"))
    assert ("warning: everyone who can reach" in capsys.readouterr().err) is warns


def test_the_command_says_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert main(["web"]) == 1
    assert "pip install 'mdx-submission[web]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["max_upload_mib", "max_song_seconds", "max_waiting", "keep_seconds"])
def test_limits_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        PageSettings(**{name: 0})  # type: ignore[arg-type]


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


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["web", "--port", str(port)]) == 1
    told = capsys.readouterr().err
    assert f"error: 127.0.0.1:{port}: the page cannot listen here (" in told
    assert "choose another --port" in told


def test_a_host_of_another_machine_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--host", "192.0.2.1", "--port", "0"]) == 1  # reserved for documentation
    assert "error: 192.0.2.1:0: the page cannot listen here (" in capsys.readouterr().err


def test_a_free_port_is_usable() -> None:
    server.check_address("127.0.0.1", 0)
    server.check_address("localhost", 0)
