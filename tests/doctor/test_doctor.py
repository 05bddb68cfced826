"""``doctor``: providers with reasons, packages that spoil each other, speed, memory, forecasts, differences."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from my_submission.challenge import SongLimit
from my_submission.cli import main
from my_submission.cli.doctor_report import show_details, show_table
from my_submission.doctor import (
    Machine,
    TrialSettings,
    TriedSystem,
    differences,
    faster_with_openvino,
    forecast,
    gpu_sentence,
    measure_differences,
    runtime_findings,
    trial,
    try_system,
    verdict_sentences,
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
from my_submission.weights import ModelsFolder
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
    assert [row.is_met for row in rows] == [True, True, False, True]
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


@pytest.fixture
def one_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU, not looked for in processes of its own: that is tested alone."""
    monkeypatch.setattr("my_submission.cli.doctor.probe_providers", lambda: [ProviderState("CPU", True)])


@pytest.mark.slow
@pytest.mark.usefixtures("one_provider")
def test_the_command_prints_and_writes_what_it_found(
    tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "doctor.json"
    code = main(["doctor", "-v", "--models-dir", str(tiny_models), "--device", "cpu", "--json", str(out)])
    printed = capsys.readouterr().out
    assert code == 0, printed
    first, *_ = printed.splitlines()
    assert re.fullmatch(r"This machine separates a 3-minute song in about .+ with starter\.", first)
    for word in (
        "the 2021 limit: ",
        "CPU: works",
        "peak memory",
        "10 min",
        "against fp32 on the CPU, cpu torch",
    ):
        assert word in printed
    document = json.loads(out.read_text("utf-8"))
    [system] = document["systems"]
    assert system["system"] == "starter"
    assert "x real time 3 min song" in printed
    assert document["verdict"][0] == first
    assert len(system["forecasts"]) == 6
    assert {row["is_met"] for row in system["forecasts"]} <= {True, False}


@pytest.mark.usefixtures("one_provider")
def test_without_trials_only_the_machine_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-trial"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("A GPU is ")
    assert "real time" not in printed
    assert main(["doctor", "--no-trial", "-q"]) == 0
    assert capsys.readouterr().out == ""


def tried(name: str, cost: float) -> TriedSystem:
    settings = TrialSettings(system=name)
    measured = trial.Trial(
        settings=settings,
        runs_on=("onnxruntime",),
        load_seconds=1.0,
        audio_seconds=10.0,
        seconds=10.0 * cost,
        cost=cost,
        peak_bytes=428_000_000,
        stems={},
    )
    return TriedSystem(measured, tuple(forecast(cost)))


NO_CARD = "A GPU is not usable because there is no NVIDIA card; everything runs on the CPU."


def test_the_verdict_speaks_of_the_default_and_of_the_limit_of_2021() -> None:
    systems = [tried("kuielab-a", 0.5), tried("starter-plus", 0.14), tried("kuielab-b", 2.0)]
    assert verdict_sentences(systems, CPU_ONLY, NO_CARD) == [
        "This machine separates a 3-minute song in about 25 s with starter-plus, the default.",
        "kuielab-a and starter-plus meet the 2021 limit: at most 90 of 228 s for this song.",
        "kuielab-b does not meet the 2021 limit: 360 of 228 s for this song.",
        NO_CARD,
    ]
    alone = verdict_sentences(systems[:1], replace(CPU_ONLY, load=1.5), NO_CARD, ["kuielab-a"])
    assert alone[0] == "This machine separates a 3-minute song in about 1 min 30 s with kuielab-a."
    assert alone[1] == "kuielab-a meets the 2021 limit: 90 of 228 s for this song."
    assert alone[3] == "The machine is busy (load 1.5), so these speeds are too low."
    assert alone[4].startswith("OpenVINO would speed up kuielab-a: ")
    assert verdict_sentences([], CPU_ONLY, NO_CARD) == [NO_CARD]
    untried = verdict_sentences([], replace(CPU_ONLY, load=1.5), NO_CARD)
    assert untried == [NO_CARD, "The machine is busy (load 1.5), which would lower measured speeds."]


def test_the_figures_fit_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    show_table(console, [tried("starter-plus", 0.14), tried("aimless-cdx-a-whole", 1.6), tried("lasaft-v1", 1e-4)])
    rows = [" ".join(line.split()) for line in console.file.getvalue().splitlines()[1:]]  # type: ignore[attr-defined]
    assert rows == [
        "system x real time 3 min song memory 240 s limit 1.57 x limit",
        "starter-plus 7.1 25 s 428 MB to 27 min kept",
        "aimless-cdx-a-whole 0.6 4 min 45 s 428 MB to 2 min 93% of the work",
        "lasaft-v1 10000.0 1 s 428 MB kept kept",
    ]


def test_a_gpu_that_is_not_usable_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ProviderState("CUDA", False, "libcublas is missing", "install the CUDA libraries")
    good = runtime_state({"onnxruntime-gpu": "1.31.1"}, 1)
    plain = runtime_state({"onnxruntime": "1.31.1"}, 1)
    works = [ProviderState("CUDA", True)]
    assert gpu_sentence(WITH_GPU, works, good) == "A GPU is usable."
    told = gpu_sentence(WITH_GPU, [broken], good)
    assert told == "A GPU is not usable because libcublas is missing; install the CUDA libraries."
    told = gpu_sentence(WITH_GPU, [broken], plain)
    assert "onnxruntime 1.31.1 is the build for the CPU; run pip " in told
    monkeypatch.setattr("my_submission.doctor.verdict.has_nvidia_card", lambda: True)
    told = gpu_sentence(CPU_ONLY, [broken], good)
    assert told == "A GPU is not usable because there is no NVIDIA driver; install or update the NVIDIA driver."
    monkeypatch.setattr("my_submission.doctor.verdict.has_nvidia_card", lambda: False)
    assert gpu_sentence(CPU_ONLY, [broken], good) == NO_CARD


def test_systems_that_openvino_would_speed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    models = ModelsFolder()
    monkeypatch.setattr("my_submission.doctor.verdict.fast_advice", lambda: "")
    assert faster_with_openvino(models) == []
    monkeypatch.setattr("my_submission.doctor.verdict.fast_advice", lambda: "install it")
    assert faster_with_openvino(models) == ["kuielab-a", "kuielab-b", "kuielab-a-networks"]


def test_our_own_graphs_are_not_called_foreign(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = [differences.Difference("cpu torch fp32", None, None, "Use a graph exported from a TFC-TDF network")]
    console = Console(width=200)
    show_details(console, tried("starter-plus", 0.14), foreign)
    assert "cannot run" not in capsys.readouterr().out
    show_details(console, tried("kuielab-a", 0.14), foreign)
    assert "cpu torch fp32: cannot run (Use a graph" in capsys.readouterr().out
