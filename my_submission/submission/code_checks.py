"""Checks of a tree's code: requirements name what it imports, and importing it asks nothing of the network."""

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
"""Libraries that only the grader has; their absence is handled."""

IMPORT_SECONDS = 120.0
"""An import that takes longer hangs."""


def requirement_findings(tree: SubmissionTree, configuration: SubmissionConfiguration) -> Iterator[Finding]:
    """requirements.txt names every library that the doors import; apt.txt is a list of packages."""
    try:
        named = set(requirement_lines(tree.root / "requirements.txt"))
        packages = debian_packages(tree.root / "apt.txt")
        closure = code_closure(tree.root, configuration.challenge_track.entry_files)
    except MdxError as error:
        yield fault_of("requirements", error)
        return
    yield fact("requirements", f"apt.txt asks for {', '.join(packages) or 'nothing'}")
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
    return warning("requirements", text, "the rehearsal shows whether the chosen system needs it")


def import_findings(
    tree: SubmissionTree, configuration: SubmissionConfiguration, environment: Environment
) -> Iterator[Finding]:
    """The doors can be imported in the submission's environment, and doing so reaches for no network."""
    outcome = _import_doors(tree, configuration.challenge_track, environment)
    try:
        report = parse_json(outcome.stdout.strip().splitlines()[-1])
        calls, error = list(report["calls"]), report["error"]
        reached = [(str(call["where"]), str(call["what"])) for call in calls]
    except (LookupError, TypeError, ValueError):
        text = f"importing the doors ended with exit code {outcome.returncode}: {outcome.stderr.strip()[-300:]}"
        yield fault("import", text, "make the modules import without work, output or exit")
        return
    for where, what in reached:
        text = f"{where} reaches for the network when imported ({what})"
        yield fault(
            "import", text, "move it out of the import; weights travel with the tree, the grader has no network"
        )
    if error and not reached:
        hint = "name what is missing in requirements.txt, or mend the module"
        yield fault("import", f"the doors cannot be imported: {error}", hint)
    elif not reached:
        yield fact("import", f"the doors import in {outcome.seconds:.1f} s and ask nothing of the network")


def _import_doors(tree: SubmissionTree, track: Track, environment: Environment) -> ConfinedRun:
    modules = [name.removesuffix(".py").replace("/", ".") for name in track.entry_files if name.endswith(".py")]
    with tempfile.TemporaryDirectory(prefix="import-") as scratch:
        work = Path(scratch).resolve()
        guard = work / "import_guard.py"
        guard.write_bytes(grader_file("import_guard.py").read_bytes())
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": scratch, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [environment.python, str(guard), *modules]
        if environment.engine is not None:
            mount = [
                "--volume",
                f"{tree.root}:{tree.root}:ro",
                "--volume",
                f"{work}:{work}",
                "--workdir",
                str(tree.root),
            ]
            command = [environment.engine, "run", "--rm", "--network", "none", *mount, environment.image, *command]
        # The guard itself refuses the network and names who asked; a namespace would only hide the name.
        confinement = Confinement(machine=track.machine, allow_network=True, use_cgroup=False)
        return confinement.run(command, cwd=tree.root, environment=variables, scratch=work, seconds=IMPORT_SECONDS)
