"""``web``: serve the web page, by default on this machine only."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import sys
from pathlib import Path

from my_submission.cli.options import add_engine_arguments, load_predictor, positive_integer, positive_number
from my_submission.webapp.hosts import HIGHEST_PORT
from my_submission.webapp.server import serve
from my_submission.webapp.settings import PageSettings
from my_submission.weights.folder import DEFAULT_MODELS_DIR

DEFAULTS = PageSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    _add_addresses(parser)
    _add_limits(parser)
    parser.add_argument(
        "--samples", nargs="+", type=Path, metavar="SONG", default=(), help="sample songs offered beside an upload"
    )
    parser.add_argument(
        "--scores",
        nargs="+",
        type=Path,
        metavar="DIR",
        default=DEFAULTS.scores_dirs,
        help="folders with scores files for the scores page (default: evaluation)",
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="folder for visitors' files during their session")
    parser.add_argument(
        "--grace",
        type=positive_number,
        metavar="SECONDS",
        default=DEFAULTS.grace_seconds,
        help="how long a session survives a lost connection (default: %(default)s)",
    )
    add_engine_arguments(parser)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=DEFAULTS.host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULTS.port, help="0: any free port (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        default=[],
        help="another host name of this server, such as a proxy's; repeatable",
    )
    parser.add_argument(
        "--base-path", metavar="/PATH", default=DEFAULTS.base_path, help="prefix of every address, for a proxy"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    for option, kind, unit, default, text in (
        ("--max-upload", positive_integer, "MIB", DEFAULTS.max_upload_mib, "largest file a visitor may upload"),
        ("--max-uploads", positive_integer, "N", DEFAULTS.max_uploads, "files of all visitors, current songs included"),
        ("--max-uploads-size", positive_integer, "MIB", DEFAULTS.max_uploads_mib, "size of all these files together"),
        ("--max-duration", positive_number, "SECONDS", DEFAULTS.max_song_seconds, "longest song"),
        ("--max-waiting", positive_integer, "N", DEFAULTS.max_waiting, "songs that may wait in the queue"),
    ):
        parser.add_argument(option, type=kind, metavar=unit, default=default, help=f"{text} (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Serve the page until interrupted."""
    settings = PageSettings(
        host=options.host,
        port=options.port,
        allowed_hosts=tuple(options.allow_host),
        base_path=options.base_path.removesuffix("/"),
        max_upload_mib=options.max_upload,
        max_uploads=options.max_uploads,
        max_uploads_mib=options.max_uploads_size,
        max_song_seconds=options.max_duration,
        max_waiting=options.max_waiting,
        models_dir=options.models_dir or DEFAULT_MODELS_DIR,
        sample_inputs=tuple(options.samples),
        scores_dirs=tuple(options.scores),
        scratch_dir=options.scratch,
        grace_seconds=options.grace,
    )
    if not _is_this_machine(settings.host):
        print(
            f"warning: everyone who can reach {settings.host} can use this page; it has no login",
            file=sys.stderr,
        )
    with contextlib.suppress(KeyboardInterrupt):  # the usual end
        serve(settings, lambda system: load_predictor(system, options))
    return 0


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to {HIGHEST_PORT}")
    return value


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
