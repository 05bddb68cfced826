"""Checks of a tree's code: requirements.txt names the libraries it imports, and importing it needs no network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from my_submission.challenge import SubmissionConfiguration
from my_submission.challenge.tracks import Track
from my_submission.errors import MdxError
from my_submission.submission.code_closure import LibraryImport, code_closure
from my_submission.submission.confinement import ConfinedRun, Confinement, grader_file
from my_submission.submission.environment import Environment
from my_submission.submission.findings import Finding, fact, fault, fault_of, warning
from my_submission.submission.requirement_names import debian_packages, distributions_of, requirement_lines
from my_submission.submission.tree import SubmissionTree
from terminal.documents import parse_json

GRADERS_OWN = {"aicrowd_api"}
"""Libraries that only the grader has; the code works without them."""

IMPORT_SECONDS = 120.0
"""Time limit of an import."""


def requirement_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """Check that requirements.txt names every imported library and that apt.txt is a list of packages."""
    try:
        named = set(requirement_lines(tree.root / "requirements.txt"))
        packages = debian_packages(tree.root / "apt.txt")
        closure = code_closure(tree.root, configuration.challenge_track.entry_files)
    except MdxError as error:
        yield fault_of("requirements", error)
        return
    yield fact("requirements", f"apt.txt lists {', '.join(packages) or 'nothing'}")
    imports = [entry for entry in closure.imports if entry.library not in GRADERS_OWN]
    for library in sorted({entry.library for entry in imports}):
        if not distributions_of(library) & named:
            yield _undeclared(library, [entry for entry in imports if entry.library == library])


def _undeclared(library: str, imports: list[LibraryImport]) -> Finding:
    where = ", ".join(sorted({entry.where for entry in imports})[:3])
    brought_by = sorted(distributions_of(library))[0]
    if any(entry.is_certain for entry in imports):
        text = f"requirements.txt does not name {brought_by}, but {where} imports {library}"
        return fault("requirements", text, f"add {brought_by} to requirements.txt")
    text = f"requirements.txt does not name {brought_by}, which {where} imports inside functions only"
    return warning("requirements", text, "run the rehearsal, which shows whether the chosen system needs it")


def import_findings(
    tree: SubmissionTree, configuration: SubmissionConfiguration, environment: Environment
) -> Iterator[Finding]:
    """Check that the entry points can be imported in the submission's environment without the network."""
    outcome = _import_entry_points(tree, configuration.challenge_track, environment)
    try:
        report = parse_json(outcome.stdout.strip().splitlines()[-1])
        calls, error = list(report["calls"]), report["error"]
        reached = [(str(call["where"]), str(call["what"])) for call in calls]
    except (LookupError, TypeError, ValueError):
        text = f"importing the entry points ended with exit code {outcome.returncode}: {outcome.stderr.strip()[-300:]}"
        yield fault("import", text, "make the modules import without output or exit")
        return
    for where, what in reached:
        hint = "load weights from the tree and not during the import; the grader has no network"
        yield fault("import", f"{where} uses the network when imported ({what})", hint)
    if error and not reached:
        hint = "add the missing library to requirements.txt, or correct the module"
        yield fault("import", f"the entry points cannot be imported: {error}", hint)
    elif not reached:
        yield fact("import", f"the entry points import in {outcome.seconds:.1f} s without the network")


def _import_entry_points(tree: SubmissionTree, track: Track, environment: Environment) -> ConfinedRun:
    modules = [name.removesuffix(".py").replace("/", ".") for name in track.entry_files if name.endswith(".py")]
    with tempfile.TemporaryDirectory(prefix="import-") as scratch:
        work = Path(scratch).resolve()
        guard = work / "import_guard.py"
        guard.write_bytes(grader_file("import_guard.py").read_bytes())
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": scratch, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [environment.python, str(guard), *modules]
        if environment.engine is not None:
            volumes = ["--volume", f"{tree.root}:{tree.root}:ro", "--volume", f"{work}:{work}"]
            options = ["--network", "none", *volumes, "--workdir", str(tree.root)]
            command = [environment.engine, "run", "--rm", *options, environment.image, *command]
        # The guard refuses the network and names the caller; a namespace would hide the caller.
        confinement = Confinement(machine=track.machine, allow_network=True, use_cgroup=False)
        return confinement.run(command, cwd=tree.root, environment=variables, scratch=work, seconds=IMPORT_SECONDS)
