"""Lists the files, links and special files of a tree. Hard links count as ordinary files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from my_submission.submission import git

NEVER_PUSHED = {".git", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "data"}
"""Folders to skip in a tree that is not a git repository."""

_MAX_LINKS = 40
"""Links that are followed on one path, as in Linux."""

_LINK_MODE, _SUBMODULE_MODE = "120000", "160000"


@dataclass(frozen=True)
class TreeEntries:
    """Names in a tree, as sorted relative paths with forward slashes.

    Attributes:
        files: ordinary files in the push.
        links: symbolic links in the push, with their targets.
        submodules: submodules; a push contains their commit but not their files.
        specials: named pipes, sockets and devices, with their kind.
    """

    files: list[str]
    links: dict[str, str]
    submodules: list[str]
    specials: dict[str, str]


def find_entries(root: Path, *, is_repository: bool) -> TreeEntries:
    """List every name of a tree without following links.

    Raises:
        InputError: git fails.
    """
    modes = git.index_modes(root) if is_repository else {}
    keeps_links = not is_repository or git.setting(root, "core.symlinks") != "false"
    found = TreeEntries([], {}, [], {})
    behind_link: dict[str, bool] = {"": False}
    for name in git.pushed_names(root) if is_repository else sorted(_walked(root)):
        path = root / name
        if _is_behind_link(root, str(PurePosixPath(name).parent), behind_link) or not os.path.lexists(path):
            continue
        if modes.get(name) == _SUBMODULE_MODE:
            found.submodules.append(name)
        elif path.is_symlink():
            found.links[name] = os.readlink(path)
        elif path.is_file():
            if modes.get(name) == _LINK_MODE and not keeps_links:
                found.links[name] = path.read_text(encoding="utf-8", errors="surrogateescape")
            else:
                found.files.append(name)
    found.specials.update(sorted(_specials(root)))
    return found


@dataclass(frozen=True)
class LinkEnd:
    """The end of a path whose links were followed inside a tree.

    Attributes:
        kind: "nothing" if the end does not exist, "outside" if a link leaves the tree, "circle" for circular links.
        path: relative path of the end; for "outside" the target of the link.
        links: relative paths of the links on the way.
    """

    kind: Literal["file", "folder", "nothing", "outside", "circle"]
    path: str
    links: list[str] = field(default_factory=list)


def follow(root: Path, name: str) -> LinkEnd:
    """Follow the links of a relative path one by one; links that leave the tree are not followed."""
    reached: list[str] = []
    waiting = list(PurePosixPath(name).parts)
    links: list[str] = []
    while waiting:
        part = waiting.pop(0)
        if part == "..":
            if not reached:
                return LinkEnd("outside", "../" + "/".join(waiting), links)
            reached.pop()
            continue
        reached.append(part)
        path = root.joinpath(*reached)
        if not os.path.lexists(path):
            return LinkEnd("nothing", "/".join([*reached, *waiting]), links)
        if path.is_symlink():
            links.append("/".join(reached))
            target = PurePosixPath(os.readlink(path))
            if target.is_absolute():
                return LinkEnd("outside", str(target), links)
            if len(links) > _MAX_LINKS:
                return LinkEnd("circle", links[0], links)
            reached.pop()
            waiting = [*target.parts, *waiting]
    return LinkEnd("folder" if root.joinpath(*reached).is_dir() else "file", "/".join(reached), links)


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in NEVER_PUSHED]
        yield from ((relative / name).as_posix() for name in (*files, *linked) if name not in NEVER_PUSHED)


def _specials(root: Path) -> Iterator[tuple[str, str]]:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
    }
    for name in _walked(root):
        kind = kinds.get(stat.S_IFMT(os.lstat(root / name).st_mode))
        if kind is not None:
            yield name, kind


def _is_behind_link(root: Path, folder: str, known: dict[str, bool]) -> bool:
    """Return whether a folder of the tree, or one above it, is a link."""
    folder = "" if folder == "." else folder
    if folder not in known:
        parent = str(PurePosixPath(folder).parent)
        known[folder] = _is_behind_link(root, parent, known) or (root / folder).is_symlink()
    return known[folder]
