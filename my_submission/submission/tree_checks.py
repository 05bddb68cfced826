"""Checks of a tree's files: configuration, aicrowd.json, weights, sizes, Git LFS."""

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
from my_submission.systems import SYSTEMS, SYSTEMS_FILE, SystemRecipe, find_system, systems_of
from my_submission.weights import ModelsFolder, VerifyResult, is_lfs_pointer, verify
from terminal.program import program_name

_PACK = f"{program_name()} submit pack DIR"


def required_file_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check that the push contains every file the grader needs."""
    track = configuration.challenge_track
    wanted = (*track.entry_files, "aicrowd.json", "requirements.txt", "apt.txt", "my_submission/__init__.py")
    for name in wanted:
        if not (tree.root / name).is_file():
            yield fault("tree", f"{name} is missing; the track {track.name} needs it", f"restore it, or use {_PACK}")
        elif not tree.carries(name) and not _is_reported_link(tree, name):
            yield fault("tree", f"{name} exists but .gitignore excludes it from the push", "remove it from .gitignore")
    if tree.is_repository:
        yield fact("tree", f"{len(tree.files)} files would be pushed")
    else:
        yield warning("tree", f"{tree.root} is not a git repository", f"git init there, or use {_PACK}")


def _is_reported_link(tree: SubmissionTree, name: str) -> bool:
    """Return whether a path goes through a link of the push, which link_findings reports."""
    links = follow(tree.root, name).links
    return bool(links) and links[0] in tree.entries.links


def aicrowd_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check aicrowd.json against its track's schema and against the configuration."""
    check, hint = "aicrowd.json", f"run {program_name()} submit configure, which writes it from submission.toml"
    try:
        document = read_aicrowd_json(tree.root / "aicrowd.json")
    except MdxError as error:
        yield fault_of(check, error)
        return
    faults = find_schema_faults(document, configuration.challenge_track)
    for problem in faults:
        yield fault(check, f"invalid for the track {configuration.track}: {problem}", hint)
    expected = aicrowd_document(configuration)
    differing = [key for key in expected if key in document and document[key] != expected[key]]
    if differing and not faults:
        yield fault(check, f"{', '.join(differing)} differ from submission.toml", hint)


def system_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check that the system exists, has the track's sources, and that its weights are valid and in the push."""
    try:
        models = ModelsFolder(tree.root / configuration.models_dir)
        system = find_system(configuration.system, systems_of(models))
        require_sources(configuration, system.sources)
        prefix = tree.models_prefix(configuration)
        results = verify(models, system.artefacts)
    except MdxError as error:
        yield fault_of("system", error)
        return
    yield from _weight_findings(models, results)
    names = [f"{prefix}{models.artefact(name).path}" for name in system.artefacts]
    names += [f"{prefix}{SYSTEMS_FILE}"] if system.name not in SYSTEMS else []
    present = [name for name in names if (tree.root / name).is_file()]
    for name in present:
        if not tree.carries(name) and not _is_reported_link(tree, name):
            yield fault("weights", f"{name} exists but .gitignore excludes it from the push", f"use {_PACK}")
    yield from _research_findings(system)
    if system.uses_external_data and not configuration.external_dataset_used:
        hint = (
            "set external_dataset_used = true in submission.toml, or choose another system where the leaderboard "
            "allows no external data (A of mdx21, A and B of mdx23)"
        )
        yield fault("configuration", f"the weights of {system.name} were trained on external data", hint)


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


def size_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check that large files are in Git LFS and that no LFS pointer replaces a file.

    Weights that the system does not need are a warning only, because ``submit pack`` leaves them out.
    """
    is_lfs_used = False
    unneeded = _unneeded_weights(tree, configuration)
    committed = git.committed_sizes(tree.root) if tree.is_repository else {}
    for name in tree.files:
        path = tree.root / name
        n_bytes, is_tracked = path.stat().st_size, name in tree.lfs_files
        is_lfs_used |= is_tracked
        if is_lfs_pointer(path):
            hint = "run git lfs pull to get the file itself"
            yield fault("git lfs", f"{name} is a Git LFS pointer, not the file itself", hint)
        elif n_bytes > LFS_THRESHOLD_BYTES and not is_tracked:
            text = f"{name} has {n_bytes / 1e6:.1f} MB and is not in Git LFS (the limit is 5 MB)"
            if name in unneeded:
                hint = f"use {_PACK}, which leaves it out"
                yield warning("git lfs", f"{text}; {configuration.system} does not need it", hint)
            else:
                hint = f'use {_PACK}; or git lfs track "{name}", then git add .gitattributes {name}'
                yield fault("git lfs", text, hint)
        elif is_tracked and committed.get(name, 0) > LFS_THRESHOLD_BYTES:
            hint = f"install git-lfs, then git lfs migrate import --no-rewrite {name}"
            text = f"{name} belongs to Git LFS but was committed as a plain file of {committed[name] / 1e6:.1f} MB"
            yield fault("git lfs", text, hint)
    if is_lfs_used and not git.has_git_lfs():
        yield fault("git lfs", "the tree uses Git LFS, but git-lfs is not installed here", "install git-lfs")


def _unneeded_weights(tree: SubmissionTree, configuration: SubmissionConfiguration) -> set[str]:
    """Return the paths of all artefacts that the system does not use; none if the system cannot be read."""
    try:
        models, prefix = ModelsFolder(tree.root / configuration.models_dir), tree.models_prefix(configuration)
        system = find_system(configuration.system, systems_of(models))
        return {f"{prefix}{artefact.path}" for artefact in models.artefacts if artefact.name not in system.artefacts}
    except MdxError:  # system_findings reports it
        return set()
