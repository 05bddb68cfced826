"""``blend``: find the best blend of several systems on songs with true stems, and write it as a system."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from evaluator.audio import FileStem
from evaluator.datasets import DatasetSong, find_songs
from evaluator.errors import EvaluationError
from evaluator.pairs import StemPair
from my_submission.audio_io import WAV_FLOAT
from my_submission.blending.lab import (
    FILTER_BLOCK_SAMPLES,
    BlendFit,
    Block,
    fit_afterwards,
    fit_shares,
    products_of,
)
from my_submission.cli.blend_report import figures_of, show_fit
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
from my_submission.systems import SYSTEMS_FILE, find_system, systems_of
from my_submission.systems.blend_entry import blend_entry, entry_of
from my_submission.systems.systems_file import with_entry
from my_submission.weights import ModelsFolder


@dataclass(frozen=True)
class BlendOptions:
    """Systems to blend, and the location of results."""

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
            help="Folder for the systems' stems; matching stems of earlier runs are reused.",
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
            help="Plot SDR by share, for two systems (needs the extra plot).",
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
    songs = _songs(dataset)
    known = systems_of(ModelsFolder(engine.models_dir))
    sources = {name: find_system(name, known).sources for name in options.names}
    true = _true_sources(songs, sources)
    if options.save is not None:  # before hours of work: whether the blend can be written there
        trial = {source: _any_shares(source, sources) for source in true}
        with_entry(options.save / SYSTEMS_FILE, options.name, entry_of(options.name, trial), is_dry=True)
    for name in options.names:
        predictor = engine.load(name)
        _separate_all(predictor, songs, options.work / name, engine, messages)
        del predictor  # the next system may need its memory
    fit = _fit(songs, sources, true, options)
    if not messages.quiet:
        show_fit(fit, Console(soft_wrap=True, highlight=False))
    entry = blend_entry(options.name, fit)
    if options.report is not None:
        write_json(options.report, figures_of(fit))
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
            shown = f"{predictor.system.recipe.name}: {name}"
            with mixture_file(song) as path:
                if is_separated_already(path, folder / name, predictor.recipe(settings, WAV_FLOAT)):
                    progress.skipped(shown)
                    continue
                record = RecordRequest(song=name, settings=settings)
                events = predictor.stream_file(path, folder / name, audio_format=WAV_FLOAT, record=record)
                progress.done(shown, progress.follow(shown, events))


def _songs(dataset: Path) -> list[DatasetSong]:
    """Return the songs of a folder; InputError if there are none."""
    try:
        return find_songs(dataset)
    except EvaluationError as error:
        raise InputError(str(error)) from error


def _true_sources(songs: Sequence[DatasetSong], systems: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the sources of the systems that have true stems in all songs.

    Raises:
        InputError: no such source is estimated by two systems.
    """
    wanted = tuple(dict.fromkeys(source for sources in systems.values() for source in sources))
    true = [source for source in wanted if all(source in song.sources for song in songs)]
    if not any(sum(source in sources for sources in systems.values()) > 1 for source in true):
        problem = f"no source is estimated by two of {', '.join(systems)} and has true stems in all songs"
        raise InputError(problem, hint="choose systems with a common source, and songs with its stems")
    return true


def _any_shares(source: str, systems: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return shares with the sum 1 that name every system of a source."""
    first, *others = (name for name, sources in systems.items() if source in sources)
    return {first: 1.0, **dict.fromkeys(others, 0.0)}


def _fit(
    songs: Sequence[DatasetSong], systems: Mapping[str, Sequence[str]], true: list[str], options: BlendOptions
) -> BlendFit:
    """Return the best blend of the stems in the work folder."""
    usable = {name: [source for source in sources if source in true] for name, sources in systems.items()}
    names = folder_names(songs)

    def blocks(song: DatasetSong, name: str) -> Iterator[Block]:
        return _blocks(song, name, true, usable, options.work)

    try:
        fits = fit_shares([products_of(each, true) for each in map(blocks, songs, names)], usable)
        return BlendFit(fits, fit_afterwards(map(blocks, songs, names), fits, true), len(songs))
    except EvaluationError as error:
        raise InputError(str(error)) from error


def _blocks(
    song: DatasetSong, name: str, true: Sequence[str], systems: Mapping[str, Sequence[str]], work: Path
) -> Iterator[Block]:
    """Yield true stems, the mixture and every system's estimates of a song, block by block."""
    with ExitStack() as stack:
        readable = song.decoded(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stems-"))))
        references = readable.targets(true)
        pairs = []
        for system, own in systems.items():
            files = {source: FileStem(work / system / name / f"{source}.wav") for source in own}
            pairs.append((own, StemPair.open(references, files, own)))
        streams = [stem.blocks(FILTER_BLOCK_SAMPLES) for stem in (readable.mixture_or_sum(), *references.values())]
        for stream in streams:
            stack.callback(getattr(stream, "close", lambda: None))
        for pieces in zip(*streams, *(pair.blocks(FILTER_BLOCK_SAMPLES) for _, pair in pairs), strict=True):
            mixture, *stems = pieces[: len(streams)]
            estimates = [
                dict(zip(own, np.asarray(block[1], np.float32), strict=True))
                for (own, _), block in zip(pairs, pieces[len(streams) :], strict=True)
            ]
            yield Block(np.asarray(np.stack(stems), np.float32), np.asarray(mixture, np.float32), estimates)


command = command_of(
    blend,
    "blend",
    "Find the best blend of several systems on songs with true stems, and write it as a system.",
    epilog="Example: blend MUSDB18-HQ/train --systems kuielab-a,starter-plus --save my-models --name mine",
)
