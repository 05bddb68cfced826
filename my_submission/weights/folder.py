"""A models folder: the artefacts of its manifest, and the paths of verified ones."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from my_submission.errors import UnknownNameError, WeightsError
from my_submission.weights.companions import companions_of, find_missing
from my_submission.weights.content_checks import find_damage, is_identified, is_lfs_pointer
from my_submission.weights.default_folders import DEFAULT_MODELS_DIR, fetched_folder, is_installed
from my_submission.weights.manifest import MANIFEST_NAME, Artefact, read_manifest
from my_submission.weights.tensors import check_checksums
from terminal.program import program_name

__all__ = ["DEFAULT_MODELS_DIR", "ModelsFolder"]

logger = logging.getLogger(__name__)


class ModelsFolder:
    """A folder with a ``manifest.json``, read once, and the folder that its artefacts are fetched into.

    The two are the same, except for the default folder of an installed package: nothing is written there, and
    artefacts that are not in it are looked for in the folder of fetched weights
    (:mod:`my_submission.weights.default_folders`).

    Args:
        directory: any folder with a manifest; the one that comes with the program by default.

    Raises:
        WeightsError: the manifest is missing or invalid.
    """

    def __init__(self, directory: str | PathLike[str] | None = None) -> None:
        self.directory = DEFAULT_MODELS_DIR if directory is None else Path(directory)
        self.is_default = self.directory.resolve() == DEFAULT_MODELS_DIR
        self.fetched = fetched_folder(DEFAULT_MODELS_DIR) if self.is_default else self.directory
        self.artefacts = read_manifest(self.directory)
        self._by_name = {artefact.name: artefact for artefact in self.artefacts}
        self._elsewhere: dict[str, Path] = {}

    def including(self, artefact: Artefact, path: Path) -> ModelsFolder:
        """Return this folder with one more artefact, whose file is elsewhere and whose content is not compared."""
        including = ModelsFolder.__new__(ModelsFolder)
        including.__dict__.update(self.__dict__)
        including.artefacts = (*self.artefacts, artefact)
        including._by_name = {**self._by_name, artefact.name: artefact}
        including._elsewhere = {**self._elsewhere, artefact.name: path}
        return including

    def artefact(self, name: str) -> Artefact:
        """Return the entry called ``name``.

        Raises:
            UnknownNameError: there is none; the message lists similar names.
        """
        if name in self._by_name:
            return self._by_name[name]
        below = [known for known in self._by_name if known.startswith(f"{name.rstrip('/')}/")]
        near = below or get_close_matches(name, self._by_name, n=4) or list(self._by_name)
        raise UnknownNameError(
            f'no artefact is called "{name}"',
            where=self.directory / MANIFEST_NAME,
            hint=f"the nearest names are {', '.join(near)}",
        )

    def path(self, name: str) -> Path:
        """Return the path of the artefact: in this folder, else among the fetched ones, present or not."""
        if name in self._elsewhere:
            return self._elsewhere[name]
        own, fetched = self.directory / self.artefact(name).path, self.target(name)
        if fetched == own or (own.is_file() and not is_lfs_pointer(own)):
            return own
        return own if own.is_file() and not fetched.is_file() else fetched

    def target(self, name: str) -> Path:
        """Return the path that the artefact is fetched to."""
        return self.fetched / self.artefact(name).path

    def is_present(self, name: str) -> bool:
        """Return whether the file exists and is not a Git LFS pointer; its content is not checked."""
        path = self.path(name)
        return path.is_file() and not is_lfs_pointer(path)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the artefacts that are not present, or not in the manifest."""
        return [name for name in names if name not in self._by_name or not self.is_present(name)]

    def require(self, name: str, *, allow_unverified: bool = False) -> Path:
        """Return the path of an artefact after verifying its content.

        Args:
            name: name of the artefact.
            allow_unverified: accept a file of another size or hash, or without a known hash, with a warning.

        Raises:
            UnknownNameError: no artefact has this name.
            WeightsError: the file is missing, a Git LFS pointer, truncated, or a different file.
        """
        artefact = self.artefact(name)
        path = self.path(name)
        if name in self._elsewhere:
            return path
        if not path.is_file():
            raise WeightsError(f"the weights of {name} are missing", where=path, hint=self.hint(name))
        if is_lfs_pointer(path):
            raise WeightsError(
                "is a Git LFS pointer, not the file itself", where=path, hint=f"run git lfs pull, or {self.hint(name)}"
            )
        problem = find_damage(artefact, path, is_remembered=True) or find_missing(artefact, path)
        if problem is None and not is_identified(artefact, path):
            problem = "has no known hash to compare with"
        if problem is None and (beside := companions_of(artefact, path)):
            problem = f"keeps its weights in {', '.join(map(repr, beside))}, of which no hash is known"
        if problem is None:
            return path
        if not allow_unverified:
            raise WeightsError(
                problem, where=path, hint=f"{self.hint(name)}, or add --allow-unverified if the file is yours"
            )
        logger.warning("%s: %s; it is used because unverified weights are allowed", path, problem)
        if artefact.format == "torch":
            check_checksums(path)
        return path

    def hint(self, name: str) -> str:
        """Return the commands that fetch an artefact, as a clause for an error message."""
        artefact = self.artefact(name)
        if self.is_default and is_installed(DEFAULT_MODELS_DIR) and (self.directory / artefact.path).is_file():
            return "install the package again: pip install --force-reinstall --no-deps mdx-submission"
        return self.hint_for(name, [name])

    def hint_for(self, system: str, missing: Iterable[str]) -> str:
        """Return the commands that fetch all weights of a system, as a clause for an error message.

        Args:
            system: its name, or that of one artefact.
            missing: names of the artefacts that it lacks.
        """
        elsewhere = "" if self.is_default else f" --models-dir {shlex.quote(str(self.directory))}"
        command = f"{program_name()} fetch {system}{elsewhere}"
        if not all(self.artefact(name).sources for name in missing):
            return f"run {command} --from FILE_OR_ZIP_OR_FOLDER with a copy of your own"
        return f"run {command} (offline: {command} --from FILE_OR_ZIP_OR_FOLDER)"
