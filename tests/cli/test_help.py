"""Help, errors of usage, suggestions, completion, and the lists of systems."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from my_submission.challenge.configuration import OVERRIDES
from my_submission.challenge.limits import FACTOR_VARIABLE, SECONDS_VARIABLE
from my_submission.cli import main
from my_submission.cli.main import COMMANDS
from my_submission.systems import DEFAULT_SYSTEM, SYSTEMS
from my_submission.weights import ModelsFolder
from terminal.program import program_name

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in 80 columns and give its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/mdx"])

    def call(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        return code, *capfd.readouterr()

    return call


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/usr/bin/mdx", "mdx"),
        ("mdx.exe", "mdx"),
        ("/x/my_submission/__main__.py", "python -m my_submission"),
        ("", "python -m my_submission"),
    ],
)
def test_the_program_is_called_as_it_was_started(started: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    assert program_name() == name


def panels(text: str) -> list[str]:
    return re.findall(r"^╭─ (.+?) ─", text, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["submit", "check"], ["submit", "pack"]])
def test_every_help_fits_80_columns_and_says_everything(run: Run, command: list[str]) -> None:
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: {' '.join(['mdx', *command])} " in out
    assert max(map(len, out.splitlines())) <= 80
    assert not re.search(r"\w…", out)  # nothing is cut off
    assert run(*command, "-h")[1] == out


def test_options_are_in_panels(run: Run) -> None:
    assert panels(run("separate", "--help")[1]) == [
        "Arguments",
        "Options",
        "Output",
        "Time",
        "Hardware",
        "Expert",
        "Your own network, and public ones",
        "General",
    ]
    assert panels(run("--help")[1]) == ["Options", "Songs", "Systems and weights", "Challenge"]
    assert {"Output", "Time", "Hardware", "Expert", "Cluster", "Scores"} < set(panels(run("batch", "--help")[1]))


@pytest.mark.parametrize(
    ("words", "wrong", "command"),
    [
        (["seperate"], "there is no command 'seperate'; did you mean separate?", "mdx"),
        (["zzz"], f"there is no command 'zzz': {', '.join(COMMANDS)}", "mdx"),
        (["submit", "chek"], "there is no command 'chek'; did you mean check?", "mdx submit"),
        (["separate", "x", "--devise", "cpu"], "there is no option --devise; did you mean --device?", "mdx separate"),
        (["separate"], "INPUT is missing", "mdx separate"),
        (["separate", "x", "-o"], "option '-o' requires an argument", "mdx separate"),
        (["separate", "x", "--budget", "0"], "--budget: 0 is not a number above zero", "mdx separate"),
        (["separate", "x", "--threads", "9.5"], "--threads: '9.5' is not a whole number", "mdx separate"),
        (["separate", "x", "-f", "flak"], "--format: 'flak' is not one of wav, flac, ", "mdx separate"),
        (["separate", "x", "-f", "flak"], "; did you mean flac?", "mdx separate"),
        (["separate", "x", "--bitrate", "64"], "wav files have a bit depth, not a bit rate; ", "mdx separate"),
        (["evaluate", "x", "--metric", "mdx,sdr"], "--metric: 'sdr' is not one of mdx, ", "mdx evaluate"),
        (["fetch"], "NAME is missing", "mdx fetch"),
        (["web", "--port", "70000"], "--port: 70000 is not a port: 0 to 65535", "mdx web"),
        (["\x1b[31m"], "there is no command '\\x1b[31m'", "mdx"),
    ],
)
def test_errors_of_usage_are_two_lines(run: Run, words: list[str], wrong: str, command: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert wrong in first
    assert second == f"help: {command} --help"


@pytest.mark.parametrize("command", [("separate", "song.wav", "-n"), ("systems",), ("doctor", "-n")])
def test_an_unknown_system_is_answered_with_the_nearest_three(
    run: Run, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "song.wav").write_bytes(b"x")
    code, _, err = run(*command, "kuielab")
    assert code == 2
    first, second = err.splitlines()
    assert first == "error: there is no system 'kuielab'"
    named = second.removeprefix("help: the nearest are ").removesuffix("; mdx systems lists all").split(", ")
    assert set(named) == {"kuielab-a", "kuielab-b", "kuielab-a-networks"}


def test_an_unknown_artefact_is_answered_with_the_nearest_three(run: Run) -> None:
    code, _, err = run("fetch", "kuielab-a/base")
    assert code == 2
    assert err.startswith(
        "error: there is no system or artefact 'kuielab-a/base'\nhelp: the nearest are kuielab-a/bass, "
    )
    assert run("verify", "starter/bas")[0] == 2


def test_a_system_without_weights_advises_one_command(run: Run, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "manifest.json").write_bytes((ROOT / "models" / "manifest.json").read_bytes())
    (tmp_path / "song.wav").write_bytes(b"x")
    code, _, err = run("separate", str(tmp_path / "song.wav"), "-n", "kuielab-a", "--models-dir", str(models))
    assert code == 1
    assert "kuielab-a cannot run: its weights are missing. Run mdx fetch kuielab-a --models-dir " in err
    assert "kuielab-a/bass" not in err
    code, _, err = run("separate", str(tmp_path / "song.wav"), "-n", "lasaft-v2", "--models-dir", str(models))
    assert "--from FILE_OR_ZIP_OR_FOLDER with a copy of your own" in err


def test_systems_is_one_line_per_system_in_80_columns(run: Run) -> None:
    code, out, _ = run("systems")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    own = [name for name in SYSTEMS if not name.startswith("mdx-net/")]
    assert [line.split()[0] for line in lines[1 : len(own) + 1]] == own
    assert lines[len(own) + 1].startswith("mdx-net/…  22 networks of one stem: ")
    family = run("systems", "mdx-net")[1].splitlines()[1:23]
    assert [line.split()[0] for line in family] == [name for name in SYSTEMS if name.startswith("mdx-net/")]
    default = next(line for line in lines if line.startswith(DEFAULT_SYSTEM))
    assert re.fullmatch(r"starter-plus +bass drums other vocals \(\d\.\d\d\) +16 ready, the default *", default)
    assert re.search(r"^kuielab-b +bass drums other vocals +7\.37 > 111 (fetch|ready) *$", out, flags=re.MULTILINE)
    assert re.search(r"^lasaft-v2 .* (bring your own|ready) *$", out, flags=re.MULTILINE)


def test_one_system_in_full(run: Run) -> None:
    code, out, _ = run("systems", "starter-plus")
    assert code == 0
    first, *_ = out.splitlines()
    assert first == "starter-plus"
    assert re.search(r"^    weights +ready$", out, flags=re.MULTILINE)
    assert re.search(
        r"^    cutoffs +bass 1\.4 kHz, drums 16\.5 kHz, ", run("systems", "starter")[1], flags=re.MULTILINE
    )
    (row,) = json.loads(run("systems", "starter-plus", "--json")[1])
    assert (row["state"], row["is_default"], row["missing"]) == ("ready", True, [])
    artefacts = {artefact.name: artefact.n_bytes or 0 for artefact in ModelsFolder().artefacts}
    assert row["bytes"] == sum(artefacts[name] for name in set(SYSTEMS["starter-plus"].artefacts))


def test_our_own_scores_are_those_of_the_readme() -> None:
    """The mean of the two test excerpts, from the table that benchmarks.starter_scores writes."""
    table = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- scores:means -->")[1].split("<!-- /scores -->")[0]
    )
    head, _, *rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    of_tests = [row for row in rows if "(test" in row[0]]
    assert len(of_tests) == 2
    for column, name in enumerate(head):
        if name in SYSTEMS:
            mean = sum(float(row[column]) for row in of_tests) / 2
            assert SYSTEMS[name].own_sdr == pytest.approx(mean, abs=0.0051)


def test_predict_explains_itself() -> None:
    command = [sys.executable, "predict.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    for variable in (*OVERRIDES, SECONDS_VARIABLE, FACTOR_VARIABLE, "TEST_DATASET_PATH", "RESULTS_DATASET_PATH"):
        assert variable in done.stdout
    assert done.stderr == ""


def completed(words: str, folder: Path) -> list[str]:
    """What the shell offers after some words."""
    script = folder / "mdx"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom my_submission.__main__ import run\nrun()\n")
    variables = {"_MDX_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_systems_devices_and_formats(tmp_path: Path) -> None:
    assert set(completed("mdx s", tmp_path)) == {"separate", "systems", "submit"}
    assert set(completed("mdx separate x -n kuielab-", tmp_path)) == {"kuielab-a", "kuielab-b", "kuielab-a-networks"}
    assert set(completed("mdx separate x --device cu", tmp_path)) == {"cuda", "cuda:0"}
    assert set(completed("mdx separate x --format f", tmp_path)) == {"flac"}
    assert "kuielab-a/mixer" in completed("mdx fetch kuielab-a/m", tmp_path)


def test_completion_is_offered_to_the_console_script_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--install-completion" in run("--help")[1]
    monkeypatch.setattr(sys, "argv", ["/x/my_submission/__main__.py"])
    assert "--install-completion" not in run("--help")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_the_module_of_its_command_only(command: str) -> None:
    code = (
        "import sys; from my_submission.cli import main; main(sys.argv[1:]); "
        "print(sorted(name.rpartition('.')[2] for name in sys.modules if name.startswith('my_submission.cli.')))"
    )
    words = [sys.executable, "-c", code]
    top = subprocess.run([*words, "--help"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    loaded = set(re.findall(r"'(\w+)'", top.splitlines()[-1]))
    assert not loaded & set(COMMANDS)
    assert command in COMMANDS
