"""Options of the authors' programs: their spelling translated to settings of an experiment, and the tables of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from my_submission.documents import convert
from terminal.documents import read_toml
from training.settings.strict import SettingsError, value_at

Role = Literal["", "batch", "batch per process", "validations", "all bins", "optimiser", "loss", "target", "targets"]

TABLE = Path(__file__).with_name("published.toml")
COMMANDS = Path(__file__).with_name("published_commands.toml")

LOSSES: Mapping[str, str] = {
    "spec_mse": "spectrum-mse",
    "spec_l2": "spectrum-mse",
    "spec_l1": "spectrum-l1",
    "spec_mse_multi_source": "spectrum-mse-and-sum",
    "spec_l2_multi_source": "spectrum-mse-and-sum",
    "spec_l1_multi_source": "spectrum-l1-and-sum",
    "raw_mse": "mse",
    "raw_l2": "mse",
    "raw_l1": "l1",
    "raw_and_spec": "waveform-and-spectrum",
    "distortion": "distortion",
    "sdr_like": "sdr-like",
    "sdr": "sdr",
    "dsr": "dsr",
    "nsdr": "nsdr",
    "nsdr_44100": "nsdr-44100",
    "ndsr": "nsdr",
    "ndsr_44100": "nsdr-44100",
    "ldsr": "ldsr",
    "ncs": "ncs",
    "ncs_44100": "ncs-44100",
    "nlcs": "nlcs",
}
"""Losses of the LaSAFT programs to ours; ``l2`` is ``mse`` there, and two configurations are misspelt ``ndsr``."""

_CLASSES = ".init_args."


@dataclass(frozen=True, kw_only=True)
class PublishedOption:
    """An option of an authors' program.

    Attributes:
        name: its name there, or the end of its path.
        ours: our setting, or our argument; empty if there is none.
        values: their value to ours, or to the settings that it stands for.
        role: a rule beyond copying the value.
        note: difference, or the reason why there is no setting.
    """

    name: str
    ours: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    role: Role = ""
    note: str = ""

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument of the command instead of a setting."""
        return self.ours.startswith("--")

    def __post_init__(self) -> None:
        if not (self.ours or self.values or self.role or self.note):
            raise ValueError(f"{self.name} has neither a setting nor a reason")


@dataclass(frozen=True, kw_only=True)
class PublishedProgram:
    """A program with its options; ``kinds`` are the networks that it trains."""

    name: str
    title: str
    kinds: tuple[str, ...]
    options: tuple[PublishedOption, ...]

    def option(self, key: str) -> PublishedOption | None:
        """Return the option of a key, given as the end of its path or as its whole path; the longest name counts."""
        found = [option for option in self.options if f".{key}".endswith(f".{option.name}")]
        return max(found, key=lambda option: len(option.name), default=None)


@dataclass(frozen=True, kw_only=True)
class PublishedCommand:
    """A training command of an authors' README, with ours.

    Attributes:
        readme: the README.
        theirs: the command line.
        ours: the command line of this program.
        options: options of their command to their values, for those that are not in the configuration's name.
    """

    readme: str
    theirs: str
    ours: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Tables:
    programs: tuple[PublishedProgram, ...]


@dataclass(frozen=True)
class _Commands:
    commands: tuple[PublishedCommand, ...]


@cache
def programs() -> tuple[PublishedProgram, ...]:
    """Return all programs."""
    return convert(_Tables, read_toml(TABLE)).programs


@cache
def commands() -> tuple[PublishedCommand, ...]:
    """Return the training commands of the READMEs."""
    return convert(_Commands, read_toml(COMMANDS)).commands


def program_of(table: Mapping[str, Any]) -> PublishedProgram | None:
    """Return the program that trains the network of an experiment's table."""
    kind = value_at(table, "network.kind")
    return next((program for program in programs() if kind in program.kinds), None)


def in_our_words(table: Mapping[str, Any], overrides: Sequence[str], known: frozenset[str]) -> list[str]:
    """Return overrides in which options in the authors' spelling are replaced by settings.

    Args:
        table: table of the experiment that is changed.
        overrides: ``key=value``, in any of the two spellings.
        known: names of our settings and tables at the top; a key that begins with one is ours.

    Raises:
        SettingsError: an option has no setting, or a value has none; the message says why.
    """
    program = program_of(table)
    if program is None:
        return list(overrides)
    ours: list[str] = []
    theirs: list[tuple[PublishedOption, str]] = []
    for override in overrides:
        key, _, value = override.partition("=")
        is_ours = key.partition(".")[0] in known and _CLASSES not in key
        option = None if is_ours else program.option(key)
        if option is None:
            ours.append(override)
        else:
            theirs.append((option, value))
    context = _Context(table, ours)
    optimisers: list[str] = []  # before their own settings, because another kind replaces these
    for option, value in sorted(theirs, key=lambda pair: pair[0].role != ""):  # rules need devices and cadence first
        (optimisers if option.role == "optimiser" else ours).extend(_translated(option, value, context))
    return [*optimisers, *ours]


class _Context:
    """Current values of settings: those of the table, and of the overrides so far."""

    def __init__(self, table: Mapping[str, Any], overrides: list[str]) -> None:
        self._table = table
        self._overrides = overrides

    def text(self, key: str, default: str = "") -> str:
        """Return the value of a setting as text."""
        given = [text for name, _, text in (each.partition("=") for each in self._overrides) if name == key]
        if given:
            return given[-1]
        found = value_at(self._table, key)
        return default if found is None else str(found)

    def value(self, key: str, default: int) -> int:
        """Return a whole number."""
        return int(self.text(key, str(default)))

    @property
    def n_processes(self) -> int:
        """Processes of the run."""
        return self.value("run.devices", 1) * self.value("run.nodes", 1)

    def items(self, key: str) -> list[str]:
        """Return the items of a list."""
        return [item for item in (word.strip(" '\"") for word in self.text(key).strip("[]").split(",")) if item]


def _translated(option: PublishedOption, value: str, context: _Context) -> list[str]:
    """Return our settings for a value of an option.

    Raises:
        SettingsError: the value has no setting of ours.
    """
    known = LOSSES if option.role == "loss" else option.values
    if value in known and known[value] == []:
        return []
    if option.is_argument:
        raise SettingsError(f"{option.name} is an argument here", hint=f"write {option.ours} {value}")
    if value in known:
        ours = known[value]
        if option.role == "optimiser":
            return _optimiser(str(ours), context)
        return [str(each) for each in ours] if isinstance(ours, list) else [f"{option.ours}={ours}"]
    if option.role in {"loss", "optimiser"} or not (option.ours or option.role):
        values = f"; known values: {', '.join(known)}" if known else ""
        raise SettingsError(f"{option.name}={value} has no setting{values}", hint=option.note or "leave it out")
    return _by_role(option, _plain(value), context)


def _optimiser(kind: str, context: _Context) -> list[str]:
    """Return the setting of an optimiser at the current rate; none if it is the current one."""
    if kind == context.text("optimiser.kind"):
        return []
    rate = context.text("optimiser.learning_rate")
    return [f'optimiser={{kind="{kind}", learning_rate={rate}}}']


def _by_role(option: PublishedOption, value: str, context: _Context) -> list[str]:
    rule = _RULES.get(option.role)
    return [f"{option.ours}={value}"] if rule is None else rule(option, value, context)


def _batch_per_process(option: PublishedOption, value: str, context: _Context) -> list[str]:
    windows = _whole(option, value)
    if context.text("network.multi_source_training").lower() == "true":  # theirs counts every source of a window
        n_sources = len(context.items("targets"))
        if windows < n_sources:
            problem = f"{option.name}={value} is less than one window of {n_sources} sources"
            raise SettingsError(problem, hint=f"use at least {n_sources}; data.batch counts windows")
        windows //= n_sources
    return [f"data.batch={windows * context.n_processes}", f"data.micro_batch={windows}"]


def _batch(option: PublishedOption, value: str, context: _Context) -> list[str]:
    batch = _whole(option, value)
    return [f"data.batch={batch}", f"data.micro_batch={-(-batch // context.n_processes)}"]


def _validations(option: PublishedOption, value: str, context: _Context) -> list[str]:
    return [f"{option.ours}={_whole(option, value) * context.value('validation.every_epochs', 1)}"]


def _all_bins(option: PublishedOption, value: str, context: _Context) -> list[str]:
    return [f"{option.ours}={value}", f"transform.kept_bins={_whole(option, value) // 2 + 1}"]


def _target(option: PublishedOption, value: str, context: _Context) -> list[str]:
    return [f'targets=["{value}"]']


def _number_of_targets(option: PublishedOption, value: str, context: _Context) -> list[str]:
    """Return no setting if there are as many targets as an option says."""
    targets = context.items("targets")
    if value != str(len(targets)):
        raise SettingsError(
            f"{option.name}={value}, but the targets are {', '.join(targets)}",
            hint=f"name {value} of them with targets=[…], or leave {option.name} out",
        )
    return []


_RULES: Mapping[Role, Callable[[PublishedOption, str, _Context], list[str]]] = {
    "batch per process": _batch_per_process,
    "batch": _batch,
    "validations": _validations,
    "all bins": _all_bins,
    "target": _target,
    "targets": _number_of_targets,
}


def _whole(option: PublishedOption, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise SettingsError(f"{option.name}={value} is not a whole number", hint=f"write {option.name}=8") from error


def _plain(value: str) -> str:
    """Return a value of Python or YAML as one of TOML."""
    is_tuple = value.startswith("(") and value.endswith(")")
    return f"[{value[1:-1]}]" if is_tuple else {"True": "true", "False": "false"}.get(value, value)


NEEDS = "<!-- needs: data, time -->"
"""Mark of the blocks of commands in Markdown; their test parses them."""


def as_markdown() -> str:
    """Return the commands and the tables as Markdown."""
    parts = ["## Commands", ""]
    for readme in dict.fromkeys(command.readme for command in commands()):
        parts += [f"### {readme}", ""]
        for command in commands():
            if command.readme == readme:
                lines = [f"# theirs\n{command.theirs.strip()}", f"# ours\n{command.ours.strip()}"]
                parts += [NEEDS, "```", *lines, "```", ""]
    for program in programs():
        parts += [f"## {program.title}", "", "| option | ours | values and notes |", "|---|---|---|"]
        parts += [_row(option) for option in program.options]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(option: PublishedOption) -> str:
    ours = f"`{option.ours}`" if option.ours else {"target": "`targets`"}.get(option.role, "")
    notes = []
    if option.role == "loss":
        notes.append("; ".join(f"{theirs}: {mine}" for theirs, mine in LOSSES.items()))
    notes += [_pair(theirs, mine) for theirs, mine in option.values.items() if mine not in ([], theirs)]
    notes += [option.note] if option.note else []
    text = "; ".join(notes).replace("|", "\\|")
    return f"| `{option.name}` | {ours} | {text} |"


def _pair(theirs: str, ours: object) -> str:
    settings = " ".join(map(str, ours)) if isinstance(ours, list) else str(ours)
    return f"{theirs}: `{settings}`"
