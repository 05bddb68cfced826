"""The tree of a submission: its files, links and configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from my_submission.challenge import CONFIGURATION_NAME, SubmissionConfiguration, read_configuration
from my_submission.errors import InputError
from my_submission.submission import git
from my_submission.submission.entries import TreeEntries, find_entries, follow

LINK_HINT = "replace the link by the file itself"


@dataclass(frozen=True)
class SubmissionTree:
    """A folder with a submission; ``root`` becomes absolute."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError("there is no such folder", where=self.root, hint="give the top of a submission tree")
        object.__setattr__(self, "root", self.root.resolve())

    @cached_property
    def is_repository(self) -> bool:
        """Whether it is a git repository."""
        return git.is_repository(self.root)

    @cached_property
    def entries(self) -> TreeEntries:
        """The names in a push, by kind, and the files that git cannot store."""
        return find_entries(self.root, is_repository=self.is_repository)

    @property
    def files(self) -> list[str]:
        """Ordinary files in a push, as sorted relative paths with forward slashes; no links."""
        return self.entries.files

    @cached_property
    def lfs_files(self) -> set[str]:
        """Those of ``files`` that .gitattributes assigns to Git LFS."""
        return git.lfs_tracked(self.root, self.files)

    def configuration(self) -> SubmissionConfiguration:
        """Return the tree's configuration, without overrides from the environment.

        Raises:
            InputError: it is missing or invalid.
        """
        return read_configuration(self.root / CONFIGURATION_NAME)

    def carries(self, name: str) -> bool:
        """Return whether a push contains the content of this path, directly or through links inside the tree."""
        end = follow(self.root, name)
        return end.path in self._names and all(link in self.entries.links for link in end.links)

    def require_inside(self, path: Path) -> Path:
        """Return the path if it is inside the tree with all links resolved.

        Raises:
            InputError: a link leads out of the tree.
        """
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:  # circular links
            raise InputError(f"is a link that cannot be followed ({error})", where=path, hint=LINK_HINT) from error
        if not real.is_relative_to(self.root):
            raise InputError(f"leads out of the tree, to {real}", where=path, hint=LINK_HINT)
        return path

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.files)

    def models_prefix(self, configuration: SubmissionConfiguration) -> str:
        """Return the folder of the weights relative to the root, with a final slash.

        Raises:
            InputError: it is outside the tree.
        """
        folder = (self.root / configuration.models_dir).resolve()
        if not folder.is_relative_to(self.root):
            hint = "move the weights into the tree and set models_dir to a folder inside it"
            raise InputError(f"models_dir is outside the tree {self.root}", where=folder, hint=hint)
        return f"{folder.relative_to(self.root).as_posix()}/"
