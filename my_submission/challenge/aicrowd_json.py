"""aicrowd.json: generated from the configuration, checked against the schema of its track."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from my_submission.challenge.configuration import SubmissionConfiguration
from my_submission.challenge.tracks import Track
from my_submission.errors import InputError, MdxError
from terminal.documents import DocumentError, read_json
from terminal.extras import explained_absence
from terminal.program import program_name

FILE_NAME = "aicrowd.json"


def aicrowd_document(configuration: SubmissionConfiguration) -> dict[str, Any]:
    """Return the content of aicrowd.json as plain values, in the order of the kits."""
    track = configuration.challenge_track
    grader = {"grader_id": track.grader_id} if track.grader_id else {}
    flags = {name: getattr(configuration, name) for name in track.board_flags}
    return {
        "challenge_id": track.challenge_id,
        **grader,
        "authors": list(configuration.authors),
        **flags,
        "description": configuration.description,
        "external_dataset_used": configuration.external_dataset_used,
        "gpu": configuration.gpu,
    }


def aicrowd_text(configuration: SubmissionConfiguration) -> str:
    """Return the content of aicrowd.json as text."""
    return json.dumps(aicrowd_document(configuration), indent=2, ensure_ascii=False) + "\n"


def read_aicrowd_json(path: Path) -> dict[str, Any]:
    """Read aicrowd.json without checking it.

    Raises:
        InputError: it is missing or contains no JSON object.
    """
    hint = f"write it with {program_name()} submit configure"
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise InputError("there is no aicrowd.json", where=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, hint="check its permissions") from error
    except DocumentError as error:
        raise InputError(f"is not JSON ({error})", where=path, hint=hint) from error
    if not isinstance(document, dict):
        raise InputError("contains no JSON object", where=path, hint=hint)
    return document


@explained_absence(MdxError)
def find_schema_faults(document: dict[str, Any], track: Track) -> list[str]:
    """Return one clause per violation of the track's schema."""
    from jsonschema import Draft202012Validator

    schema = {**_schema(), "$ref": f"#/$defs/{track.name}"}
    errors = sorted(Draft202012Validator(schema).iter_errors(document), key=lambda error: list(error.absolute_path))
    return [_clause([str(step) for step in error.absolute_path], error.message) for error in errors]


def _clause(steps: list[str], message: str) -> str:
    return f"{'.'.join(steps)}: {message}" if steps else message


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    text = resources.files("my_submission.challenge").joinpath("aicrowd.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
