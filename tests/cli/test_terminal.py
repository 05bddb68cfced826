"""Names that are no text or that a terminal would obey; streams and signals of a command's process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.cli import main as evaluate
from my_submission.audio_io.writing.stem_sets import parse_json, to_json
from my_submission.batch.earlier_results import _is_same_file
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.remote_paths import Storage
from my_submission.batch.summary import write_summary
from my_submission.cli import main
from my_submission.cli.progress import RunProgress
from my_submission.errors import InputError
from terminal import process
from terminal.names import as_html, restored, shown, storable, stored

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = "bad\udcff\x1b[31m\n\u202e[red]x[/red] :smile: <b>$x$"
"""A byte that is no UTF-8, an escape sequence, a line's end, a turned direction; rich's, HTML's and TeX's markup."""

HARMLESS = "bad\\xff\\x1b[31m\\x0a\\u202e[red]x[/red] :smile: <b>$x$"

POSIX = pytest.mark.skipif(os.name != "posix", reason="names of bytes and signals are a POSIX matter")

ALPHABET = st.sampled_from([*"\\x5cfud80a", "\udcff", "\udc80", "\ud800", "é", "\x1b", "\x85", "\U0001f600"])


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.text(ALPHABET, max_size=12) | st.text(max_size=12))
def test_stored_names_come_back_and_shown_ones_are_one_harmless_line(name: str) -> None:
    kept = stored(name)
    kept.encode()
    assert restored(kept) == name
    line = shown(name)
    line.encode()
    assert shown(line) == line
    assert not any(letter.isspace() and letter != " " for letter in line if ord(letter) < 0x80)
    assert "\x1b" not in line


def test_plain_names_stay_as_they_are() -> None:
    for name in ("plain", "C:\\Users\\song.wav", "日本語の歌", "नमस्ते \u200d", "\\xyz", "a'b\"c [x]"):
        assert shown(name) == stored(name) == restored(name) == name
    assert stored("\\xff \udcff") == "\\x5cxff \\xff"
    assert storable({"\udcff": ["\udcfe", 1, None]}) == {"\\xff": ["\\xfe", 1, None]}
    assert as_html("<\n\"'>") == "&lt;\\x0a&quot;&#x27;&gt;"


def write_song(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((12_345, 2))
    with path.open("wb") as file:
        soundfile.write(file, noise, 44_100, format="WAV")
    return path


@POSIX
def test_songs_of_any_name_are_separated_reported_and_shown(
    tmp_path: Path, tiny_models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    songs = [write_song(tmp_path / f"{HOSTILE.replace('/', '')}.wav"), tmp_path / "no\udcfe.wav", tmp_path / "last.wav"]
    songs[1].write_bytes(b"no sound" * 100)
    write_song(songs[2])
    report = tmp_path / "report.json"
    words = ["separate", *map(str, songs), "-o", str(tmp_path / "out"), "--system", "starter"]
    words += ["--models-dir", str(tiny_models)]
    assert main([*words, "--report", str(report)]) == 1
    out, err = capfd.readouterr()
    assert HARMLESS.replace("/", "") in out
    assert "error: no\\xfe: " in err
    assert not {"\x1b", "\u202e", "\udcff"} & set(out + err)
    read = json.loads(report.read_bytes())
    assert [restored(song["input_path"]) for song in read["songs"]] == [str(songs[0]), str(songs[2])]
    assert restored(read["failed"][0]["song"]) == "no\udcfe"
    for name in read["songs"][0]["outputs"].values():
        assert Path(restored(name)).is_file()


@POSIX
def test_the_evaluator_scores_stores_and_shows_songs_of_any_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, scores = HOSTILE.replace("/", ""), tmp_path / "scores.json"
    for folder in ("set", "estimates"):
        for song in (name, "plain"):
            for source in ("bass", "vocals"):
                write_song(tmp_path / folder / song / f"{source}.wav")
    words = ["score", str(tmp_path / "set"), str(tmp_path / "estimates"), "--jobs", "1", "--system", HOSTILE]
    assert evaluate([*words, "--json", str(scores), "--csv", str(tmp_path / "scores.csv")]) == 0
    assert evaluate(["replay", str(scores), str(scores), "--html", str(tmp_path / "page.html")]) == 1  # no board fits
    out, err = capfd.readouterr()
    assert shown(name) in out
    assert shown(name) in err
    assert not {"\x1b", "\u202e", "\udcff"} & set(out + err)
    songs = json.loads(scores.read_bytes())["metrics"]["mdx"]["songs"]
    assert {restored(song) for song in songs} == {name, "plain"}
    assert stored(name).partition("\n")[0] in (tmp_path / "scores.csv").read_text(encoding="utf-8")


def test_a_catalogue_keeps_names_of_bytes(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    song = CatalogueSong("disc\udcff/1", "/music/disc\udcff/1.wav")
    write_summary(Storage().place(tmp_path / "summary.parquet"), [SongOutcome(song, "failed", error="no\udcff")])
    row = parquet.read_table(tmp_path / "summary.parquet").to_pylist()[0]
    assert (restored(row["song"]), restored(row["input"]), restored(row["error"])) == (song.name, song.url, "no\udcff")
    read = parse_json(to_json({"input": {"url": song.url, "stamp": "1"}}))
    assert _is_same_file(read["input"], song, "1")


def test_markup_of_names_is_not_obeyed(capfd: pytest.CaptureFixture[str]) -> None:
    with RunProgress([None, None]) as progress:
        progress.skipped(HOSTILE)
        progress.failed(HOSTILE, InputError("bad", where="x"))
        progress.notes([HOSTILE])
    out, err = capfd.readouterr()
    assert out.count(HARMLESS) == 1
    assert err.count(HARMLESS) == 2


def command(body: str, *, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """A command whose body begins when its process is taken over; it says "ready" and waits for standard input."""
    # A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import os, signal, sys\n{heard}\nfrom terminal import process\nprocess.begin()\n{body}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


WAIT = "print('ready', flush=True)\nsys.stdin.read()\n"
CLEANING = """
process.end_in_order()
try:
    print('ready', flush=True)
    sys.stdin.read()
finally:
    print("cleaned up", flush=True)
"""


@POSIX
@pytest.mark.parametrize(
    ("body", "number", "said"),
    [
        (WAIT, signal.SIGINT, ("", "interrupted\n", 130)),
        (WAIT, signal.SIGTERM, ("", "terminated\n", 143)),
        (CLEANING, signal.SIGINT, ("cleaned up\n", "interrupted\n", 130)),
        (CLEANING, signal.SIGTERM, ("cleaned up\n", "terminated\n", 143)),
    ],
)
def test_a_signal_ends_a_command_with_one_line(body: str, number: int, said: tuple[str, str, int]) -> None:
    running = command(body)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    out, err = running.communicate()
    assert (out, err, running.returncode) == said


@POSIX
def test_signals_are_heard_again_after_a_command_has_started_itself_anew() -> None:
    again = "import sys; from terminal import process; process.begin(); print('ready', flush=True); sys.stdin.read()"
    running = command(f"with process.signals_held():\n    os.execv(sys.executable, [sys.executable, '-c', {again!r}])")
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.communicate()[1] == "terminated\n"
    assert running.returncode == 143


@POSIX
def test_a_reader_that_has_had_enough_costs_nothing(tmp_path: Path) -> None:
    done = tmp_path / "done"
    running = command(
        f"for number in range(20_000): print(number, 'é', '\\udcff')\nopen({str(done)!r}, 'w').close()\nprocess.end(0)"
    )
    with running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("0 ")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0
    assert done.exists()


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is at hand on Linux alone")
def test_a_standard_output_that_cannot_be_written_is_said() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        running = command("print('lost')\nprocess.end(0)", stdout=full.fileno())
        _, err = running.communicate()
    assert (err.startswith("error: standard output cannot be written"), running.returncode) == (True, 1)


@POSIX
@pytest.mark.parametrize(("more", "written"), [("", b"\\xe9 \\u2014 \\udcff\n"), (">&-", b"")])
def test_an_ascii_terminal_and_a_closed_output_are_no_tracebacks(more: str, written: bytes) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    code = "from terminal import process; process.begin(); print('\\xe9 \\u2014 \\udcff'); process.end(0)"
    line = f'{sys.executable} -c "{code}" {more}'
    done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, written, b"")


@pytest.mark.parametrize("is_linux", [True, False])
def test_a_process_began_before_its_interpreter(is_linux: bool) -> None:
    before = time.monotonic()
    running = command(f"print(process.{'started' if is_linux else '_started_by_psutil'}(), flush=True)")
    began = float(running.communicate()[0])
    slack = 0.02 if is_linux else 1.1  # the ticks of a process, whole seconds of the boot
    assert before - slack <= began <= time.monotonic() + slack


def test_the_first_song_s_time_begins_with_the_process(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A start that took 100 s leaves nothing of the first song's 60; the second has all of its own."""
    monkeypatch.setattr(process, "began", lambda: time.monotonic() - 100)
    songs = [str(write_song(tmp_path / name)) for name in ("first.wav", "second.wav")]
    words = ["separate", *songs, "-o", str(tmp_path / "out"), "--system", "starter"]
    words += ["--models-dir", str(tiny_models), "--budget", "60"]
    assert main([*words, "--report", str(tmp_path / "report.json")]) == 1
    out, err = capfd.readouterr()
    assert "1 song not separated because the time was too short" in err
    assert "first: late by 4" in err
    assert ["not separated: there was no time" in line for line in out.splitlines()] == [True, False, False]
    first, second = json.loads((tmp_path / "report.json").read_bytes())["songs"]
    assert (first["separated"], second["separated"], second["late_by_seconds"]) == (False, True, 0.0)
    assert 40 <= first["late_by_seconds"] < 60
    assert set(first["separated_shares"].values()) == {0.0}
    for name in ("first", "second"):
        assert len(list((tmp_path / "out" / name).glob("*.wav"))) == 4
