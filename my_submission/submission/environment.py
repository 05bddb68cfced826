"""Python environments for a rehearsal: a virtual environment or container with the submission's requirements only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from my_submission.challenge.tracks import GraderMachine
from my_submission.errors import MdxError
from my_submission.files.cache import cache_folder
from my_submission.submission.requirement_names import CONSTRAINTS_NAME, debian_packages

PYTHON_IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
"""Base image of containers, with this Python's version, so that the same wheels fit."""

_ERROR_LINES = 15


class EnvironmentBuildError(MdxError):
    """The environment of a submission cannot be built from its requirements."""


@dataclass(frozen=True)
class Environment:
    """A Python with a submission's requirements.

    Attributes:
        python: path of the interpreter, or "python" inside a container.
        engine: the container engine's command, or None.
    """

    python: str
    description: str
    engine: str | None = None
    image: str = ""

    def command(
        self, command: list[str], *, work: Path, cwd: Path, environment: Mapping[str, str], machine: GraderMachine
    ) -> list[str]:
        """Return the command that runs ``command`` in this environment; containers mount ``work`` at the same path."""
        if self.engine is None:
            return command
        variables = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        limits = ["--network", "none", "--cpus", str(machine.n_cpus), "--memory", str(machine.memory_bytes)]
        mounts = ["--volume", f"{work}:{work}", "--workdir", str(cwd)]
        return [self.engine, "run", "--rm", *limits, *mounts, *variables, self.image, *command]


def current_environment() -> Environment:
    """Return the running interpreter: quick, but requirements.txt is not tested."""
    return Environment(sys.executable, f"this interpreter ({sys.executable}); requirements.txt is not tested")


def find_container_engine() -> str | None:
    """Return the path of Docker or Podman if one is installed and running, or None."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path and subprocess.run([path, "info"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def container_environment(tree: Path, engine: str) -> Environment:
    """Build an image from requirements.txt and apt.txt.

    Raises:
        EnvironmentBuildError: it cannot be built; the message has the end of the output.
    """
    packages = " ".join(debian_packages(tree / "apt.txt"))
    install = f"RUN apt-get update && apt-get install -y --no-install-recommends {packages}\n" if packages else ""
    copied = " ".join(path.name for path in _requirement_files(tree))
    recipe = f"FROM {PYTHON_IMAGE}\n{install}COPY {copied} ./\nRUN pip install --no-cache-dir -r requirements.txt\n"
    digest = hashlib.sha256(recipe.encode() + _requirements(tree)).hexdigest()[:12]
    image = f"mdx-rehearsal:{digest}"
    _build([engine, "build", "--tag", image, "--file", "-", str(tree)], "requirements.txt and apt.txt", stdin=recipe)
    return Environment("python", f"container {image} on {PYTHON_IMAGE}", engine=engine, image=image)


def fresh_environment(tree: Path, *, rebuild: bool = False) -> Environment:
    """Create a virtual environment with the requirements of requirements.txt only, or reuse the one created before.

    Args:
        rebuild: create it again even if one with the same requirements exists.

    Raises:
        EnvironmentBuildError: a requirement cannot be installed; the message has the end of pip's output.
    """
    requirements = tree / "requirements.txt"
    if not requirements.is_file():
        raise EnvironmentBuildError("is missing", where=requirements, hint="list the libraries the submission imports")
    digest = hashlib.sha256(_requirements(tree) + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder() / "environments" / digest
    stamp, python = folder / "complete", folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    described = f"clean virtual environment from requirements.txt ({folder})"
    if stamp.is_file() and not rebuild:
        return Environment(str(python), described)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _build([sys.executable, "-m", "venv", str(folder)], "a virtual environment")
    quiet = ["--quiet", "--disable-pip-version-check"]
    _build([str(python), "-m", "pip", "install", *quiet, "-r", str(requirements)], "requirements.txt")
    stamp.touch()
    return Environment(str(python), described)


def _requirement_files(tree: Path) -> list[Path]:
    """Return the paths of requirements.txt and constraints.txt that exist."""
    return [path for path in (tree / "requirements.txt", tree / CONSTRAINTS_NAME) if path.is_file()]


def _requirements(tree: Path) -> bytes:
    return b"".join(path.read_bytes() for path in _requirement_files(tree))


def _build(command: list[str], what: str, *, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-_ERROR_LINES:])
        hint = "correct the requirement in the message; it must be installable from the package index"
        raise EnvironmentBuildError(f"{what} cannot be installed:\n{tail}\n", hint=hint)
