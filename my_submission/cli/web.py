"""``web``: serve the web page, by default on this machine only."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from my_submission.cli.grouped_options import command_of
from my_submission.cli.option_values import positive_integer, positive_number
from my_submission.cli.options import EngineOptions
from my_submission.webapp.server import serve
from my_submission.webapp.serving.hosts import HIGHEST_PORT
from my_submission.webapp.settings import PageSettings
from my_submission.weights.folder import DEFAULT_MODELS_DIR

DEFAULTS = PageSettings()

ADDRESS, LIMITS, CONTENT = "Address", "Limits", "Content"
"""Panels of the command's help."""


def _port(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= HIGHEST_PORT:
        raise typer.BadParameter(f"{text[:40]} is not a port: 0 to {HIGHEST_PORT}")
    return value


@dataclass(frozen=True)
class AddressOptions:
    """Address of the page."""

    host: Annotated[
        str, typer.Option("--host", metavar="HOST", rich_help_panel=ADDRESS, help="Address to listen on.")
    ] = DEFAULTS.host
    port: Annotated[
        int,
        typer.Option(
            "--port", parser=_port, metavar="PORT", rich_help_panel=ADDRESS, help="Port; 0 chooses a free one."
        ),
    ] = DEFAULTS.port
    allow_host: Annotated[
        list[str],
        typer.Option(
            "--allow-host",
            metavar="NAME",
            rich_help_panel=ADDRESS,
            help="Another host name of this server, such as a proxy's; repeatable.",
        ),
    ] = field(default_factory=list)
    base_path: Annotated[
        str,
        typer.Option(
            "--base-path", metavar="/PATH", rich_help_panel=ADDRESS, help="Prefix of every address, for a proxy."
        ),
    ] = DEFAULTS.base_path


@dataclass(frozen=True)
class LimitOptions:
    """Limits of visitors."""

    max_upload: Annotated[
        int,
        typer.Option(
            "--max-upload",
            parser=positive_integer,
            metavar="MIB",
            rich_help_panel=LIMITS,
            help="Largest file a visitor may upload.",
        ),
    ] = DEFAULTS.max_upload_mib
    max_uploads: Annotated[
        int,
        typer.Option(
            "--max-uploads",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=LIMITS,
            help="Number of files of all visitors, including songs that are kept.",
        ),
    ] = DEFAULTS.max_uploads
    max_uploads_size: Annotated[
        int,
        typer.Option(
            "--max-uploads-size",
            parser=positive_integer,
            metavar="MIB",
            rich_help_panel=LIMITS,
            help="Total size of these files.",
        ),
    ] = DEFAULTS.max_uploads_mib
    max_duration: Annotated[
        float,
        typer.Option(
            "--max-duration", parser=positive_number, metavar="SECONDS", rich_help_panel=LIMITS, help="Longest song."
        ),
    ] = DEFAULTS.max_song_seconds
    max_waiting: Annotated[
        int,
        typer.Option(
            "--max-waiting",
            parser=positive_integer,
            metavar="N",
            rich_help_panel=LIMITS,
            help="Songs that may wait in the queue.",
        ),
    ] = DEFAULTS.max_waiting
    grace: Annotated[
        float,
        typer.Option(
            "--grace",
            parser=positive_number,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="Time for a page to reconnect after its connection is lost.",
        ),
    ] = DEFAULTS.grace_seconds
    keep: Annotated[
        float,
        typer.Option(
            "--keep",
            parser=positive_number,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="How long a song and its stems are kept after their last use.",
        ),
    ] = DEFAULTS.keep_seconds


@dataclass(frozen=True)
class ContentOptions:
    """Files that the page offers and stores."""

    samples: Annotated[
        list[Path],
        typer.Option(
            "--samples",
            metavar="SONG",
            rich_help_panel=CONTENT,
            help="A sample song, or a folder of songs, to offer on the page; repeatable.",
        ),
    ] = field(default_factory=list)
    scores: Annotated[
        list[Path],
        typer.Option(
            "--scores",
            metavar="DIR",
            rich_help_panel=CONTENT,
            help="A folder with scores files for the scores page; repeatable.",
        ),
    ] = field(default_factory=lambda: list(DEFAULTS.scores_dirs))
    scratch: Annotated[
        Path | None,
        typer.Option("--scratch", metavar="DIR", rich_help_panel=CONTENT, help="Folder for visitors' songs and stems."),
    ] = None


def serve_page(address: AddressOptions, limits: LimitOptions, content: ContentOptions, engine: EngineOptions) -> int:
    """Serve the page until interrupted."""
    settings = PageSettings(
        host=address.host,
        port=address.port,
        allowed_hosts=tuple(address.allow_host),
        base_path=address.base_path.removesuffix("/"),
        max_upload_mib=limits.max_upload,
        max_uploads=limits.max_uploads,
        max_uploads_mib=limits.max_uploads_size,
        max_song_seconds=limits.max_duration,
        max_waiting=limits.max_waiting,
        models_dir=engine.models_dir or DEFAULT_MODELS_DIR,
        sample_inputs=tuple(content.samples),
        scores_dirs=tuple(content.scores),
        scratch_dir=content.scratch,
        grace_seconds=limits.grace,
        keep_seconds=limits.keep,
    )
    if not _is_this_machine(settings.host):
        print(
            f"warning: everyone who can reach {settings.host} can use this page; it has no login",
            file=sys.stderr,
        )
    with contextlib.suppress(KeyboardInterrupt):  # the usual end
        serve(settings, engine.load)
    return 0


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


command = command_of(
    serve_page,
    "web",
    "Serve a web page that separates songs, shows and plays the stems, mixes and downloads them. "
    "The page is for this machine only unless --host is given.",
)
