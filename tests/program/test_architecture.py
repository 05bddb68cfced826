"""The architecture as a test: layers, forbidden imports, cycles, prints, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = [
    {
        "errors",
        "stems",
        "fade_weights",
        "geometry",
        "budget",
        "events",
        "progress",
        "reports",
        "files",
        "documents",
        "version",
    },
    {"dsp", "audio_io", "weights"},
    {"graphs"},
    {"networks"},
    {"engines"},
    {"planning"},
    {"mechanisms"},
    {"blending"},
    {"systems"},
    {"predictor"},
    {"challenge", "submission", "doctor", "pictures"},
    {"cli", "__main__", "user_config", "aicrowd_wrapper", "webapp", "batch"},
]
"""Modules and packages of my_submission, from the ground up; imports go down or stay within their layer."""

LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
ENTRY_POINTS = LAYERS[-1]
GROUND = LAYERS[0]

ONLY_IN = {
    "filelock": {"files"},
    "msgspec": {"documents", "audio_io", "batch"},
    "platformdirs": {"files"},
    "onnxruntime": {"engines"},
    "openvino": {"engines"},
    "torch": {"networks", "engines"},
    "rich": {"cli", "webapp", "batch"},
    "typer": {"cli"},
    "ray": {"batch"},
    "fsspec": {"batch"},
    "pyarrow": {"batch"},
    "matplotlib": {"pictures"},
    "streamlit": {"webapp"},
    "starlette": {"webapp"},
    "altair": {"webapp"},
}
"""Library to the packages of my_submission that may import it."""

WEBAPP_LAYERS = [
    {"tokens"},
    {"serving"},
    {"settings"},
    {"work"},
    {"songs"},
    {"app"},
    {"studio"},
    {"views"},
    {"server", "page"},
]
"""Modules and packages of the web page, lowest layer first; no layer imports another one of its own row."""

TRAINING_LAYERS = [
    {"programs", "settings"},
    {"augment", "data", "optimisation"},
    {"tables"},
    {"experiment"},
    {"examples"},
    {"export"},
    {"modules"},
    {"loop", "phase2"},
    {"cli", "__main__"},
]
"""Modules and packages of training, lowest layer first."""

MATERIAL_MAY_IMPORT = {"training.augment", "training.data", "training.programs"}
"""Packages of training that training_material builds on; only training/cli imports training_material."""


def modules(package: str = "my_submission") -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a module imports, also inside functions, but not for type checking alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def entry(path: Path) -> str:
    """The entry of LAYERS a file belongs to; empty for the package's own __init__."""
    parts = path.relative_to(ROOT / "my_submission").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def test_every_module_has_a_layer() -> None:
    unknown = {entry(path) for path in modules()} - set(LAYER_OF) - {""}
    assert not unknown


def test_imports_go_down_only() -> None:
    upward = []
    for path in modules():
        if not entry(path):
            continue
        for name in imports(path):
            head, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if head == "my_submission" and target in LAYER_OF and LAYER_OF[target] > LAYER_OF[entry(path)]:
                upward.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not upward


def test_the_lowest_layer_needs_only_small_libraries() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "my_submission", "terminal", "filelock", "platformdirs", "msgspec"}
    for path in modules():
        if entry(path) in GROUND:
            assert {name.partition(".")[0] for name in imports(path)} <= allowed, path


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_heavy_libraries_stay_in_their_packages(library: str) -> None:
    for path in modules():
        if entry(path) not in ONLY_IN[library]:
            assert library not in {name.partition(".")[0] for name in imports(path)}, path


def test_evaluator_stands_alone() -> None:
    for path in modules("evaluator"):
        assert "my_submission" not in {name.partition(".")[0] for name in imports(path)}, path


def test_terminal_imports_nothing_of_ours() -> None:
    for path in modules("terminal"):
        known = {name.partition(".")[0] for name in imports(path)}
        assert known <= sys.stdlib_module_names | {"terminal", "rich", "psutil"}, path


def test_library_does_not_import_the_packages_above() -> None:
    """Only an entry point may call the evaluator; nothing calls training or tests."""
    for path in modules():
        above = {"training", "training_material", "evaluator", "tests", "predict"} - (
            {"evaluator"} if entry(path) in ENTRY_POINTS else set()
        )
        assert not above & {name.partition(".")[0] for name in imports(path)}, path


def test_no_print_below_the_entry_points() -> None:
    for path in modules():
        if entry(path) in ENTRY_POINTS:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_layers_of_the_web_page() -> None:
    layer_of = {name: layer for layer, names in enumerate(WEBAPP_LAYERS) for name in names}
    prefix = ("my_submission", "webapp")
    wrong = []
    for path in modules("my_submission/webapp"):
        own = path.relative_to(ROOT).with_suffix("").parts[2]
        if own == "__init__":
            continue
        for name in imports(path):
            parts = tuple(name.split("."))
            if parts[:2] == prefix and len(parts) > 2 and parts[2] != own and layer_of[parts[2]] >= layer_of[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_training_layers() -> None:
    layer_of = {name: layer for layer, names in enumerate(TRAINING_LAYERS) for name in names}
    upward = []
    for path in modules("training"):
        parts = path.relative_to(ROOT / "training").with_suffix("").parts
        if parts == ("__init__",):
            continue
        for name in imports(path):
            head, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if head == "training" and target and layer_of[target] > layer_of[parts[0]]:
                upward.append(f"{path.relative_to(ROOT)} imports {name}")
            if head == "training_material" and parts[0] != "cli":
                upward.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not upward


def test_training_material_imports_only_the_song_format_and_effects() -> None:
    for path in modules("training_material"):
        of_training = {".".join(name.split(".")[:2]) for name in imports(path) if name.startswith("training.")}
        assert of_training <= MATERIAL_MAY_IMPORT, path


@pytest.mark.parametrize("packages", [("my_submission",), ("training", "training_material")])
def test_no_import_cycle(packages: tuple[str, ...]) -> None:
    graph: dict[str, set[str]] = {}
    for path in (path for package in packages for path in modules(package)):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[dotted] = {name for name in imports(path) if name.partition(".")[0] in packages}
    known = set(graph)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for target in graph[name] & known:
            is_own_package = name.startswith(f"{target}.") or target == name
            if not is_own_package:
                visit(target, (*trail, name))
        done.add(name)

    for name in known:
        visit(name, ())


def test_no_file_is_named_for_leftovers() -> None:
    leftovers = {"utils", "util", "helpers", "helper", "common", "misc"}
    named = {
        path.stem
        for package in ("my_submission", "evaluator", "training", "training_material", "terminal")
        for path in modules(package)
    }
    assert not named & leftovers


def test_importing_the_package_is_light_and_silent() -> None:
    heavy = {"torch", "onnxruntime", "scipy", "soundfile", "av"}
    code = f"import sys, my_submission; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_top_level_names_are_there() -> None:
    names = [
        "my_submission",
        "models",
        "aicrowd.json",
        "predict.py",
        "evaluator",
        "requirements.txt",
        "apt.txt",
        "tests",
        "README.md",
    ]
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_every_package_ships_its_types_and_is_measured() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = set(settings["hatch"]["build"]["targets"]["wheel"]["only-include"]) - {"models"}
    assert packages == set(settings["coverage"]["run"]["source"])
    for package in packages:
        assert (ROOT / package / "py.typed").is_file()
