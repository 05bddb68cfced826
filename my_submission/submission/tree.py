"""A tree that is to be pushed: its files, and what git makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from my_submission.challenge import CONFIGURATION_NAME, SubmissionConfiguration, read_configuration
from my_submission.errors import InputError
from my_submission.submission import git
from my_submission.submission.entries import TreeEntries, find_entries, follow

LINK_CURE = "put the file itself in the link's place"


@dataclass(frozen=True)
class SubmissionTree:
    """A folder with a submission in it.

    Attributes:
        root: its top, absolute.
    """

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError("there is no such folder", where=self.root, hint="name the top of a submission tree")
        object.__setattr__(self, "root", self.root.resolve())

    @cached_property
    def is_repository(self) -> bool:
        """Whether git keeps it."""
        return git.is_repository(self.root)

    @cached_property
    def entries(self) -> TreeEntries:
        """What a push would carry, sorted into files, links and what git cannot carry."""
        return find_entries(self.root, is_repository=self.is_repository)

    @property
    def files(self) -> list[str]:
        """Ordinary files that a push would carry, as relative paths with forward slashes, sorted; no links."""
        return self.entries.files

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

    def carries(self, name: str) -> bool:
        """Whether a push brings the content of this path, itself or through links inside the tree."""
        end = follow(self.root, name)
        return end.place in self._names and all(link in self.entries.links for link in end.links)

    def require_inside(self, path: Path) -> Path:
        """The path itself, when it lies in the tree with all links followed.

        Raises:
            InputError: a link leads out of the tree.
        """
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:  # links in a circle
            raise InputError(f"is a link that cannot be followed ({error})", where=path, hint=LINK_CURE) from error
        if not real.is_relative_to(self.root):
            raise InputError(f"leads out of the tree, to {real}", where=path, hint=LINK_CURE)
        return path

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.files)

    def models_prefix(self, configuration: SubmissionConfiguration) -> str:
        """The folder of the weights relative to the root, with a closing slash.

        Raises:
            InputError: it lies outside the tree.
        """
        folder = (self.root / configuration.models_dir).resolve()
        if not folder.is_relative_to(self.root):
            hint = "put the weights into the tree and set models_dir to a folder below it"
            raise InputError(f"models_dir lies outside the tree {self.root}", where=folder, hint=hint)
        return f"{folder.relative_to(self.root).as_posix()}/"
