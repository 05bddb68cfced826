"""The page of all commands and their options, made from the parsers of the programs."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.documentation.links import ROOT

HEAD = """# Commands

`mdx` is `python -m my_submission`. This page is made from the parsers of the programs: it lists what `--help` prints.
"""


def commands_page() -> str:
    """Return the page as Markdown: one section per command of ``mdx``, ``evaluator`` and ``training``."""
    import evaluator.cli
    import training.cli
    from my_submission.cli.main import COMMANDS

    lines = [HEAD]
    for name, (_, summary) in COMMANDS.items():
        lines += _click_section(f"mdx {name}", importlib.import_module(f"my_submission.cli.{name}").command, summary)
    for program, parser in (("evaluator", evaluator.cli._parser()), ("training", training.cli.parser())):
        lines += _argparse_sections(f"python -m {program}", parser)
    # Defaults are places of the machine that makes the page.
    return "\n".join(lines).replace(f"{ROOT}/", "").replace(f"{Path.home()}/", "~/") + "\n"


def _click_section(name: str, command: Any, summary: str) -> Iterator[str]:
    yield f"\n## {name}\n\n{_text(getattr(command, 'help', None) or summary)}\n"
    for each, action in getattr(command, "commands", {}).items():
        yield f"\n### {name} {each}\n\n{_text(action.help or '')}\n"
        yield from _click_options(action)
    yield from _click_options(command)


def _click_options(command: Any) -> Iterator[str]:
    context = command.context_class(command, resilient_parsing=True)
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for option in command.params:
        if getattr(option, "hidden", False) or option.name == "context":
            continue
        is_argument = option.param_type_name == "argument"
        names = option.name.upper() if is_argument else ", ".join(f"`{each}`" for each in option.opts)
        default = option.get_default(context, call=False)
        has_default = default not in (None, "", (), [], False) and not callable(default)
        panel = "Arguments" if is_argument else getattr(option, "rich_help_panel", None) or "Options"
        row = (names, _text(getattr(option, "help", "") or ""), f"`{_value(default)}`" if has_default else "")
        panels.setdefault(panel, []).append(row)
    for panel in sorted(panels, key=lambda each: (each != "Arguments", each != "Options")):
        yield f"\n**{panel}**\n"
        yield from _table(panels[panel])


def _value(default: Any) -> str:
    value = getattr(default, "value", default)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _argparse_sections(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"\n## {name}\n\n{_text(parser.description or '')}\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help for each in action._choices_actions}
            for each, sub in action.choices.items():
                yield f"\n### {name} {each}\n\n{_text(sub.description or helps.get(each) or '')}\n"
                yield from _argparse_options(sub)


def _argparse_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help is argparse.SUPPRESS:
            continue
        names = ", ".join(f"`{each}`" for each in action.option_strings) or str(action.metavar or action.dest)
        has_default = action.default not in (None, "", False, [], argparse.SUPPRESS) and not action.required
        text = (action.help or "") % {**vars(action), "prog": parser.prog}
        rows.append((names, _text(text), f"`{_value(action.default)}`" if has_default else ""))
    if rows:
        yield ""
        yield from _table(rows)


def _table(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    yield "| option | meaning | default |\n|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _text(text: str) -> str:
    plain = re.sub(r"\[/?(bold|dim|italic|cyan|green|yellow|red)[^\]]*\]", "", " ".join(text.split()))
    return re.sub(r"<([^>]*)>", r"&lt;\1&gt;", plain)
