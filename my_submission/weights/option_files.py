"""Files beside a checkpoint that state options of its training, and hashes of all that its estimates depend on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from my_submission.files.hashing import remembered_sha256_of

SETTINGS_FILES = ("config.yaml", "hparams.yaml")
"""Settings that Hydra and Lightning write into the folder of a checkpoint, or the one above."""


def options_file(checkpoint: Path) -> Path:
    """Return the place of the user's own file with a checkpoint's options, ``<checkpoint>.toml``."""
    return checkpoint.with_name(f"{checkpoint.name}.toml")


def option_files(checkpoint: Path) -> tuple[Path, ...]:
    """Return the files that may state options of a checkpoint and are there; none for a graph."""
    if checkpoint.suffix == ".onnx":
        return ()
    folders = (checkpoint.parent, checkpoint.parent.parent)
    possible = (options_file(checkpoint), *(folder / name for folder in folders for name in SETTINGS_FILES))
    return tuple(file for file in possible if file.is_file())


def digests_of(weights: Mapping[str, Path]) -> dict[str, str]:
    """Return artefact name to the SHA-256 of its file, sorted by name.

    A file with options of an artefact has an entry ``<artefact> (<file name>)``.
    """
    digests = {}
    for name, path in sorted(weights.items()):
        digests[name] = remembered_sha256_of(path)
        for file in option_files(path):
            digests[f"{name} ({file.name})"] = remembered_sha256_of(file)
    return digests
