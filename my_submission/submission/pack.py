"""Packs a submission: the files that the chosen system and track need, as a git repository with LFS attributes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from my_submission.challenge import CONFIGURATION_NAME, SubmissionConfiguration
from my_submission.challenge.aicrowd_json import aicrowd_text
from my_submission.challenge.tracks import LFS_THRESHOLD_BYTES
from my_submission.errors import InputError, OutputError
from my_submission.submission import git
from my_submission.submission.code_closure import CodeClosure, code_closure
from my_submission.submission.requirement_names import CONSTRAINTS_NAME, distributions_of, requirement_lines
from my_submission.submission.tree import SubmissionTree
from my_submission.systems import SYSTEMS, SYSTEMS_FILE, find_system, systems_of
from my_submission.weights import ModelsFolder
from my_submission.weights.companions import companions_of
from my_submission.weights.manifest import MANIFEST_NAME
from terminal.documents import read_json

COMPANIONS = ("LICENSE", "README.md", "apt.txt", CONSTRAINTS_NAME, CONFIGURATION_NAME)
"""Files that are copied unchanged."""

TEXT_PATTERNS = ("*.sh", "*.py", "*.toml", "*.json", "*.csv", "*.txt", "*.md")
"""Text files, for which .gitattributes requires Linux line endings."""

_IGNORED = ".venv/\n__pycache__/\ndata/\npublic_dataset/\nevaluator_outputs/\n"


@dataclass(frozen=True, kw_only=True)
class PackResult:
    """A packed submission.

    Attributes:
        files: relative path to size in bytes, sorted.
        lfs_files: files in Git LFS.
        is_committed: whether everything is committed; False if git-lfs is needed and not installed.
        notes: instructions for the user.
    """

    directory: Path
    files: dict[str, int]
    lfs_files: tuple[str, ...]
    is_committed: bool
    notes: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """Total size of all files."""
        return sum(self.files.values())


def pack_submission(tree: SubmissionTree, directory: Path) -> PackResult:
    """Write the tree to push; links inside the tree are replaced by their targets.

    Args:
        directory: a new or empty folder outside the tree.

    Raises:
        InputError: the configuration, the system or git is missing, or a link leads out of the tree.
        WeightsError: an artefact is missing or has another hash.
        OutputError: the directory is not empty, is inside the tree, or cannot be written.
    """
    _require_free(directory, tree)
    configuration = tree.configuration()
    tree.models_prefix(configuration)
    tree.require_inside(tree.root / configuration.models_dir / MANIFEST_NAME)
    models = ModelsFolder(tree.root / configuration.models_dir)
    known = systems_of(models)
    system = find_system(configuration.system, known)
    weights = {name: models.require(name) for name in system.artefacts}
    closure = code_closure(tree.root, configuration.challenge_track.entry_files)
    sources = {**_code_files(tree, configuration, closure), **_model_files(models, weights)}
    listed_artefacts = set(weights)
    if system.name not in SYSTEMS:
        sources[f"models/{SYSTEMS_FILE}"] = models.directory / SYSTEMS_FILE
        listed_artefacts |= {each for name in known.keys() - SYSTEMS.keys() for each in known[name].artefacts}
    for source in (*sources.values(), tree.root / "requirements.txt"):
        tree.require_inside(source)
    requirements, manifest = _requirements_text(tree.root, closure), _manifest_text(models, listed_artefacts)
    try:
        _copy(sources, directory)
        (directory / "requirements.txt").write_text(requirements, encoding="utf-8")
        (directory / "models").mkdir(exist_ok=True)
        (directory / "models" / MANIFEST_NAME).write_text(manifest, encoding="utf-8")
        (directory / "aicrowd.json").write_text(aicrowd_text(configuration), encoding="utf-8")
        if configuration.models_dir != "models":
            _point_to_models(directory / CONFIGURATION_NAME, configuration)
        lfs_files = _write_attributes(directory)
        (directory / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written ({error})", where=directory, hint="choose another folder") from error
    is_committed = _commit(directory, configuration, lfs_files)
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and ".git" not in path.parts)
    return PackResult(
        directory=directory,
        files={path.relative_to(directory).as_posix(): path.stat().st_size for path in paths},
        lfs_files=tuple(lfs_files),
        is_committed=is_committed,
        notes=() if is_committed else (_lfs_note(lfs_files),),
    )


def _require_free(directory: Path, tree: SubmissionTree) -> None:
    """Raise OutputError unless the directory, with links resolved, is new or empty and outside the tree."""
    hint = "choose a new folder outside the tree"
    try:
        real = directory.resolve()
        if real.is_relative_to(tree.root):
            raise OutputError(f"is inside the tree that is packed ({tree.root})", where=directory, hint=hint)
        if not real.exists() and directory.is_symlink():
            raise OutputError(f"is a link to {real}, which does not exist", where=directory, hint=hint)
        if real.exists() and (not real.is_dir() or any(real.iterdir())):
            raise OutputError("is not empty", where=directory, hint="choose a new folder")
    except (OSError, RuntimeError) as error:  # circular links, no permission
        raise OutputError(f"cannot be used ({error})", where=directory, hint=hint) from error


def _code_files(tree: SubmissionTree, configuration: SubmissionConfiguration, closure: CodeClosure) -> dict[str, Path]:
    """Return relative path to file: the imported modules, the data files they name, and the companions."""
    root = tree.root
    wanted = {*closure.files, *configuration.challenge_track.entry_files, *_data_files(root, closure)}
    wanted |= {name for name in COMPANIONS if (root / name).is_file()}
    for name in sorted(wanted):
        if not (root / name).is_file():
            raise InputError("is missing", where=root / name, hint="restore it; the track needs it")
    return {name: root / name for name in sorted(wanted)}


def _model_files(models: ModelsFolder, weights: dict[str, Path]) -> dict[str, Path]:
    """Return relative path to file: the artefacts, their companion files and their README.md."""
    found = {}
    for name, path in weights.items():
        packed = PurePosixPath("models") / models.artefact(name).path
        found[str(packed)] = path
        for location in companions_of(models.artefact(name), path):
            found[str(packed.parent / location)] = path.parent / location
        card = path.parent / "README.md"
        if card.is_file():
            found[str(packed.parent / card.name)] = card
    return found


def _copy(sources: dict[str, Path], directory: Path) -> None:
    for name, source in sources.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, directory / name)


def _data_files(root: Path, closure: CodeClosure) -> set[str]:
    """Return the JSON and CSV files that a module of the same folder mentions by name."""
    found = set()
    for module in closure.files:
        text = (root / module).read_text(encoding="utf-8")
        beside = (path for path in (root / module).parent.iterdir() if path.suffix in {".json", ".csv"})
        found |= {path.relative_to(root).as_posix() for path in beside if path.name in text and "/" in module}
    return found


def _requirements_text(root: Path, closure: CodeClosure) -> str:
    """Return requirements.txt reduced to the libraries that the packed modules import."""
    needed = {name for library in closure.libraries for name in distributions_of(library)}
    lines = [line for name, line in requirement_lines(root / "requirements.txt").items() if name in needed]
    if (root / CONSTRAINTS_NAME).is_file():
        lines.insert(0, f"-c {CONSTRAINTS_NAME}")
    return "\n".join(lines) + "\n"


def _manifest_text(models: ModelsFolder, artefacts: Collection[str]) -> str:
    """Return the manifest reduced to these artefacts: the packed ones, and all that a packed systems.toml names."""
    manifest = read_json(models.directory / MANIFEST_NAME)  # validated when the folder was opened
    manifest["artefacts"] = [entry for entry in manifest["artefacts"] if entry["name"] in artefacts]
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _point_to_models(path: Path, configuration: SubmissionConfiguration) -> None:
    """Change models_dir to "models", where packed weights always are."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(json.dumps(configuration.models_dir), '"models"'), encoding="utf-8")
    if SubmissionTree(path.parent).configuration() != replace(configuration, models_dir="models"):
        raise InputError("its models_dir cannot be changed to models", where=path, hint='write models_dir = "models"')


def _write_attributes(directory: Path) -> list[str]:
    """Write .gitattributes, and return the files over the size limit, which it assigns to Git LFS."""
    large = sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and path.stat().st_size > LFS_THRESHOLD_BYTES
    )
    lines = ["# The grader runs Linux: text files need Linux line endings."]
    lines += [f"{pattern} text eol=lf" for pattern in TEXT_PATTERNS]
    lines += ["# Files over 5 MB must be in Git LFS.", "*.onnx binary", "*.ckpt binary"]
    lines += [f"{name.replace(' ', '[[:space:]]')} filter=lfs diff=lfs merge=lfs -text" for name in large]
    (directory / ".gitattributes").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return large


def _commit(directory: Path, configuration: SubmissionConfiguration, lfs_files: list[str]) -> bool:
    """Create the repository and commit; large files are committed only if git-lfs is installed."""
    git.run_git(directory, "init", "--quiet", "--initial-branch=master")
    can_commit_all = not lfs_files or git.has_git_lfs()
    if lfs_files and can_commit_all:
        git.run_git(directory, "lfs", "install", "--local")
    left = [] if can_commit_all else [f":!{name}" for name in lfs_files]
    git.run_git(directory, "add", "--", ".", *left)
    message = f"Submission: {configuration.system} for {configuration.track}"
    git.run_git(directory, *_identity(directory, configuration), "commit", "--quiet", "-m", message)
    return can_commit_all


def _identity(directory: Path, configuration: SubmissionConfiguration) -> list[str]:
    """Return git options that set the first author as identity if the user has none."""
    try:
        git.run_git(directory, "config", "user.email")
    except InputError:
        name = configuration.authors[0]
        return ["-c", f"user.name={name}", "-c", "user.email=submission@localhost"]
    return []


def _lfs_note(lfs_files: list[str]) -> str:
    return (
        f"git-lfs is not installed: {', '.join(lfs_files)} (over 5 MB) are not committed; "
        "install git-lfs, then: git lfs install && git add --all && git commit -m weights"
    )
