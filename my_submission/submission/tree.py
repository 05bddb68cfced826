"""A tree that is to be pushed: its files, and what git makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from my_submission.challenge import CONFIGURATION_NAME, SubmissionConfiguration, read_configuration
from my_submission.errors import InputError
from my_submission.submission import git

_NEVER_PUSHED = {".git", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "data"}
"""Folders that are left out where no git says what belongs to the tree."""


@dataclass(frozen=True)
class SubmissionTree:
    """A folder with a submission in it.

    Attributes:
        root: its top, absolute.
    """

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError("there is no such folder", where=self.root, cure="name the top of a submission tree")
        object.__setattr__(self, "root", self.root.resolve())

    @cached_property
    def is_repository(self) -> bool:
        """Whether git keeps it."""
        return git.is_repository(self.root)

    @cached_property
    def files(self) -> list[str]:
        """What a push would carry, as relative paths with forward slashes, sorted."""
        if self.is_repository:
            return git.pushed_files(self.root)
        found = (path for path in self.root.rglob("*") if path.is_file())
        relative = (path.relative_to(self.root) for path in found)
        return sorted(path.as_posix() for path in relative if not _NEVER_PUSHED & set(path.parts))

    @cached_property
    def lfs_files(self) -> set[str]:
        """Those of ``files`` that .gitattributes gives to Git LFS."""
        return git.lfs_tracked(self.root, self.files)

    def configuration(self) -> SubmissionConfiguration:
        """The tree's own configuration, without the environment's overrides.

        Raises:
            InputError: it is missing or is not one.
        """
        return read_configuration(self.root / CONFIGURATION_NAME)

    def models_prefix(self, configuration: SubmissionConfiguration) -> str:
        """The folder of the weights relative to the root, with a closing slash.

        Raises:
            InputError: it lies outside the tree.
        """
        folder = (self.root / configuration.models_dir).resolve()
        if not folder.is_relative_to(self.root):
            cure = "put the weights into the tree and set models_dir to a folder below it"
            raise InputError(f"models_dir lies outside the tree {self.root}", where=folder, cure=cure)
        return f"{folder.relative_to(self.root).as_posix()}/"
