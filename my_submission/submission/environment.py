"""Where a submission runs in a rehearsal: a clean virtual environment from its requirements alone, or a container."""

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
"""What a container is built on: this Python's version, so that the same wheels fit."""

_ERROR_LINES = 15


class EnvironmentBuildError(MdxError):
    """The environment of a submission cannot be built from its own files."""


@dataclass(frozen=True)
class Environment:
    """A Python that has a submission's requirements.

    Attributes:
        python: path of the interpreter, or "python" inside a container.
        description: for the report.
        engine: the container engine's command; None for an interpreter of this machine.
        image: of the container.
    """

    python: str
    description: str
    engine: str | None = None
    image: str = ""

    def command(
        self, command: list[str], *, work: Path, cwd: Path, environment: Mapping[str, str], machine: GraderMachine
    ) -> list[str]:
        """The command that runs ``command`` here; a container gets ``work`` mounted at its own path."""
        if self.engine is None:
            return command
        variables = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        limits = ["--network", "none", "--cpus", str(machine.n_cpus), "--memory", str(machine.memory_bytes)]
        mounts = ["--volume", f"{work}:{work}", "--workdir", str(cwd)]
        return [self.engine, "run", "--rm", *limits, *mounts, *variables, self.image, *command]


def current_environment() -> Environment:
    """The interpreter that runs this: quick, but no proof that the requirements are enough."""
    return Environment(sys.executable, f"this interpreter ({sys.executable}); requirements.txt is not proven")


def find_container_engine() -> str | None:
    """Docker or Podman, where its engine answers."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path and subprocess.run([path, "info"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def container_environment(tree: Path, engine: str) -> Environment:
    """Build an image from requirements.txt and apt.txt alone.

    Raises:
        EnvironmentBuildError: it cannot be built; the message holds the end of what was printed.
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
    """A virtual environment with nothing but what requirements.txt asks for; kept for the next rehearsal.

    Args:
        tree: holds requirements.txt.
        rebuild: make it anew even if one of the same requirements is there.

    Raises:
        EnvironmentBuildError: a requirement cannot be installed; the message holds the end of what pip printed.
    """
    requirements = tree / "requirements.txt"
    if not requirements.is_file():
        raise EnvironmentBuildError("is missing", where=requirements, hint="list what the submission imports")
    digest = hashlib.sha256(_requirements(tree) + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder() / "environments" / digest
    stamp, python = folder / "complete", folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    described = f"clean virtual environment from requirements.txt alone ({folder})"
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
    """requirements.txt, and the versions that it may point to."""
    return [path for path in (tree / "requirements.txt", tree / CONSTRAINTS_NAME) if path.is_file()]


def _requirements(tree: Path) -> bytes:
    return b"".join(path.read_bytes() for path in _requirement_files(tree))


def _build(command: list[str], what: str, *, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-_ERROR_LINES:])
        hint = "correct the line that the installer names; it must be installable from the package index alone"
        raise EnvironmentBuildError(f"{what} cannot be installed:\n{tail}\n", hint=hint)
