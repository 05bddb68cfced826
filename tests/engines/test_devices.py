"""Devices by name, GPUs that are missing, processors and threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from my_submission.engines import Device, devices, parse_device, resolve_device
from my_submission.engines.devices import cuda_devices, has_nvidia_card
from my_submission.engines.processors import available_cpus, cgroup_quota, thread_count
from my_submission.errors import DeviceError, UnknownNameError

CPU = Device("cpu")


def test_devices_are_parsed_and_unknown_ones_refused() -> None:
    assert parse_device("auto") is None
    assert parse_device("cpu") == CPU
    assert parse_device("cuda") == Device("cuda", 0)
    assert parse_device("cuda:3") == Device("cuda", 3)
    for wrong in ("gpu", "cuda:", "cuda:x", ""):
        with pytest.raises(UnknownNameError, match="no device"):
            parse_device(wrong)


def test_a_gpu_asked_for_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: (0, "there is no NVIDIA driver"))
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        resolve_device("cuda")
    monkeypatch.setattr(devices, "has_nvidia_card", lambda: False)
    assert (resolve_device("auto"), resolve_device("auto").note) == (CPU, "")


def test_a_card_without_a_driver_stands_idle_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300"), ("2", "0x10de", "0x030200")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "vendor").write_text(f"{vendor}\n", encoding="ascii")
        (folder / "class").write_text(f"{kind}\n", encoding="ascii")
    assert has_nvidia_card(tmp_path)
    (tmp_path / "2" / "vendor").unlink()
    assert not has_nvidia_card(tmp_path)  # a sound device of NVIDIA alone
    assert not has_nvidia_card(tmp_path / "none")
    monkeypatch.setattr(devices, "cuda_devices", lambda: (0, "there is no NVIDIA driver"))
    monkeypatch.setattr(devices, "has_nvidia_card", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    note = "an NVIDIA GPU is not used: there is no NVIDIA driver; install or update the NVIDIA driver to use it"
    assert resolve_device("auto").note == note
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # it is hidden on purpose
    assert resolve_device("auto").note == ""


def test_auto_takes_a_gpu_that_is_there_and_a_number_too_high_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_devices", lambda: (2, ""))
    assert resolve_device("auto") == Device("cuda", 0)
    assert resolve_device("cuda:1") == Device("cuda", 1)
    with pytest.raises(DeviceError, match=r"cuda:2 is not available \(2 CUDA"):
        resolve_device("cuda:2")


def test_hidden_gpus_are_said_to_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuda_devices.cache_clear()
    try:
        assert cuda_devices() == (0, "CUDA_VISIBLE_DEVICES hides every GPU")
    finally:
        cuda_devices.cache_clear()


def test_processors_are_counted_within_the_container() -> None:
    assert 1 <= available_cpus() <= 4096


def test_quotas_of_control_groups_count_wherever_they_are_set(tmp_path: Path) -> None:
    """The least of the own group and those above it; a group that is not there, as in a container, sets none."""
    own = tmp_path / "own"
    own.write_text("0::/user/job\n")
    assert cgroup_quota(own, tmp_path) is None
    for path, text in (("user/job", "max 100000"), ("user", "150000 100000"), ("", "400000 100000")):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "cpu.max").write_text(text)
    assert cgroup_quota(own, tmp_path) == 1.5
    old = tmp_path / "v1"
    own.write_text("3:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n")
    (old / "cpu,cpuacct").mkdir(parents=True)
    (old / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("50000")
    (old / "cpu,cpuacct" / "cpu.cfs_period_us").write_text("100000")
    assert cgroup_quota(own, old) == 0.5
    (old / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("-1")
    assert cgroup_quota(own, old) is None


@pytest.mark.parametrize(
    ("asked", "variable", "expected", "is_noted"),
    [
        (None, "", 4, False),
        (None, "3", 3, False),
        (None, "2,1", 2, False),
        (None, "100000", 4, False),
        (None, "0", 4, False),
        (None, "many", 4, False),
        (3, "1", 3, False),
        (100_000, "1", 4, True),
    ],
)
def test_threads_are_never_more_than_processors(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, variable: str, expected: int, is_noted: bool
) -> None:
    monkeypatch.setattr("my_submission.engines.processors.available_cpus", lambda: 4)
    count, note = thread_count(asked, {"OMP_NUM_THREADS": variable})
    assert (count, "100000 threads were requested; 4 are used" in note) == (expected, is_noted)
    assert bool(note) == is_noted
