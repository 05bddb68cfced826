"""Settings that a training program wrote as YAML beside a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from my_submission.errors import MdxError, WeightsError
from terminal.documents import DocumentError, checked_values, decoded, read_bounded
from terminal.extras import command_for

_MAX_SETTINGS_BYTES = 128 << 10
"""Training programs write a few kilobytes; PyYAML needs half a minute for a megabyte."""

_BROKEN_SCALARS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""Errors of PyYAML for invalid dates and numbers and for deep nesting."""


def parsed_yaml(path: Path) -> Any:
    """Return the content of a settings file.

    Raises:
        WeightsError: the file cannot be read.
        MdxError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MdxError("reading it needs PyYAML", where=path, hint=f"run {command_for('yaml')}") from error
    try:
        return checked_values(yaml.safe_load(decoded(read_bounded(path, max_bytes=_MAX_SETTINGS_BYTES))))
    except (OSError, DocumentError, yaml.YAMLError, *_BROKEN_SCALARS) as error:
        reason = " ".join(str(error).split())[:200]
        hint = "use the file that the training program wrote"
        raise WeightsError(f"cannot be read as settings ({reason})", where=path, hint=hint) from error
