"""Groups of options about stems: choice, file names and format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from my_submission.audio_io.writing.audio_format import (
    BIT_DEPTHS,
    CLIP_MODES,
    DEFAULT_BITRATE,
    FILE_FORMATS,
    AudioFormat,
)
from my_submission.audio_io.writing.file_names import CHALLENGE_LAYOUT, SONG_FOLDERS, FileNameTemplate, template_for
from my_submission.cli.option_values import choice, kilobits, split
from my_submission.cli.panels import OUTPUT
from my_submission.errors import UnknownNameError
from my_submission.stems import canonical_source, needed_source, with_complement
from my_submission.systems import SYSTEMS, possible_stems


def _complete_stems(incomplete: str) -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    names = {stem for system in SYSTEMS.values() for stem in possible_stems(system)}
    return [f"{before}{comma}{name}" for name in sorted(names) if name.startswith(begun)]


@dataclass(frozen=True)
class ChoiceOptions:
    """Choice of stems, and names of their files."""

    stems: Annotated[
        str | None,
        typer.Option(
            "--stems",
            metavar="NAMES",
            autocompletion=_complete_stems,
            rich_help_panel=OUTPUT,
            help="Make only these stems, separated by commas: sources of the system, or the song without one source "
            "(instrumental, karaoke, drumless, bassless, no_SOURCE). Work that only other stems need is left out.",
        ),
    ] = None
    two_stems: Annotated[
        str | None,
        typer.Option(
            "--two-stems",
            metavar="SOURCE",
            autocompletion=_complete_stems,
            rich_help_panel=OUTPUT,
            help="Make a source and the song without it, such as vocals and instrumental; they add up to the song.",
        ),
    ] = None
    filename: Annotated[
        str | None,
        typer.Option(
            "--filename",
            metavar="TEMPLATE",
            rich_help_panel=OUTPUT,
            help=f"Folders and names of the files, with {{song}}, {{stem}}, {{system}}, {{ext}} "
            f"(default: {SONG_FOLDERS}; for songs in the challenges' layout, and for batch, {CHALLENGE_LAYOUT}).",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.stems is not None and self.two_stems is not None:
            raise typer.BadParameter("--stems and --two-stems exclude each other")
        if self.stems is not None and not self.names:
            raise typer.BadParameter("--stems names no stem")
        try:
            _ = self.template_for(Path())
        except UnknownNameError as error:
            raise typer.BadParameter(f"{error.problem}; {error.hint}") from error

    def template_for(self, song: Path) -> FileNameTemplate:
        """Return the template of the names of a song's files."""
        return template_for(song, self.filename)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stems to make; empty for all sources."""
        if self.two_stems is not None:
            return with_complement(needed_source(canonical_source(self.two_stems)))
        return tuple(split([self.stems])) if self.stems is not None else ()

    @property
    def settings(self) -> dict[str, Any]:
        """The choice of stems as in records of stems; empty without one."""
        return {"stems": list(self.names)} if self.names else {}


@dataclass(frozen=True)
class StemOptions:
    """Options of writing stems."""

    format: Annotated[str, choice("--format", "-f", of=FILE_FORMATS, panel=OUTPUT, help_text="File format")] = "wav"
    bit_depth: Annotated[
        str | None,
        choice(
            "--bit-depth",
            of=tuple(BIT_DEPTHS),
            panel=OUTPUT,
            help_text="Bits per sample of wav, aiff and flac files (default: 16; 32f is float and never clips)",
        ),
    ] = None
    bitrate: Annotated[
        int | None,
        typer.Option(
            "--bitrate",
            parser=kilobits,
            metavar="KBIT",
            rich_help_panel=OUTPUT,
            help=f"Bit rate of mp3, ogg, opus and m4a files, in kbit/s (default: {DEFAULT_BITRATE}k).",
        ),
    ] = None
    dither: Annotated[
        bool, typer.Option("--dither", rich_help_panel=OUTPUT, help="Add triangular noise before rounding to 16 bits.")
    ] = False
    clip: Annotated[
        str,
        choice(
            "--clip",
            of=CLIP_MODES,
            panel=OUTPUT,
            help_text="Handling of samples beyond full scale (rescale and limit lower all stems together)",
        ),
    ] = "none"

    def __post_init__(self) -> None:
        try:
            _ = self.audio_format
        except UnknownNameError as error:
            raise typer.BadParameter(f"{error.problem}; {error.hint}") from error

    @property
    def audio_format(self) -> AudioFormat:
        """The format as the library takes it."""
        return AudioFormat(
            self.format, bit_depth=self.bit_depth, bitrate=self.bitrate, dither=self.dither, clip=self.clip
        )
