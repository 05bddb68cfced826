"""``blend``: find the best blend of several systems on songs with true stems, and write it as a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from evaluator.audio import FileStem
from evaluator.datasets import DatasetSong, find_songs
from evaluator.errors import EvaluationError
from evaluator.pairs import StemPair
from my_submission.audio_io import WAV_FLOAT
from my_submission.blending.fit import Gain
from my_submission.blending.lab import (
    FILTER_BLOCK_SAMPLES,
    BlendFit,
    Block,
    fit_afterwards,
    fit_shares,
    products_of,
)
from my_submission.cli.evaluate import folder_names, mixture_file
from my_submission.cli.grouped_options import Messages, command_of
from my_submission.cli.option_values import complete_systems, split
from my_submission.cli.options import EngineOptions, TimeOptions, settings_of
from my_submission.cli.panels import OUTPUT
from my_submission.cli.progress import RunProgress
from my_submission.cli.run_reports import write_json
from my_submission.errors import InputError
from my_submission.pictures import require_matplotlib
from my_submission.pictures.share_plot import share_plot
from my_submission.predictor import Predictor
from my_submission.predictor.separation_record import RecordRequest, is_separated_already
from my_submission.systems.systems_file import SYSTEMS_FILE, with_entry
from terminal.lines import complain
from terminal.rich_lines import rich_line

MIN_SHARE = 0.005
"""Smaller shares are left out of the system that is written."""


@dataclass(frozen=True)
class BlendOptions:
    """Which systems are blended, and where the results go."""

    systems: Annotated[
        list[str],
        typer.Option(
            "--systems",
            "-n",
            metavar="NAMES",
            autocompletion=complete_systems,
            help="Two or more systems, separated by commas.",
        ),
    ]
    work: Annotated[
        Path,
        typer.Option(
            "--work",
            metavar="DIR",
            rich_help_panel=OUTPUT,
            help="Folder of the systems' stems; those that are there and fit are used again.",
        ),
    ] = Path("blend")
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", rich_help_panel=OUTPUT, help="Name of the system to write.")
    ] = "my-blend"
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="DIR",
            rich_help_panel=OUTPUT,
            help="Add the blend to systems.toml of this models folder (default: print it).",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.json", rich_help_panel=OUTPUT, help="Write all figures."),
    ] = None
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE.png",
            rich_help_panel=OUTPUT,
            help="Draw SDR by share, for two systems (needs the extra plot).",
        ),
    ] = None

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise typer.BadParameter("--systems names fewer than two systems")

    @property
    def names(self) -> list[str]:
        """Names of the systems."""
        return split(self.systems)


def blend(
    dataset: Annotated[Path, typer.Argument(metavar="SONGS", help="Folders <song>/<stem>.wav, or .stem.mp4 files.")],
    options: BlendOptions,
    engine: EngineOptions,
    messages: Messages,
) -> int:
    """Separate every song by every system once, fit the blend, show it, and write it."""
    if options.picture is not None:
        require_matplotlib()
    try:
        songs = find_songs(dataset)
    except EvaluationError as error:
        complain(f"error: {error}")
        return 1
    sources: dict[str, tuple[str, ...]] = {}
    for name in options.names:
        predictor = engine.load(name)
        sources[name] = predictor.system.recipe.sources
        _separate_all(predictor, songs, options.work / name, engine, messages)
        del predictor  # the next system may need its memory
    fit = _fit(songs, sources, options)
    if not messages.quiet:
        _show(fit, Console(soft_wrap=True, highlight=False))
    entry = _entry(options.name, fit)
    if options.report is not None:
        write_json(options.report, _figures(fit))
    if options.picture is not None:
        options.picture.write_bytes(share_plot({name: each.sweep for name, each in fit.sources.items()}))
    if options.save is None:
        print(entry, end="")
    else:
        path = options.save / SYSTEMS_FILE
        with_entry(path, options.name, entry)
        if not messages.quiet:
            print(f"{path}: {options.name}; separate with --models-dir {options.save} -n {options.name}")
    return 0


def _separate_all(
    predictor: Predictor, songs: Sequence[DatasetSong], folder: Path, engine: EngineOptions, messages: Messages
) -> None:
    """Separate the songs that have no stems by the same recipe yet."""
    settings = settings_of(TimeOptions(), engine)
    names = folder_names(songs)
    with RunProgress([None] * len(songs), is_quiet=messages.quiet) as progress:
        progress.notes(predictor.setup_notes)
        for song, name in zip(songs, names, strict=True):
            with mixture_file(song) as path:
                if is_separated_already(path, folder / name, predictor.recipe(settings, WAV_FLOAT)):
                    progress.skipped(name)
                    continue
                record = RecordRequest(song=name, settings=settings)
                events = predictor.stream_file(path, folder / name, audio_format=WAV_FLOAT, record=record)
                progress.done(name, progress.follow(name, events))


def _fit(songs: Sequence[DatasetSong], systems: Mapping[str, tuple[str, ...]], options: BlendOptions) -> BlendFit:
    """Return the best blend.

    Raises:
        InputError: the songs have no true stem that two systems estimate.
    """
    wanted = tuple(dict.fromkeys(source for sources in systems.values() for source in sources))
    true = [source for source in wanted if all(source in song.sources for song in songs)]
    shared = [source for source in true if sum(source in sources for sources in systems.values()) > 1]
    if not shared:
        problem = f"no source of {', '.join(systems)} is estimated twice and has true stems in all songs"
        raise InputError(problem, hint="choose systems with a common source, and songs with its stems")

    def blocks(number: int) -> Iterator[Block]:
        return _blocks(songs[number], folder_names(songs)[number], true, systems, options.work)

    usable = {name: [source for source in sources if source in true] for name, sources in systems.items()}
    products = [products_of(blocks(number), true) for number in range(len(songs))]
    fits = fit_shares(products, usable)
    shares, filter_gain, mixer_gain, mixer = fit_afterwards(
        (blocks(number) for number in range(len(songs))), fits, true
    )
    return BlendFit(fits, shares, filter_gain, mixer_gain, mixer, len(songs))


def _blocks(
    song: DatasetSong, name: str, true: Sequence[str], systems: Mapping[str, Sequence[str]], work: Path
) -> Iterator[Block]:
    """Yield true stems and every system's estimates of a song, block by block."""
    pairs = []
    for system, sources in systems.items():
        own = [source for source in true if source in sources]
        files = {source: FileStem(work / system / name / f"{source}.wav") for source in own}
        pairs.append((own, StemPair.open(song.targets(own), files, own)))
    references = song.targets(true)
    with ExitStack() as stack:
        streams = [references[source].blocks(FILTER_BLOCK_SAMPLES) for source in true]
        for stream in streams:
            stack.callback(getattr(stream, "close", lambda: None))
        for pieces in zip(*streams, *(pair.blocks(FILTER_BLOCK_SAMPLES) for _, pair in pairs), strict=True):
            estimates = [
                dict(zip(own, np.asarray(block[1], np.float32), strict=True))
                for (own, _), block in zip(pairs, pieces[len(true) :], strict=True)
            ]
            yield np.asarray(np.stack(pieces[: len(true)]), np.float32), estimates


def _show(fit: BlendFit, console: Console) -> None:
    """Print the table of the fit and what it is worth."""
    names = list(dict.fromkeys(name for each in fit.sources.values() for name in each.systems))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("source", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("blend", justify="right", no_wrap=True)
    table.add_column("held-out gain", justify="right", no_wrap=True)
    table.add_column("filter", justify="right", no_wrap=True)
    for source, each in fit.sources.items():
        cells = dict(zip(each.systems, zip(each.shares, each.alone, strict=True), strict=True))
        shown = [f"{cells[name][0]:.2f} ({cells[name][1]:.2f})" if name in cells else "" for name in names]
        table.add_row(source, *shown, f"{each.blended:.2f}", in_words(each.gain), f"{fit.filter_shares[source]:.2f}")
    console.print(table)
    for line in (
        f"systems: share in the blend, and SDR of the system alone; means over {fit.n_songs} songs, in dB",
        "held-out gain: of the blend over the best system, on songs not fitted on, with its 95 % interval",
        "filter: share of a Wiener filter over the blend",
    ):
        console.print(rich_line(line, "dim"))
    console.print(f"Wiener filter over the blend, held-out gain: {in_words(fit.filter_gain)} dB")
    console.print(f"Mixer over the blend, held-out gain: {in_words(fit.mixer_gain)} dB (the Mixer is not written)")
    for source, each in fit.sources.items():
        if each.sweep:
            row = "  ".join(f"{share:.1f}: {decibels:.2f}" for share, decibels in each.sweep)
            console.print(rich_line(f"{source}, by the share of {each.systems[0]}: {row}", "dim"))


def in_words(gain: Gain) -> str:
    """Return a gain as its mean and interval, in dB."""
    if gain.n_songs == 0:
        return "needs two songs"
    if gain.n_songs == 1:
        return f"{gain.mean:+.2f}"
    return f"{gain.mean:+.2f} ({gain.low:+.2f} … {gain.high:+.2f})"


def _entry(name: str, fit: BlendFit) -> str:
    """Return the blend as an entry of ``systems.toml``; the filter is in it where it helps on songs not fitted on."""
    by_system: dict[str, dict[str, float]] = {}
    for source, each in fit.sources.items():
        kept = {system: share for system, share in zip(each.systems, each.shares, strict=True) if share >= MIN_SHARE}
        rounded = {system: round(share / sum(kept.values()), 3) for system, share in kept.items()}
        largest = max(rounded, key=lambda system: rounded[system])
        rounded[largest] = round(rounded[largest] + 1 - sum(rounded.values()), 3)
        for system, share in rounded.items():
            by_system.setdefault(system, {})[source] = share
    lines = ["[[systems]]", f'name = "{name}"', f'title = "blend of {", ".join(by_system)}"']
    if fit.filter_gain.n_songs and fit.filter_gain.mean > 0 and len(fit.sources) > 1:
        lines.append(f"wiener = {{ shares = {_table(fit.filter_shares)} }}")
    for system, shares in by_system.items():
        lines += ["", "[[systems.branches]]", 'kind = "system"', f'name = "{system}"', f'system = "{system}"']
        lines.append(f"shares = {_table(shares)}")
    return "\n".join(lines) + "\n"


def _table(values: Mapping[str, float]) -> str:
    return "{ " + ", ".join(f"{key} = {value:.3f}" for key, value in values.items()) + " }"


def _figures(fit: BlendFit) -> dict[str, object]:
    """Return all figures as plain values."""
    return {
        "schema": 1,
        "songs": fit.n_songs,
        "sources": {
            source: {
                "shares": dict(zip(each.systems, each.shares, strict=True)),
                "alone": dict(zip(each.systems, each.alone, strict=True)),
                "blend": each.blended,
                "held_out_gain": vars(each.gain),
                "sweep": [list(pair) for pair in each.sweep],
            }
            for source, each in fit.sources.items()
        },
        "filter": {"shares": dict(fit.filter_shares), "held_out_gain": vars(fit.filter_gain)},
        "mixer": {"matrix": fit.mixer.tolist(), "held_out_gain": vars(fit.mixer_gain)},
    }


command = command_of(
    blend,
    "blend",
    "Find the best blend of several systems on songs with true stems, and write it as a system.",
    epilog="Example: blend MUSDB18-HQ/train --systems kuielab-a,starter-plus --save my-models --name mine",
)
