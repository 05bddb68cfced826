"""Which onnxruntime is installed, what a GPU would need, and whether OpenVINO would be faster here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from my_submission.engines import runtimes
from my_submission.engines.runtimes import fast_advice, import_onnxruntime, multiplies_bfloat16, runtime_state
from my_submission.errors import DeviceError

CPU, GPU = {"onnxruntime": "1.31.1"}, {"onnxruntime-gpu": "1.31.1"}


@pytest.mark.parametrize(
    ("installed", "n_gpus", "problem", "cure"),
    [
        (CPU, 0, "", ""),
        (GPU, 0, "", ""),
        (GPU, 2, "", ""),
        (CPU, 1, "the GPU is not used", "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"),
        (
            CPU | GPU,
            1,
            "both installed",
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        ),
        (CPU | GPU, 0, "both installed", "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime"),
        ({}, 0, "not installed", "pip install onnxruntime"),
        ({}, 1, "not installed", "pip install onnxruntime-gpu"),
    ],
)
def test_a_runtime_and_a_gpu_that_do_not_fit_are_told_with_the_commands(
    installed: dict[str, str], n_gpus: int, problem: str, cure: str
) -> None:
    state = runtime_state(installed, n_gpus)
    assert (problem in state.problem, bool(state.problem)) == (True, bool(problem))
    assert state.cure == cure
    assert state.is_broken == (len(installed) != 1)
    assert all(name in str(state) for name in installed or ["no onnxruntime"])


def test_this_environment_has_one_runtime() -> None:
    assert runtime_state(n_gpus=0).problem == ""
    assert import_onnxruntime().InferenceSession


def test_an_absent_runtime_is_an_error_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(runtimes, "installed_runtimes", dict)
    monkeypatch.setattr(runtimes, "cuda_devices", lambda: (0, "none"))
    with pytest.raises(DeviceError, match=r"not installed\. Run pip install onnxruntime\."):
        import_onnxruntime()
    monkeypatch.setattr(runtimes, "installed_runtimes", lambda: dict(CPU))
    with pytest.raises(DeviceError, match=r"cannot be loaded .*--force-reinstall --no-deps onnxruntime\."):
        import_onnxruntime()


def install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    (info / "RECORD").write_text("onnxruntime/__init__.py,,\n", "utf-8")
    (folder / "onnxruntime").mkdir(exist_ok=True)
    (folder / "onnxruntime/__init__.py").touch()


@pytest.mark.parametrize("versions", [("1.31.1", "1.31.1"), ("1.30.0", "1.31.1")])
def test_two_runtimes_of_one_version_are_a_warning_and_of_two_an_error(
    versions: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As ``pip install 'mdx-submission[gpu]'`` leaves them; the module itself stays the one of this process."""
    import_onnxruntime()
    for name, version in zip(CPU | GPU, versions, strict=True):
        install(tmp_path, name, version)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(runtimes, "cuda_devices", lambda: (1, ""))
    runtimes._check_for_two.cache_clear()
    try:
        if len(set(versions)) > 1:
            with pytest.raises(
                DeviceError, match=r"1\.30\.0, 1\.31\.1.*Run pip uninstall -y onnxruntime onnxruntime-gpu"
            ):
                import_onnxruntime()
        else:
            for _ in range(2):
                import_onnxruntime()
            (record,) = caplog.records
            assert "both installed" in record.message
            assert record.message.endswith("&& pip install onnxruntime-gpu")
    finally:
        runtimes._check_for_two.cache_clear()


@pytest.mark.parametrize(
    ("machine", "line", "expected"),
    [
        ("x86_64", "flags\t\t: fpu avx512_bf16 amx_bf16", True),
        ("x86_64", "flags\t\t: fpu avx512f avx2", False),
        ("x86_64", "model name\t: avx512_bf16", False),
        ("aarch64", "Features\t: fp asimd bf16", True),
        ("riscv64", "flags\t\t: bf16", False),
    ],
)
def test_the_extra_fast_is_advised_on_processors_with_bfloat16(
    machine: str, line: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"processor\t: 0\n{line}\n", "utf-8")
    monkeypatch.setattr(runtimes.platform, "machine", lambda: machine)
    assert multiplies_bfloat16(facts) == expected
    assert not multiplies_bfloat16(tmp_path / "absent")
    monkeypatch.setattr(runtimes, "multiplies_bfloat16", lambda: multiplies_bfloat16(facts))
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    assert ("mdx-submission[fast]" in fast_advice()) == expected
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: name)
    assert fast_advice() == ""
