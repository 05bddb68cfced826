"""Work that does not return: waiting ends, and so does the process, with its exit code."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from my_submission.predictor.worker import OverrunError, Worker, has_abandoned_work, is_abandoned

ROOT = Path(__file__).resolve().parents[1]

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
        with pytest.raises(OverrunError, match="before"):
            worker.run(threading.get_ident, key="other", timeout_seconds=60.0)
        release.set()
        worker._thread.join(0)
    for thread in threading.enumerate():
        if thread.name == "mdx-worker":
            thread.join()
    assert not has_abandoned_work()


def test_a_process_with_hanging_work_ends_with_its_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (3, "left behind", "")
