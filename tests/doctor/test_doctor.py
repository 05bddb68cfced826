"""``doctor``: providers with reasons, packages that spoil each other, speed, memory, forecasts, differences."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from my_submission.challenge import SongLimit
from my_submission.cli import main
from my_submission.doctor import (
    Machine,
    TrialSettings,
    differences,
    forecast,
    measure_differences,
    runtime_findings,
    trial,
    try_system,
)
from my_submission.doctor.differences import worst_decibels
from my_submission.doctor.trial import chunk_samples, long_song_seconds, measure, trial_mixture
from my_submission.engines.provider_probe import (
    PROBE_GRAPH,
    ProviderState,
    probe_providers,
)
from my_submission.engines.runtimes import installed_runtimes, runtime_state
from my_submission.errors import MdxError
from tests.rigs import CHUNKING, two_branches

CPU_ONLY = Machine("Linux", 2, 8 << 30, 4 << 30, 0, "there is no NVIDIA driver")
WITH_GPU = Machine("Linux", 2, 8 << 30, 4 << 30, 1, "")


def answer(name: str, given: list[str], available: list[str], stderr: str = "") -> subprocess.CompletedProcess[str]:
    text = "\n" + json.dumps({"given": given, "available": available}) + "\n"
    return subprocess.CompletedProcess([name], 0, text, stderr)


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MISSING = (
    "\x1b[1;31m2026 [E:onnxruntime:Default, provider_bridge_ort.cc:2458] Failed to load library "
    "/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so with error: {}: "
    "cannot open shared object file: No such file or directory\x1b[m"
)


def test_the_probe_graph_convolves() -> None:
    """Without a convolution, onnxruntime would not look for cuDNN."""
    onnx = pytest.importorskip("onnx", reason="the package onnx is an extra")
    model = onnx.load_model_from_string(PROBE_GRAPH)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]


@pytest.mark.slow
def test_the_cpu_truly_loads_here_and_every_other_provider_has_a_reason() -> None:
    states = {state.name: state for state in probe_providers()}
    assert states["CPU"] == ProviderState("CPU", True)
    assert "CUDA" in states
    for state in states.values():
        assert state.is_usable or (state.reason and state.hint)


@pytest.mark.parametrize("library", ["libcublasLt.so.13", "libcudnn.so.9"])
def test_a_missing_library_is_named(library: str) -> None:
    def run(name: str) -> subprocess.CompletedProcess[str]:
        return answer(name, [CPU], [CUDA, CPU], MISSING.format(library) if name == CUDA else "")

    cuda = next(state for state in probe_providers(run) if state.name == "CUDA")
    assert cuda.reason == f"libonnxruntime_providers_cuda.so needs {library}, which cannot be loaded"
    [warning] = [f for f in runtime_findings({"onnxruntime-gpu": "1"}, [cuda], WITH_GPU) if f.check == "provider"]
    assert (warning.severity, library in warning.text) == ("warning", True)
    [fact] = [f for f in runtime_findings({"onnxruntime-gpu": "1"}, [cuda], CPU_ONLY) if f.check == "provider"]
    assert fact.severity == "fact"


def test_providers_that_load_or_were_never_built_in() -> None:
    both = probe_providers(lambda name: answer(name, [name, CPU], [CUDA, CPU]))
    assert both == [ProviderState("CPU", True), ProviderState("CUDA", True)]
    alone = probe_providers(lambda name: answer(name, [CPU], [CPU]))
    assert alone[1].reason == "the installed onnxruntime was built without it"
    assert "onnxruntime-gpu" in alone[1].hint


def test_a_silent_fall_back_and_a_crash_are_told() -> None:
    silent = probe_providers(lambda name: answer(name, [CPU], [CUDA, CPU]))[1]
    assert "ran on the CPU" in silent.reason

    def crash(name: str) -> subprocess.CompletedProcess[str]:
        if name == CPU:
            return answer(name, [CPU], [CUDA, CPU])
        return subprocess.CompletedProcess([name], -11, "", "CUDA failure 35: driver too old\n")

    assert probe_providers(crash)[1].reason == "CUDA failure 35: driver too old"
    broken = probe_providers(lambda name: subprocess.CompletedProcess([name], 1, "", "ImportError: no onnxruntime\n"))
    assert not broken[0].is_usable
    assert any(f.severity == "fault" for f in runtime_findings({}, broken, CPU_ONLY))


def test_two_runtimes_at_once_are_a_fault_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two distributions that both own the folder ``onnxruntime``, as pip leaves them."""
    for name, version in (("onnxruntime", "1.20.0"), ("onnxruntime_gpu", "1.21.0"), ("onnxruntime_extensions", "1.0")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        owned = "onnxruntime_extensions" if "extensions" in name else "onnxruntime"
        (info / "RECORD").write_text(f"{owned}/__init__.py,,\n", "utf-8")
        (tmp_path / owned).mkdir(exist_ok=True)
        (tmp_path / owned / "__init__.py").touch()  # from Python 3.12 on, files that are not there are not listed
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    runtimes = installed_runtimes()
    assert runtimes == {"onnxruntime": "1.20.0", "onnxruntime_gpu": "1.21.0"}
    [fault] = [f for f in runtime_findings(runtimes, [], CPU_ONLY) if f.severity == "fault"]
    assert "are both installed" in fault.text
    assert fault.hint == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime"
    assert runtime_state(runtimes, 1).cure.endswith("&& pip install onnxruntime-gpu"), "this machine has a GPU"


def test_a_forecast_is_cost_times_length_against_the_planned_limit() -> None:
    limits = (SongLimit(seconds=240), SongLimit(duration_factor=1.57))
    rows = forecast(0.8, songs=(180.0, 600.0), limits=limits)
    assert [row.needed_seconds for row in rows] == pytest.approx([144, 144, 480, 480])
    assert [row.allowed_seconds for row in rows] == pytest.approx([228, 0.95 * 282.6, 228, 0.95 * 942])
    assert [row.holds for row in rows] == [True, True, False, True]
    assert rows[2].done_share == pytest.approx(228 / 480)


def test_overlapping_segments_count_as_often_as_they_are_computed() -> None:
    """Half of each segment overlaps, so a long song computes every sample twice; spectral chunks only once."""
    system = two_branches()
    assert long_song_seconds(system, 8_000, {"networks: bass": 1.0, "demucs": 2.0}, 3.5) == pytest.approx(5.5)
    # Of a longer chunk the overlaps were computed, and counted, already.
    assert long_song_seconds(system, 8_001, {"networks: bass": 1.0, "demucs": 2.0}, 3.5) == 3.5
    assert chunk_samples(system) == CHUNKING.stride_samples


def test_decibels_are_those_of_the_worst_source() -> None:
    mixture = trial_mixture(10_000)
    assert np.isfinite(mixture).all()
    reference = {"a": mixture, "b": mixture}
    assert worst_decibels(reference, reference) == math.inf
    assert worst_decibels(reference, {"a": mixture, "b": 0.99 * mixture}) == pytest.approx(40, abs=0.01)


@pytest.mark.slow
@pytest.mark.needs("torch")
def test_a_trial_in_its_own_process_equals_one_in_this(tiny_models: Path) -> None:
    settings = TrialSettings(system="starter", models_dir=tiny_models, device="cpu", precision="fp32")
    apart, here = try_system(settings), measure(settings)
    assert apart.audio_seconds == here.audio_seconds > 0
    assert worst_decibels(here.stems, apart.stems) == math.inf
    assert apart.peak_bytes > 0
    assert apart.cost == pytest.approx(apart.seconds / apart.audio_seconds)
    [torch_way] = measure_differences(here, has_cuda=False)
    assert torch_way.name == "cpu torch fp32"
    assert torch_way.decibels is not None, torch_way.reason
    assert torch_way.decibels > 90


def test_whatever_a_library_raises_becomes_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's libraries raise errors of their own, in the middle of a run."""

    def broken(settings: TrialSettings) -> None:
        raise RuntimeError("CUDA error:\n device-side assert triggered.")

    monkeypatch.setattr(trial, "measure", broken)
    assert trial._measure(TrialSettings(system="starter")) == "RuntimeError: CUDA error: device-side assert triggered"


def test_every_way_of_a_card_is_tried() -> None:
    ways = differences._variants(TrialSettings(system="starter"), has_cuda=True)
    assert {(way.device, way.runtime, way.precision) for way in ways if way.device == "cuda"} == {
        ("cuda", "onnx", "fp32"),
        ("cuda", "torch", "fp32"),
        ("cuda", "onnx", "auto"),
        ("cuda", "torch", "auto"),
        ("cuda", "torch", "bf16"),
    }


def test_a_system_that_cannot_be_tried_says_why(tiny_models: Path) -> None:
    with pytest.raises(MdxError, match="kuielab-a/bass"):
        try_system(TrialSettings(system="kuielab-a", models_dir=tiny_models))


@pytest.mark.slow
def test_the_command_prints_and_writes_what_it_found(
    tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "doctor.json"
    code = main(["doctor", "--models-dir", str(tiny_models), "--device", "cpu", "--json", str(out)])
    printed = capsys.readouterr().out
    assert code == 0, printed
    for word in (
        "CPU: works",
        "starter",
        "real time",
        "peak memory",
        "1.57 x",
        "10 min",
        "against fp32 on the CPU, cpu torch",
    ):
        assert word in printed
    document = json.loads(out.read_text("utf-8"))
    [system] = document["systems"]
    assert system["system"] == "starter"
    assert len(system["forecasts"]) == 6
    assert {row["holds"] for row in system["forecasts"]} <= {True, False}


@pytest.mark.slow
def test_without_trials_only_the_machine_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-trial"]) == 0
    assert "real time" not in capsys.readouterr().out
