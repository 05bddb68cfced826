"""Finds the modules that the entry points import and the libraries these import, from the source alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from my_submission.errors import InputError

_ABSENCE = {"ImportError", "ModuleNotFoundError"}
_CAN_HOLD_IMPORTS = (ast.stmt, ast.ExceptHandler, ast.match_case)


@dataclass(frozen=True)
class LibraryImport:
    """One import of a library.

    Attributes:
        library: top-level name, such as "soundfile".
        where: the importing module's path below the tree.
        is_certain: whether importing the module needs the library; False inside functions and if ImportError is caught.
    """

    library: str
    where: str
    is_certain: bool


@dataclass
class CodeClosure:
    """Everything that some modules import, directly or indirectly.

    Attributes:
        files: the tree's own modules, as paths below the tree.
        imports: imports of libraries other than the standard library.
    """

    files: set[str] = field(default_factory=set)
    imports: set[LibraryImport] = field(default_factory=set)

    @property
    def libraries(self) -> set[str]:
        """Names of all libraries, certain or not."""
        return {entry.library for entry in self.imports}


def code_closure(root: Path, entries: Sequence[str]) -> CodeClosure:
    """Follow imports from the entry modules through the tree.

    Args:
        entries: paths of Python files below the root.

    Raises:
        InputError: a module cannot be parsed.
    """
    closure = CodeClosure()
    files = _OwnFiles(root)
    waiting = [entry for entry in entries if entry.endswith(".py") and (root / entry).is_file()]
    while waiting:
        name = waiting.pop()
        if name in closure.files:
            continue
        closure.files.add(name)
        for dotted, is_certain in _imports(root / name):
            own = files.run_by(dotted)
            top = dotted.partition(".")[0]
            if own:
                waiting.extend(own)
            elif not files.has_package(top) and top not in sys.stdlib_module_names:
                closure.imports.add(LibraryImport(top, name, is_certain))
    return closure


def _imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """Return the dotted name of every import of a module, and whether importing the module needs it."""
    try:
        return _imports_of(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"is not Python ({error})", where=path, hint="correct the file") from error


@lru_cache(maxsize=1024)
def _imports_of(source: str) -> tuple[tuple[str, bool], ...]:
    return tuple(dict.fromkeys(_walk(ast.parse(source), is_certain=True)))


def _walk(node: ast.AST, *, is_certain: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, is_certain) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module, is_certain
        yield from ((f"{node.module}.{alias.name}", is_certain) for alias in node.names)
    else:
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        inner = is_certain and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Try) and any(_catches_absence(handler) for handler in node.handlers):
            inner = False
        children = node.orelse if is_for_types and isinstance(node, ast.If) else ast.iter_child_nodes(node)
        for child in children:
            if isinstance(child, _CAN_HOLD_IMPORTS):
                yield from _walk(child, is_certain=inner)


def _catches_absence(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in _ABSENCE for name in names)


class _OwnFiles:
    """The tree's own modules; each question to the file system is asked once."""

    def __init__(self, root: Path) -> None:
        self.has_package = cache(lambda top: (root / top).is_dir() and any((root / top).rglob("*.py")))
        self._is_file = cache(lambda name: (root / name).is_file())

    def run_by(self, dotted: str) -> list[str]:
        """Return the files that importing a dotted name runs: the module and the packages above it."""
        steps = dotted.split(".")
        bases = ["/".join(steps[:n_steps]) for n_steps in range(1, len(steps) + 1)]
        candidates = (name for base in bases for name in (f"{base}.py", f"{base}/__init__.py"))
        return [name for name in candidates if self._is_file(name)]
