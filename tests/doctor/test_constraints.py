"""constraints.txt: what is written can be read, holds every dependency, and the doctor compares with it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from my_submission.doctor.constraints import (
    CONSTRAINTS_PATH,
    Constraints,
    constraint_lines,
    read_constraints,
    version_findings,
)
from my_submission.errors import InputError
from my_submission.submission.requirement_names import canonical

ROOT = Path(__file__).resolve().parents[2]
TRIED = Constraints(
    ("3.11", "3.12"),
    {
        "av": {"3.11": "18.1.0", "3.12": "19.0.2"},
        "numpy": {"3.11": "2.4.6", "3.12": "2.4.6"},
        "torch": {"3.11": "2.13.0"},
    },
)
LINES = [
    "# Pythons: 3.11 3.12",
    'av==18.1.0; python_version == "3.11"  # on 3.11',
    'av==19.0.2; python_version == "3.12"  # on 3.12',
    "numpy==2.4.6",
    "torch==2.13.0  # on 3.11",
]


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    extras: dict[str, list[str]] = project()["optional-dependencies"]  # type: ignore[assignment]
    found = [line for line in lines if line and not line.startswith("#")] + list(project()["dependencies"])
    found += [line for group in extras.values() for line in group if not line.startswith("mdx-submission")]
    return sorted(set(found))


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("\n".join(constraint_lines(TRIED)) + "\n", "utf-8")
    return path


def test_what_is_written_is_read(constraints: Path) -> None:
    assert constraint_lines(TRIED)[1:] == LINES
    assert read_constraints(constraints) == TRIED


def test_a_line_of_another_hand_is_refused_by_name(constraints: Path) -> None:
    constraints.write_text("numpy>=2\n", "utf-8")
    with pytest.raises(InputError, match=r"constraints\.txt: .*'numpy>=2'"):
        read_constraints(constraints)


@pytest.mark.parametrize(
    ("python", "installed", "severity", "words"),
    [
        (
            "3.11",
            {"av": "18.1.0", "torch": "2.13.0", "other": "1"},
            "fact",
            "the tests ran on Python 3.11 with the versions of 2",
        ),
        ("3.12", {"av": "18.1.0", "numpy": "2.5.0"}, "warning", "av 18.1.0 (19.0.2), numpy 2.5.0 (2.4.6)"),
        ("3.12", {"torch": "2.13.0"}, "fact", "tested on another Python only: torch 2.13.0"),
        ("3.12", {"torch": "2.14.0"}, "warning", "torch 2.14.0 (2.13.0)"),
        ("3.14", {}, "warning", "Python 3.14 was never tested; the tests ran on 3.11, 3.12"),
    ],
)
def test_the_doctor_names_versions_that_were_not_tested(
    python: str, installed: dict[str, str], severity: str, words: str, constraints: Path
) -> None:
    findings = list(version_findings(constraints, python, installed))
    assert [found for found in findings if found.severity == severity and words in found.text], findings
    assert all(found.hint for found in findings if found.severity == "warning")
    assert (severity == "warning") == any(found.severity == "warning" for found in findings)


def test_without_the_file_the_doctor_says_that_nothing_was_compared(tmp_path: Path) -> None:
    [finding] = version_findings(tmp_path / "constraints.txt")
    assert "not compared" in finding.text


def test_every_dependency_has_a_lower_and_an_upper_bound_around_the_tested_versions() -> None:
    constraints = read_constraints(CONSTRAINTS_PATH)
    for line in requirements():
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(==|>=)([\d.]+)(?:,<([\d.]+))?", line)
        assert match, f"{line}: neither pinned nor bounded on both sides"
        name, sign, lowest, beyond = match.groups()
        assert (sign == "==") == (beyond is None), line
        for version in set(constraints.packages[canonical(name)].values()):
            numbers = release(version)
            assert release(lowest) <= numbers, (line, version)
            assert beyond is None or numbers < release(beyond), (line, version)


def release(version: str) -> list[int]:
    return [int(part) for part in re.split(r"[.]", re.sub(r"[^\d.].*", "", version)) if part]


def test_the_claimed_pythons_are_the_tested_ones() -> None:
    claimed = [line.rpartition(" ")[2] for line in project()["classifiers"] if "Python :: 3." in line]  # type: ignore[attr-defined]
    assert claimed == list(read_constraints(CONSTRAINTS_PATH).pythons)
    newest = int(claimed[-1].partition(".")[2])
    assert project()["requires-python"] == f">={claimed[0]},<3.{newest + 1}"


def test_new_versions_are_written_and_those_of_absent_pythons_stay(constraints: Path, tmp_path: Path) -> None:
    frozen = tmp_path / "frozen.txt"
    frozen.write_text("numpy==2.4.7\nPyAV_like==1.0+cpu\n-e .\n", "utf-8")
    command = [sys.executable, str(ROOT / "scripts/write_constraints.py"), str(constraints), f"3.12={frozen}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)})
    assert "Python 3.12: numpy 2.4.6 -> 2.4.7" in done.stdout
    expected = {"av": {"3.11": "18.1.0"}, "numpy": {"3.11": "2.4.6", "3.12": "2.4.7"}, "pyav-like": {"3.12": "1.0"}}
    assert read_constraints(constraints).packages == {**expected, "torch": {"3.11": "2.13.0"}}


def listed(*arguments: str) -> set[str]:
    command = [sys.executable, str(ROOT / "scripts/list_requirements.py"), *arguments]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = [re.split(r"[=<>\[]", line)[0] for line in lines]
    assert len(set(names)) == len(names)
    return set(names)


def test_requirements_of_the_tests_without_torch() -> None:
    names = listed("test")
    assert {"onnxruntime", "numpy", "av", "streamlit", "ray", "pytest"} <= names
    assert not {"onnxruntime-gpu", "torch", "librosa", "lightning", "mdx-submission"} & names


def test_requirements_of_the_base_for_gpus_have_one_runtime() -> None:
    names = listed("plot", "--gpu")
    assert {"onnxruntime-gpu", "numpy", "matplotlib"} <= names
    assert "onnxruntime" not in names


def test_requirements_of_the_submission_without_a_library() -> None:
    names = listed("dev", "--submission", "--without", "torch", "librosa")
    assert {"onnxruntime-gpu", "musdb", "lightning", "mypy"} <= names
    assert not {"onnxruntime", "torch", "librosa", "mdx-submission"} & names


LEFT_OUT = """
import sys
sys.modules["torch"] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "tests.optional_libraries", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_tests_are_left_out_by_name_and_counted_where_a_library_is_absent(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = needs(library)\n", "utf-8")
    (tmp_path / "test_network.py").write_text("import torch\n\ndef test_a():\n    pass\n", "utf-8")
    marked = 'import pytest\n\n@pytest.mark.needs("torch")\ndef test_b():\n    import torch\n\n'
    (tmp_path / "test_more.py").write_text(
        f"{marked}def test_c():\n    pass\n\ndef test_d():\n    import torch\n", "utf-8"
    )
    (tmp_path / "test_broken.py").write_text("import no_such_library\n", "utf-8")
    command = [sys.executable, "-c", LEFT_OUT, str(tmp_path), "--continue-on-collection-errors"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "1 failed, 1 passed, 2 skipped, 1 error" in done.stdout, done.stdout + done.stderr
    assert "torch is not installed, so 1 test files and 1 other tests were not run: test_network" in done.stdout
    assert "a test failed because torch is not installed" in done.stdout
    assert "No module named 'no_such_library'" in done.stdout
