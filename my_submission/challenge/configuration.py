"""Configuration of a submission: system, track, leaderboard flags, limits.

It is ``submission.toml`` at the top of the tree. The entry points read it, and aicrowd.json is generated from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from my_submission.challenge.limits import SongLimit
from my_submission.challenge.tracks import Track, find_track
from my_submission.documents import convert
from my_submission.errors import InputError, MdxError
from terminal.documents import DocumentError, read_toml

CONFIGURATION_NAME = "submission.toml"

FILE_VARIABLE = "MDX_SUBMISSION_FILE"
"""Variable with the path of another configuration file."""

OVERRIDES = {"MDX_SYSTEM": "system", "MDX_MODELS_DIR": "models_dir", "MDX_DEVICE": "device"}
"""Environment variables that override a field of the file, for local trials."""


@dataclass(frozen=True, kw_only=True)
class SubmissionConfiguration:
    """Configuration of a submission.

    Attributes:
        system: a name that ``python -m my_submission systems`` lists; default: the track's starter.
        track: "mdx21", "mdx23" or "cdx23".
        authors: for aicrowd.json.
        description: for aicrowd.json.
        external_dataset_used: whether the weights were trained on anything but the track's own data.
        gpu: whether to ask the grader for a GPU, if the track has any.
        labelnoise: whether to enter leaderboard A of mdx23 (trained on the label-noise data alone).
        bleeding: whether to enter leaderboard B of mdx23 (trained on the bleeding data alone).
        models_dir: folder of the weights, below the tree.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
        song_limit_seconds: replaces the track's time limit per song.
        song_limit_factor: the same as a multiple of the song's duration.
    """

    track: str
    authors: tuple[str, ...]
    description: str
    external_dataset_used: bool
    system: str = ""
    gpu: bool = False
    labelnoise: bool = False
    bleeding: bool = False
    models_dir: str = "models"
    device: str = "auto"
    precision: str = "auto"
    song_limit_seconds: float | None = None
    song_limit_factor: float | None = None

    def __post_init__(self) -> None:
        track = find_track(self.track)
        if not self.system:
            object.__setattr__(self, "system", track.default_system)
        if not self.authors or not all(author.strip() for author in self.authors):
            raise ValueError("authors must name at least one person or team")
        flags = [name for name in ("labelnoise", "bleeding") if getattr(self, name)]
        if foreign := [name for name in flags if name not in track.board_flags]:
            raise ValueError(f"the track {self.track} has no leaderboard {foreign[0]}: remove it or set it to false")
        if len(flags) > 1:
            raise ValueError("labelnoise and bleeding are two leaderboards: choose one, or none for leaderboard C")
        if flags and self.external_dataset_used:
            raise ValueError(f"leaderboard {flags[0]} allows no external data: set external_dataset_used to false")
        if self.gpu and not track.has_gpu_choice:
            raise ValueError(f"the grader of {self.track} has no GPU: set gpu to false")
        self.limit  # noqa: B018 - raises for an invalid limit

    @property
    def challenge_track(self) -> Track:
        """The track."""
        return find_track(self.track)

    @property
    def limit(self) -> SongLimit:
        """The time limit per song: the file's own, or the track's."""
        if self.song_limit_seconds is None and self.song_limit_factor is None:
            return self.challenge_track.limit
        return SongLimit(seconds=self.song_limit_seconds, duration_factor=self.song_limit_factor)


def active_configuration(tree: Path, environment: Mapping[str, str] | None = None) -> SubmissionConfiguration:
    """Return the configuration of an entry point: the tree's file, with the environment's overrides.

    Args:
        tree: folder with a ``submission.toml``.
        environment: variables; default: those of the process.

    Raises:
        InputError: the file is missing or invalid.
    """
    variables = os.environ if environment is None else environment
    named = variables.get(FILE_VARIABLE)
    configuration = read_configuration(Path(named) if named else tree / CONFIGURATION_NAME)
    overrides = {field: variables[name] for name, field in OVERRIDES.items() if variables.get(name)}
    if "models_dir" in overrides:  # relative to the working directory, not to the tree
        overrides["models_dir"] = str(Path(overrides["models_dir"]).absolute())
    return replace(configuration, **overrides)  # type: ignore[arg-type]  # every override is a text field


def read_configuration(path: Path) -> SubmissionConfiguration:
    """Read a configuration file strictly.

    Raises:
        InputError: it is missing, not TOML, or has a key that is missing, unknown or of another type.
    """
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        hint = "write one, as docs/submitting.md shows, or run from the top of the tree"
        raise InputError("there is no submission file", where=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, hint="check its permissions") from error
    except DocumentError as error:
        raise InputError(f"is not TOML ({error})", where=path, hint="correct that line") from error
    try:
        return convert(SubmissionConfiguration, values)
    except DocumentError as error:
        raise InputError(str(error), where=path, hint=error.hint or "change it there") from error
    except MdxError as error:
        raise InputError(error.problem, where=path, hint=error.hint) from error
