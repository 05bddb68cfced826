"""Small models folders for the tests of weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from my_submission.weights import ModelsFolder

CONTENT = b"twelve bytes"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 29703204\n"

ENTRY: dict[str, Any] = {
    "name": "mine/bass",
    "path": "mine/bass.onnx",
    "sha256": "ab" * 32,
    "bytes": 12,
    "format": "onnx",
    "architecture": "tfc-tdf",
    "target": "bass",
    "geometry": {"n_fft": 4096, "hop": 1024},
    "sources": ["https://example.org/bass.onnx"],
    "licence": "MIT",
}


def write_manifest(directory: Path, *entries: Any, **document: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": 1, "artefacts": list(entries)} | document)
    (directory / "manifest.json").write_text(text, encoding="utf-8")
    return directory


def entry(**change: Any) -> dict[str, Any]:
    """An entry whose hash and size are those of CONTENT."""
    return ENTRY | {"sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT)} | change


def folder_with(directory: Path, content: bytes | None, *entries: dict[str, Any]) -> ModelsFolder:
    """A folder whose first artefact has ``content``."""
    models = ModelsFolder(write_manifest(directory, *entries))
    if content is not None:
        path = models.path(models.artefacts[0].name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return models
