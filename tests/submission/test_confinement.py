"""The grader's resources: memory, time, processors, no network; each in every way it can be enforced."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from my_submission.challenge.tracks import GraderMachine
from my_submission.submission import confinement
from my_submission.submission.confinement import ConfinedRun, Confinement, cgroup_root, unshare_prefix

MIB = 1 << 20


def run(tmp_path: Path, code: str, *, seconds: float = 60.0, **settings: object) -> ConfinedRun:
    machine = GraderMachine(n_cpus=1, memory_bytes=400 * MIB)
    confined = Confinement(machine=machine, **settings)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    return confined.run(
        [sys.executable, "-c", code], cwd=tmp_path, environment=environment, scratch=tmp_path, seconds=seconds
    )


@pytest.mark.parametrize("use_cgroup", [True, False])
def test_a_modest_command_ends_by_itself(use_cgroup: bool, tmp_path: Path) -> None:
    done = run(tmp_path, "print('done'); raise SystemExit(3)", use_cgroup=use_cgroup)
    assert (done.returncode, done.end, done.stdout) == (3, "exit", "done\n")


@pytest.mark.parametrize("use_cgroup", [True, False])
def test_too_much_memory_ends_it_and_says_so(use_cgroup: bool, tmp_path: Path) -> None:
    if use_cgroup and cgroup_root() is None:
        pytest.skip("control groups for memory cannot be made here")
    code = "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x') * 10_000_000)"
    done = run(tmp_path, code, use_cgroup=use_cgroup)
    assert done.end == "memory"
    assert done.returncode != 0


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    done = run(tmp_path, code, seconds=0.5)
    assert done.end == "time"
    assert done.returncode < 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no processor affinity on this platform")
def test_it_sees_only_its_processors(tmp_path: Path) -> None:
    assert run(tmp_path, "import os; print(len(os.sched_getaffinity(0)))").stdout == "1\n"


REACH = "import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5).close(); print('reached')"


def take_one(server: socket.socket) -> None:
    """Accept one connection, so that a reach that gets through ends well."""
    server.accept()[0].close()


@pytest.mark.parametrize("way", ["namespace", "guard"])
def test_there_is_no_network_either_way(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "namespace" and unshare_prefix() is None:
        pytest.skip("network namespaces are not permitted here")
    if way == "guard":
        monkeypatch.setattr(confinement, "unshare_prefix", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = REACH.format(port=server.getsockname()[1])
        threading.Thread(target=take_one, args=(server,), daemon=True).start()
        closed = run(tmp_path, code)
        assert (closed.returncode != 0, "reached" in closed.stdout) == (True, False)
        opened = run(tmp_path, code, allow_network=True)
        assert opened.stdout == "reached\n", opened.stderr


def test_conditions_say_how_each_resource_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = GraderMachine(n_cpus=10_000, memory_bytes=16 << 30)
    cpus, memory, network = Confinement(machine=machine, use_cgroup=False).describe()
    assert "of the grader's 10000" in cpus
    assert memory == "16 GiB of memory, by polling resident memory"
    assert network.startswith("no network: ")
    monkeypatch.setattr(confinement, "unshare_prefix", lambda: None)
    assert "inside Python" in Confinement(machine=machine).describe()[2]


@pytest.mark.parametrize("arguments", [{"n_cpus": 0, "memory_bytes": 1}, {"n_cpus": 1, "memory_bytes": 0}])
def test_a_machine_of_nothing_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs processors and memory"):
        GraderMachine(**arguments)
