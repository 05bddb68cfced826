"""The studio's scripts, styles and icon, under an address that changes with their content."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

FOLDER = Path(__file__).with_name("assets")
ICON = FOLDER / "icon.svg"

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@functools.cache
def _files() -> dict[str, Path]:
    return {path.name: path for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


@functools.cache
def assets_hash() -> str:
    """Return a hash of the names and the content of all files."""
    digest = hashlib.sha256()
    for name, path in _files().items():
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def asset(request: Request) -> Response:
    """Return a file, which browsers may keep for ever; 404 under the address of another version."""
    path = _files().get(request.path_params["file"])
    if path is None or request.path_params["hash"] != assets_hash():
        return PlainTextResponse("There is no such file. Load the page again.", 404)
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=_FOREVER)
