"""Work that does not return: waiting ends, and so does the process, with its exit code."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import pytest

from my_submission.predictor.worker import OverrunError, Worker, is_abandoned
from tests.rigs import FakeClock

ROOT = Path(__file__).resolve().parents[2]

HANGS = """
import sys, threading
from my_submission.predictor.worker import OverrunError, Worker, leave
with Worker() as worker:
    try:
        worker.run(threading.Event().wait, key="part", timeout_seconds=0.01)
    except OverrunError:
        print("left behind")
leave(3)
"""


def test_results_and_failures_come_back_from_one_thread() -> None:
    with Worker() as worker:
        threads = {worker.run(threading.get_ident, key="a", timeout_seconds=60.0) for _ in range(3)}
        assert threads != {threading.get_ident()}
        assert len(threads) == 1
        with pytest.raises(ZeroDivisionError):
            worker.run(lambda: 1 // 0, key="a", timeout_seconds=60.0)


def test_work_that_does_not_return_is_known_until_it_does() -> None:
    release = threading.Event()
    with Worker() as worker:
        with pytest.raises(OverrunError, match="no result"):
            worker.run(release.wait, key="slow", timeout_seconds=0.01)
        assert is_abandoned("slow")
        assert not is_abandoned("other")
        with pytest.raises(OverrunError, match="previous"):
            worker.run(threading.get_ident, key="other", timeout_seconds=60.0)
        release.set()
        worker._thread.join(0)
    for thread in threading.enumerate():
        if thread.name == "mdx-worker":
            thread.join()
    assert not is_abandoned("slow")


def test_a_task_that_was_left_behind_may_come_back() -> None:
    release = threading.Event()

    def slow() -> int:
        release.wait()
        return 7

    with Worker(clock := FakeClock()) as worker:
        with pytest.raises(OverrunError):
            worker.run(slow, key="slow", timeout_seconds=0.01)
        assert worker.late_result() is None
        clock.pass_(5.0)
        release.set()
        while (late := worker.late_result()) is None:
            time.sleep(0.001)
        assert (late.result, late.seconds) == (7, 5.0)
        assert worker.late_result() is None
        assert not is_abandoned("slow")
        assert worker.run(lambda: 8, key="next", timeout_seconds=60.0) == 8


def test_what_a_task_raises_late_is_raised_where_its_result_is_asked_for() -> None:
    release = threading.Event()

    def fail() -> None:
        release.wait()
        raise ZeroDivisionError

    with Worker() as worker:
        with pytest.raises(OverrunError):
            worker.run(fail, key="slow", timeout_seconds=0.01)
        release.set()
        time.sleep(0.1)
        with pytest.raises(ZeroDivisionError):
            worker.late_result()


def test_a_task_that_returns_at_the_last_moment_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for it ended, and before anyone could look, it had returned after all."""
    waited = Future.result

    def too_late(self: Future[object], timeout: float | None = None) -> object:
        value = waited(self)
        if timeout is not None:
            raise FutureTimeoutError
        return value

    monkeypatch.setattr(Future, "result", too_late)
    with Worker() as worker:
        assert worker.run(lambda: 3, key="a", timeout_seconds=1.0) == 3


def test_a_process_with_hanging_work_ends_with_its_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (3, "left behind", "")
