"""Checks of a tree that run nothing of it: files, configuration, aicrowd.json, weights, sizes, Git LFS."""

from __future__ import annotations

from collections.abc import Iterator

from my_submission.challenge import SubmissionConfiguration
from my_submission.challenge.aicrowd_json import aicrowd_document, find_schema_faults, read_aicrowd_json
from my_submission.challenge.building import require_sources
from my_submission.challenge.tracks import LFS_THRESHOLD_BYTES
from my_submission.errors import MdxError
from my_submission.submission import git
from my_submission.submission.entries import follow
from my_submission.submission.findings import Finding, fact, fault, fault_of, warning
from my_submission.submission.tree import SubmissionTree
from my_submission.systems import SystemRecipe, find_system
from my_submission.weights import ModelsFolder, VerifyResult, is_lfs_pointer, verify

_PACK = "python -m my_submission submit pack DIR"


def required_file_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Everything the grader calls or reads is in the push."""
    track = configuration.challenge_track
    wanted = (*track.entry_files, "aicrowd.json", "requirements.txt", "apt.txt", "my_submission/__init__.py")
    for name in wanted:
        if not (tree.root / name).is_file():
            yield fault("tree", f"{name} is missing; the track {track.name} needs it", f"restore it, or use {_PACK}")
        elif not tree.carries(name) and not _is_told_as_link(tree, name):
            yield fault("tree", f"{name} is there but .gitignore keeps it out of the push", "take it out of .gitignore")
    if tree.is_repository:
        yield fact("tree", f"{len(tree.files)} files would be pushed")
    else:
        yield warning("tree", f"{tree.root} is no git repository", f"git init there, or use {_PACK}")


def _is_told_as_link(tree: SubmissionTree, name: str) -> bool:
    """Whether the way to a file is through a link of the push, which the check of links has judged."""
    links = follow(tree.root, name).links
    return bool(links) and links[0] in tree.entries.links


def aicrowd_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """aicrowd.json fits its track's schema and says what the configuration says."""
    check, hint = "aicrowd.json", "python -m my_submission submit configure writes it anew from submission.toml"
    try:
        document = read_aicrowd_json(tree.root / "aicrowd.json")
    except MdxError as error:
        yield fault_of(check, error)
        return
    faults = find_schema_faults(document, configuration.challenge_track)
    for problem in faults:
        yield fault(check, f"not right for the track {configuration.track}: {problem}", hint)
    expected = aicrowd_document(configuration)
    differing = [key for key in expected if key in document and document[key] != expected[key]]
    if differing and not faults:
        yield fault(check, f"{', '.join(differing)} differ from submission.toml", hint)


def system_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """The system exists, separates the track's sources, and its weights are whole and part of the push."""
    try:
        system = find_system(configuration.system)
        require_sources(configuration, system.sources)
        models = ModelsFolder(tree.root / configuration.models_dir)
        prefix = tree.models_prefix(configuration)
        results = verify(models, system.artefacts)
    except MdxError as error:
        yield fault_of("system", error)
        return
    yield from _weight_findings(models, results)
    names = [f"{prefix}{models.artefact(name).path}" for name in system.artefacts]
    present = [name for name in names if (tree.root / name).is_file()]
    for name in present:
        if not tree.carries(name) and not _is_told_as_link(tree, name):
            yield fault("weights", f"{name} is there but .gitignore keeps it out of the push", f"use {_PACK}")
    yield from _research_findings(system)


def _weight_findings(models: ModelsFolder, results: list[VerifyResult]) -> Iterator[Finding]:
    for result in results:
        text = f"{result.name}: {result.detail}"
        if result.status in {"missing", "damaged"}:
            yield fault("weights", text, models.hint(result.name))
        elif result.status == "unverified":
            yield fault("weights", text, "record its hash in the models folder's manifest.json")
        else:
            yield fact("weights", text)


def _research_findings(system: SystemRecipe) -> Iterator[Finding]:
    if "research" in system.licence or "non-commercial" in system.licence:
        yield warning("weights", f"licence of {system.name}: {system.licence}", "make sure the challenge allows it")


def size_findings(tree: SubmissionTree) -> Iterator[Finding]:
    """Large files go by Git LFS, and no pointer stands where a file should."""
    is_lfs_used = False
    committed = git.committed_sizes(tree.root) if tree.is_repository else {}
    for name in tree.files:
        path = tree.root / name
        n_bytes, is_tracked = path.stat().st_size, name in tree.lfs_files
        is_lfs_used |= is_tracked
        if is_lfs_pointer(path):
            hint = "run git lfs pull, so that the file itself is there"
            yield fault("git lfs", f"{name} is a Git LFS pointer, not the file itself", hint)
        elif n_bytes > LFS_THRESHOLD_BYTES and not is_tracked:
            hint = f'git lfs track "{name}", then git add .gitattributes {name}; or push what {_PACK} makes'
            yield fault(
                "git lfs", f"{name} has {n_bytes / 1e6:.1f} MB and is outside Git LFS (the limit is 5 MB)", hint
            )
        elif is_tracked and committed.get(name, 0) > LFS_THRESHOLD_BYTES:
            hint = f"install git-lfs, then git lfs migrate import --no-rewrite {name}"
            text = f"{name} is to go by Git LFS but was committed as a plain file of {committed[name] / 1e6:.1f} MB"
            yield fault("git lfs", text, hint)
    if is_lfs_used and not git.has_git_lfs():
        yield fault("git lfs", "files are to go by Git LFS, but git-lfs is not installed here", "install git-lfs")
