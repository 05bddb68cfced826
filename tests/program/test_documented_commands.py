"""Every command of README, guides and cards is executed, or parsed by the program that it is for."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from my_submission.submission import requirement_versions
from my_submission.submission.requirement_versions import IndexAnswer
from tests.audio_fixtures import noise, write_audio
from tests.documented_commands import ROOT, Block, blocks, commands_of, documents
from tests.documented_runs import execute, write_work_folder

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FOREIGN = {"docs/training_as_published.md"}
"""Documents that quote other programs' commands beside ours."""

KNOWN_MODULES = {"build", "pip", "http"}


def parse_mdx(arguments: list[str]) -> None:
    from my_submission.cli.main import _read

    _read(arguments)


def parse_training(arguments: list[str]) -> None:
    pytest.importorskip("torch")
    from training.cli.main import SETTING, parser

    options = parser().parse_args([word for word in arguments if not SETTING.match(word)])
    assert options.has_settings or not any(map(SETTING.match, arguments)), "takes no settings"


def parse_evaluator(arguments: list[str]) -> None:
    from evaluator.cli import _parser

    _parser().parse_args(arguments)


PARSERS: dict[str, Callable[[list[str]], None]] = {
    "my_submission": parse_mdx,
    "training": parse_training,
    "evaluator": parse_evaluator,
}


def parse_python(arguments: list[str], document: str) -> None:
    if arguments[0] == "-m":
        module = arguments[1]
        if module in PARSERS:
            PARSERS[module](arguments[2:])
        else:
            assert module in KNOWN_MODULES or document in FOREIGN or importlib.util.find_spec(module), module
    elif arguments[0].endswith(".py"):
        assert document in FOREIGN or (ROOT / arguments[0]).is_file(), arguments[0]


def parse_pip(arguments: list[str]) -> None:
    for extras in re.findall(r"(?:^|\s)(?:\.|mdx-submission)\[([\w,]+)\]", " ".join(arguments)):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys(), extras


def parse_docker(arguments: list[str]) -> None:
    if arguments[0] == "build":
        for given in re.findall(r"--build-arg (\w+)=", " ".join(arguments)):
            assert re.search(rf"^ARG {given}\b", (ROOT / "Dockerfile").read_text("utf-8"), re.M), given
    if arguments[0] == "run" and "mdx" in arguments:
        parse_mdx(arguments[arguments.index("mdx") + 1 :])


def parse(words: list[str], document: str) -> None:
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "mdx":
        parse_mdx(arguments)
    elif program == "python" and arguments:
        parse_python(arguments, document)
    elif program == "pip":
        parse_pip(arguments)
    elif program == "docker":
        parse_docker(arguments)
    elif program.startswith("scripts/"):
        assert os.access(ROOT / program, os.X_OK), program


@pytest.fixture
def as_mdx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name the program ``mdx``, at any width of the terminal."""
    monkeypatch.setattr(sys, "argv", ["mdx"])
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("as_mdx")
@pytest.mark.parametrize("document", sorted({block.document for block in blocks()}))
def test_every_command_is_one_that_its_program_takes(document: str, tmp_path: Path) -> None:
    n_commands = 0
    for block in blocks():
        if block.document == document and block.mark != "prints":
            for words in commands_of(block.text, tmp_path):
                try:
                    parse(words, document)
                except (Exception, SystemExit) as error:
                    raise AssertionError(f"{' '.join(words)}: {error}") from error
                n_commands += 1
    assert n_commands or all(block.mark == "prints" for block in blocks() if block.document == document)


@pytest.mark.usefixtures("as_mdx")
def test_the_commands_within_sentences_and_tables_are_ones_that_mdx_takes(tmp_path: Path) -> None:
    """Those in full: with an argument, and without an ellipsis."""
    commands = {
        (path.relative_to(ROOT).as_posix(), command)
        for path in documents()
        for command in re.findall(
            r"`(mdx (?:separate|blend|batch|evaluate|web|fetch|systems) [^`\n…]+)`", path.read_text("utf-8")
        )
    }
    assert len(commands) > 15
    for document, command in sorted(commands):
        for words in commands_of(command, tmp_path):
            try:
                parse(words, document)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{document}: {command}: {error}") from error


# ---- executed --------------------------------------------------------------------------------------------------------

NEEDS = {"network", "GPU", "data", "time", "Docker"}
"""Reasons not to execute a block: songs or weights that are not in the repository are data."""

EXECUTED = sorted({block.document for block in blocks() if block.mark == "run"})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """What the documents name, on small songs; their commands share it, so that equal ones are executed once."""
    folder = tmp_path_factory.mktemp("documents") / "checkout"
    write_work_folder(folder, tiny_models)
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("as_mdx")
@pytest.mark.parametrize("document", EXECUTED)
def test_the_commands_of_a_document_run_in_their_order(
    document: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(checkout / "data")  # bash expands patterns in it
    (tmp_path / "music").symlink_to(checkout / "music")
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(requirement_versions, "ask_pip", lambda name, options: IndexAnswer(("1.20.0",)))  # no network
    for block in blocks():
        if block.document == document and block.mark == "run":
            for words in commands_of(block.text, tmp_path):
                print("executed:", " ".join(words))
                assert execute(words, block.text, monkeypatch) == 0, " ".join(words)


def test_every_block_is_executed_or_says_why_not() -> None:
    unmarked = [(block.document, block.text) for block in blocks() if not block.mark]
    assert unmarked == []
    for block in blocks():
        reasons = set(block.needs.split(", ")) if block.mark == "needs" else set()
        assert reasons <= NEEDS, block
        assert bool(reasons) == (block.mark == "needs"), block


def test_every_guide_begins_with_commands_that_are_executed() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    guides = re.findall(r": ([\w-]+\.md)$", navigation.partition("- Guides:")[2].partition("- Systems:")[0], re.M)
    assert len(guides) >= 7
    for guide in {*guides, "../README.md"} - {"python.md"}:  # which has Python, executed by test_python_examples.py
        document = f"docs/{guide}".replace("docs/../", "")
        marks = [block.mark for block in blocks() if block.document == document]
        assert "run" in marks[:2], guide


# ---- errors and cures ------------------------------------------------------------------------------------------------

PRINTED = [block for block in blocks() if block.mark == "prints"]


@pytest.fixture
def folder_of_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with the broken files that the page of errors names."""
    good = noise(2, 4_410)
    write_audio(tmp_path / "song.wav", good)
    write_audio(tmp_path / "surround.wav", noise(6, 4_410))
    write_audio(tmp_path / "broken.wav", noise(2, 4_410) * float("nan"), subtype="FLOAT")
    content = (tmp_path / "song.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    (tmp_path / "notes.wav").write_text("no audio", encoding="utf-8")
    (tmp_path / "stems-elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("as_mdx")
@pytest.mark.parametrize("block", PRINTED, ids=lambda block: block.text.splitlines()[0])
def test_the_page_of_errors_shows_what_the_program_prints(
    block: Block, folder_of_troubles: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command, _, shown = block.text.partition("\n")
    (words,) = commands_of(command.removeprefix("$ "), folder_of_troubles)
    code = execute(words, "", monkeypatch)
    out, err = capfd.readouterr()
    printed = [line.replace(str(ROOT / "models"), "models").rstrip() for line in (out + err).splitlines()]
    for line in shown.splitlines():  # an ellipsis stands for anything
        pattern = re.escape(line).replace("…", ".*")
        assert any(re.fullmatch(pattern, each) for each in printed), "\n".join(printed)
    assert code in (1, 2)


def test_the_page_of_errors_has_at_least_ten() -> None:
    assert len(PRINTED) >= 10
