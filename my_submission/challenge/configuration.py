"""The one file that says what is submitted: system, track, leaderboard flags, limits.

``submission.toml`` at the top of the tree. The doors run by it and aicrowd.json is generated from it.
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
"""Names another configuration file than the tree's own."""

OVERRIDES = {"MDX_SYSTEM": "system", "MDX_MODELS_DIR": "models_dir", "MDX_DEVICE": "device"}
"""Environment variables that go before a field of the file, for trials on a desk."""


@dataclass(frozen=True, kw_only=True)
class SubmissionConfiguration:
    """What is submitted.

    Attributes:
        system: a name that ``python -m my_submission systems`` lists; the track's own starter when not given.
        track: "mdx21", "mdx23" or "cdx23".
        authors: for aicrowd.json.
        description: for aicrowd.json.
        external_dataset_used: whether anything but the track's own data went into the weights.
        gpu: ask the grader for a GPU, where the track lends one.
        labelnoise: enter leaderboard A of mdx23 (trained on the label-noise data alone).
        bleeding: enter leaderboard B of mdx23 (trained on the bleeding data alone).
        models_dir: folder of the weights, below the tree.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
        song_limit_seconds: replaces the track's limit of a song.
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
        self.limit  # noqa: B018 - refuses limits that are none

    @property
    def challenge_track(self) -> Track:
        """The track's facts."""
        return find_track(self.track)

    @property
    def limit(self) -> SongLimit:
        """The limit of one song: the file's own where it states one, else the track's."""
        if self.song_limit_seconds is None and self.song_limit_factor is None:
            return self.challenge_track.limit
        return SongLimit(seconds=self.song_limit_seconds, duration_factor=self.song_limit_factor)


def active_configuration(tree: Path, environment: Mapping[str, str] | None = None) -> SubmissionConfiguration:
    """The configuration that a door runs by: the tree's file, with the environment's overrides.

    Args:
        tree: folder with a ``submission.toml``.
        environment: variables; those of the process when not given.

    Raises:
        InputError: the file is missing or is not one.
    """
    variables = os.environ if environment is None else environment
    named = variables.get(FILE_VARIABLE)
    configuration = read_configuration(Path(named) if named else tree / CONFIGURATION_NAME)
    overrides = {field: variables[name] for name, field in OVERRIDES.items() if variables.get(name)}
    if "models_dir" in overrides:  # a path on the desk counts from where the user stands, not from the tree
        overrides["models_dir"] = str(Path(overrides["models_dir"]).absolute())
    return replace(configuration, **overrides)  # type: ignore[arg-type]  # every override is a text field


def read_configuration(path: Path) -> SubmissionConfiguration:
    """Read a configuration file strictly.

    Raises:
        InputError: it is missing, not TOML, lacks a key, or holds one that means nothing.
    """
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        hint = "write one, as docs/submitting.md shows, or run from the top of the tree"
        raise InputError("there is no submission file", where=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, hint="check its permissions") from error
    except DocumentError as error:
        raise InputError(f"is not TOML ({error})", where=path, hint="mend that line") from error
    try:
        return convert(SubmissionConfiguration, values)
    except DocumentError as error:
        raise InputError(str(error), where=path, hint=error.hint or "change it there") from error
    except MdxError as error:
        raise InputError(error.problem, where=path, hint=error.hint) from error
