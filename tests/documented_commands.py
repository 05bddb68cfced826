"""The commands of the project's documents, as bash reads them.

A comment before a block marks it. ``<!-- run -->``: a test executes the commands. ``<!-- needs: … -->``: they are only
parsed; the comment says what they need. ``<!-- prints -->``: one command after ``$``, which is executed, and what it
prints. Every block has a mark. ``python -m tests.documented_commands`` lists all commands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COMMAND = re.compile(r"(?:\$ )?(?:(?:mdx|python|pip|docker) |(?:scripts|\.venv/bin)/[\w-]+(?:\s|$))")
"""Beginning of a line that is a command."""

_BLOCK = re.compile(r"(?:<!-- (run|needs|prints)(?:: ([^>]*?))? -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)

_STUB = """
record() { printf '%s\\0' "$@" >>"$RECORD"; printf '\\n\\0' >>"$RECORD"; }
command_not_found_handle() { record "$@"; }
for name in pip docker; do eval "$name() { record $name \\"\\$@\\"; }"; done
"""


@dataclass(frozen=True)
class Block:
    """A block of commands.

    Attributes:
        document: its place in the repository.
        mark: "run", "needs" or "prints"; "" where there is none, which a test refuses.
        needs: what the commands need, of a block that is only parsed.
        text: the lines.
    """

    document: str
    mark: str
    needs: str
    text: str

    @property
    def is_commands(self) -> bool:
        return any(map(_COMMAND.match, self.text.splitlines()))


def documents() -> list[Path]:
    """README, guides and cards."""
    guides = (ROOT / "docs").rglob("*.md")
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *guides, *ROOT.glob("models/**/README.md")])


@cache
def blocks() -> tuple[Block, ...]:
    """All blocks of commands of all documents, in their order."""
    found = []
    for path in documents():
        place = path.relative_to(ROOT).as_posix()
        for mark, needs, language, text in _BLOCK.findall(path.read_text(encoding="utf-8")):
            if language in ("", "bash", "sh"):
                found.append(Block(place, mark, needs, text))
    return tuple(block for block in found if block.is_commands)


def commands_of(text: str, folder: Path) -> list[list[str]]:
    """The words of each command of a block, with variables, braces, patterns and loops as bash expands them.

    Args:
        text: the block.
        folder: an existing folder in which bash looks for files of patterns and redirections.
    """
    record = folder / ".commands"
    record.unlink(missing_ok=True)
    for name in ("scripts", ".venv/bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for match in set(re.findall(r"(?:scripts|\.venv/bin)/[\w-]+", text)):
        stub = folder / match
        is_sourced = match.endswith("activate")
        stub.write_text("" if is_sourced else f'#!/bin/bash\n{_STUB}\nrecord "{match}" "$@"\n', encoding="utf-8")
        stub.chmod(0o755)
    for match in set(re.findall(r"[^<]<\s*([\w./-]+)", text)):
        (folder / match).touch()
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-c", f"{_STUB}\n{text}"],
        cwd=folder,
        env={"PATH": str(folder / "nothing"), "RECORD": str(record), "HOME": str(folder), "PWD": os.fspath(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    words = record.read_text(encoding="utf-8").split("\0")[:-1] if record.is_file() else []
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "\n":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands[:-1]


def _list() -> None:
    """Print every command: those that a test executes, then those that are parsed, with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        for title, marks in (("executed", ("run", "prints")), ("parsed", ("needs",))):
            chosen = [block for block in blocks() if block.mark in marks]
            commands = {block: commands_of(_text(block), Path(folder)) for block in chosen}
            print(f"{title}: {sum(map(len, commands.values()))} commands in {len(chosen)} blocks")
            for block, found in commands.items():
                for words in found:
                    print(f"  {block.document}: {' '.join(words)}{f'   [needs {block.needs}]' if block.needs else ''}")


def _text(block: Block) -> str:
    """The commands alone: of a block that shows what is printed the first line."""
    return block.text.partition("\n")[0].removeprefix("$ ") if block.mark == "prints" else block.text


if __name__ == "__main__":
    _list()
