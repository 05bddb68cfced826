"""The wheel: what is in it, that it works elsewhere without the extras' libraries, and which requirements it states."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.submission.requirement_names import ALTERNATIVES, canonical, requirement_lines
from my_submission.systems import SYSTEMS
from terminal.extras import EXTRA_OF, command_for, explained_absence

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"bench", "dev", "docs", "test"}
DISTRIBUTIONS = {"yaml": "pyyaml", "pyworld": "pyworld-prebuilt"}
"""Libraries whose distribution has another name."""

SHIPPED = ("starter-plus", "starter-own", "starter", "starter-conditioned", "starter-blend", "starter-cinema")
WITHOUT_FOLDER = {"starter-own", "starter-blend"}
"""Systems of networks that others have."""
MAX_WHEEL_BYTES = 36_000_000


def split(requirement: str) -> tuple[str, str]:
    """The canonical name and the bounds of a requirement."""
    match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement)
    assert match
    return canonical(match[1]), match[2]


def names_of(extra: str) -> set[str]:
    """Canonical names of an extra's distributions, those of extras of ours in it included."""
    found: set[str] = set()
    for line in EXTRAS[extra]:
        own = re.fullmatch(r"mdx-submission\[([\w,]+)\]", line)
        found |= set().union(*map(names_of, own[1].split(","))) if own else {split(line)[0]}
    return found


def test_the_submission_requires_all_of_the_base_with_the_same_bounds() -> None:
    submission = dict(split(line) for line in requirement_lines(ROOT / "requirements.txt").values())
    for name, bounds in map(split, PROJECT["dependencies"]):
        names = ALTERNATIVES.get(name, {name})
        assert {submission[each] for each in names if each in submission} == {bounds}, name
    assert not {"torch", "scipy", "musdb", "museval", "librosa"} & {split(line)[0] for line in PROJECT["dependencies"]}


def test_extras_that_share_a_library_state_the_same_bounds() -> None:
    stated: dict[str, set[str]] = {}
    for line in (line for group in (*EXTRAS.values(), PROJECT["dependencies"]) for line in group):
        if not line.startswith("mdx-submission"):
            stated.setdefault(split(line)[0], set()).add(split(line)[1])
    assert {name: bounds for name, bounds in stated.items() if len(bounds) > 1} == {}


def test_a_missing_library_is_explained_by_an_extra_that_brings_it() -> None:
    for library, extra in EXTRA_OF.items():
        assert canonical(DISTRIBUTIONS.get(library, library)) in names_of(extra), (library, extra)
        assert command_for(library) == f"pip install 'mdx-submission[{extra}]'"
    with pytest.raises(LookupError, match="streamlit is not installed"), explained_absence(_error):
        raise ModuleNotFoundError("no module", name="streamlit.web")
    with pytest.raises(ModuleNotFoundError), explained_absence(_error):
        raise ModuleNotFoundError("no module", name="a_module_of_ours")


def _error(problem: str, *, hint: str) -> Exception:
    return LookupError(f"{problem}: {hint}")


def test_all_names_every_extra_but_the_runtime_for_gpus() -> None:
    expected = set().union(*(names_of(extra) for extra in set(EXTRAS) - FOR_DEVELOPERS - {"all", "gpu"}))
    assert names_of("all") == expected
    assert "onnxruntime-gpu" in names_of("gpu")


def build(folder: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | environment)
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_equal_trees_give_equal_wheels(wheel: Path, tmp_path: Path) -> None:
    again = build(tmp_path, PYTHONHASHSEED="1", TZ="Asia/Tokyo")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


@pytest.mark.slow
def test_the_wheel_has_the_packages_and_the_weights_that_need_no_download(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("my_submission/models/manifest.json"))
        artefacts = {entry["name"]: entry for entry in manifest["artefacts"]}
        wanted = {name for system in SHIPPED for name in SYSTEMS[system].artefacts}
        for name in wanted:
            content = archive.read(f"my_submission/models/{artefacts[name]['path']}")
            assert hashlib.sha256(content).hexdigest() == artefacts[name]["sha256"], name
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        stated = archive.read(metadata).decode("utf-8")
    weights = {name for name in names if name.endswith((".onnx", ".ckpt", ".th", ".pt"))}
    assert weights == {f"my_submission/models/{artefacts[name]['path']}" for name in wanted}
    assert {f"my_submission/models/{folder}/README.md" for folder in SHIPPED if folder not in WITHOUT_FOLDER} <= names
    packages = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert packages == {"my_submission", "evaluator", "training", "training_material", "terminal"}
    tracked = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.splitlines()) <= names
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    assert "Requires-Dist: onnxruntime<1.32,>=1.20\n" in stated


FROM_THE_WHEEL = """
import sys
for library in {blocked!r}:
    sys.modules[library] = None
import my_submission
assert my_submission.__file__.startswith({site!r}), my_submission.__file__
sys.argv = ["mdx", *sys.argv[1:]]
from my_submission.__main__ import run
run()
"""


def run_installed(site: Path, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``mdx`` from ``site`` in an unrelated folder, without any library of an extra."""
    blocked = sorted({*EXTRA_OF, "librosa"} - {"packaging"})  # onnxruntime brings packaging
    code = FROM_THE_WHEEL.format(blocked=blocked, site=str(site))
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "XDG_DATA_HOME": str(work)}
    environment.pop("MDX_WEIGHTS_DIR", None)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_installed_wheel_separates_with_the_base_only(wheel: Path, tmp_path: Path) -> None:
    """The default system, all estimated parts adding up to the mixture; nothing is written into the installation."""
    site, work = tmp_path / "site", tmp_path / "work"
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    work.mkdir()
    mixture = 0.1 * np.random.default_rng(0).standard_normal((44_100, 2))
    soundfile.write(work / "song.wav", mixture, 44_100, subtype="FLOAT")

    separated = run_installed(site, work, "separate", "song.wav", "-o", "stems", "--device", "cpu")
    assert separated.returncode == 0, separated.stderr
    stems = {path.stem.rpartition(" - ")[2]: soundfile.read(path)[0] for path in (work / "stems").rglob("*.wav")}
    assert sorted(stems) == ["bass", "drums", "other", "vocals"]
    assert all(stem.shape == mixture.shape and stem.any() for stem in stems.values())

    missing = run_installed(site, work, "fetch", "kuielab-a/bass", "--from", str(tmp_path))
    assert (missing.returncode, "Traceback" in missing.stderr) == (1, False)
    page = run_installed(site, work, "web")
    assert (page.returncode, "pip install 'mdx-submission[web]'" in page.stderr) == (1, True)
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == before
