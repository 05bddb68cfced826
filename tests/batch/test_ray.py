"""Batches on a real Ray cluster of two processors: killed workers and drivers, object stores, scores."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
import soundfile
import yaml
from jsonschema import ValidationError
from pyarrow import parquet
from ray.autoscaler._private.util import fillout_defaults, validate_config

from evaluator import cli as evaluator_cli
from my_submission.batch.ray_cluster import RayPool, WorkerNeeds, connected
from my_submission.batch.scheduling import Policy, PoolEvent, SongScheduler, TaskReturned, WorkerReady
from my_submission.cli import main
from my_submission.stems import MUSIC_SOURCES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
N_SONGS = 16
BROKEN = {"song 03": b"this is no audio\n" * 40, "song 11": b""}
UNTIL_WORKER_DIES, UNTIL_DRIVER_DIES = 2, 6
"""Songs that are done."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of this machine, whose workers may use the store; its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "for-tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with connected():
            yield ray.get_runtime_context().gcs_address


@pytest.fixture
def s3_endpoint(tmp_path: Path) -> Iterator[str]:
    """An S3-compatible store on this machine; its address."""
    log = tmp_path / "store.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        wait_for(lambda: "Running on http" in log.read_text() or server.poll() is not None, "the store's start")
        found = re.search(r"Running on (http://\S+)", log.read_text())
        assert found, log.read_text()
        yield found[1]
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs of half a second, two of them broken."""
    folder = tmp_path_factory.mktemp("catalogue")
    for number in range(N_SONGS):
        name = f"song {number:02}"
        path = folder / f"{name}.wav"
        if name in BROKEN:
            path.write_bytes(BROKEN[name])
        else:
            noise = 0.1 * np.random.default_rng(number).standard_normal((22_050 + number, 2))
            soundfile.write(path, noise, 44_100)
    return folder


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


def workers_of(driver: int) -> list[psutil.Process]:
    """Processes of actors: Ray writes what they are into their command line."""
    family = psutil.Process(driver).children(recursive=True)
    return [process for process in family if is_alive(process) and process.cmdline()[0].startswith("ray::_Actor")]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(1500)  # half a minute on a quiet machine; one with ten busy neighbours needs ten times as long
def test_every_song_once_though_a_worker_and_the_driver_are_killed(
    catalogue: Path, tiny_models: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    command = [sys.executable, "-m", "my_submission", "batch", str(catalogue), "-o", str(out)]
    command += ["--system", "starter", "--models-dir", str(tiny_models), "--workers", "2"]

    def records() -> list[Path]:
        return sorted(out.glob("song */separation.json"))

    with log.open("w") as file:
        driver = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    workers: list[psutil.Process] = []
    try:
        wait_for(lambda: len(records()) >= UNTIL_WORKER_DIES or driver.poll() is not None, "the first songs")
        assert driver.poll() is None, log.read_text()
        workers_of(driver.pid)[0].kill()
        wait_for(
            lambda: len(records()) >= UNTIL_DRIVER_DIES and "was lost" in log.read_text(), "going on without a worker"
        )
        workers = workers_of(driver.pid)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    wait_for(lambda: not any(map(is_alive, workers)), "the end of the workers")
    early = {path: path.stat().st_ino for path in records()}
    assert UNTIL_DRIVER_DIES <= len(early) < N_SONGS - len(BROKEN)

    address = request.getfixturevalue("cluster")
    again = subprocess.run([*command, "--address", address], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1, again.stderr
    assert f"{len(early)} of {N_SONGS} songs are done already" in again.stderr

    for name in BROKEN:
        assert f"error: {name}: " in again.stderr
    rows = parquet.read_table(out / "summary.parquet").to_pylist()
    assert [row["song"] for row in rows] == [f"song {number:02}" for number in range(N_SONGS)]
    assert {row["song"] for row in rows if row["status"] == "failed"} == set(BROKEN)
    assert sum(row["status"] == "reused" for row in rows) == len(early)
    assert all(row["attempts"] == 1 for row in rows if row["song"] in BROKEN and row["attempts"])
    assert {path: path.stat().st_ino for path in early} == early
    assert list((out / ".batch" / "scratch").iterdir()) == []

    alone = separated_alone(catalogue, tiny_models, tmp_path)
    for song in sorted(catalogue.glob("*.wav")):
        stems = sorted(path.name for path in (out / song.stem).glob("*")) if (out / song.stem).exists() else []
        if song.stem in BROKEN:
            assert stems == []
            continue
        assert stems == sorted([*(f"{source}.wav" for source in MUSIC_SOURCES), "separation.json"])
        for source in MUSIC_SOURCES:
            expected = (alone / song.stem / f"{source}.wav").read_bytes()
            assert (out / song.stem / f"{source}.wav").read_bytes() == expected, (song.stem, source)


def separated_alone(catalogue: Path, models: Path, tmp_path: Path, *names: str) -> Path:
    """Songs as one process of `separate` makes them, with as many threads as a worker has."""
    songs = [str(catalogue / f"{name}.wav") for name in names] or sorted(map(str, catalogue.glob("*.wav")))
    command = [
        sys.executable,
        "-m",
        "my_submission",
        "separate",
        *songs,
        "-o",
        str(tmp_path / "alone"),
        "--filename",
        "{song}/{stem}",
    ]
    command += ["--system", "starter", "--models-dir", str(models), "--device", "cpu", "--threads", "1"]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    subprocess.run(command, cwd=ROOT, env={**os.environ, **threads}, capture_output=True, check=False)
    return tmp_path / "alone"


def test_an_object_store_as_input_and_output(
    cluster: str,
    s3_endpoint: str,
    catalogue: Path,
    tiny_models: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import s3fs

    store = s3fs.S3FileSystem(endpoint_url=s3_endpoint, use_listings_cache=False, skip_instance_cache=True)
    store.mkdir("music")
    for name in ("song 00", "song 01", "song 03"):
        store.put_file(str(catalogue / f"{name}.wav"), f"music/in/{name}.wav")
    words = ["batch", "s3://music/in", "-o", "s3://music/out", "--s3-endpoint", s3_endpoint, "--system", "starter"]
    words += [
        "--models-dir",
        str(tiny_models),
        "--scratch",
        str(tmp_path / "scratch"),
        "--report",
        str(tmp_path / "report.json"),
    ]
    assert main(words) == 1
    alone = separated_alone(catalogue, tiny_models, tmp_path, "song 00", "song 01")
    for name in ("song 00", "song 01"):
        for source in MUSIC_SOURCES:
            expected = (alone / name / f"{source}.wav").read_bytes()
            assert store.cat_file(f"music/out/{name}/{source}.wav") == expected
    assert list((tmp_path / "scratch").iterdir()) == []
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [song["input_path"] for song in report["songs"]] == [
        "s3://music/in/song 00.wav",
        "s3://music/in/song 01.wav",
    ]
    assert [song["song"] for song in report["failed"]] == ["song 03"]

    store.rm_file("music/out/song 01/vocals.wav")
    before = store.info("music/out/song 00/vocals.wav")["LastModified"]
    capfd.readouterr()
    assert main(words) == 1
    out = capfd.readouterr().out
    assert re.search(r"1 song separated \(.* of music in .*, .* x real time\), 1 done before, 1 failed\.", out)
    assert "Table of all songs: s3://music/out/summary.parquet" in out
    assert store.exists("music/out/song 01/vocals.wav")
    assert store.info("music/out/song 00/vocals.wav")["LastModified"] == before
    with store.open("music/out/summary.parquet") as file:
        assert parquet.read_table(file).column("status").to_pylist() == ["reused", "done", "failed"]


def test_scores_over_the_cluster_are_those_of_the_evaluator(cluster: str, tiny_models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two", "three"):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        stems = {source: 0.1 * rng.standard_normal((50_000, 2)) for source in MUSIC_SOURCES}
        for source, stem in {**stems, "mixture": sum(stems.values())}.items():
            soundfile.write(folder / f"{source}.wav", stem, 44_100, subtype="FLOAT")
    (tmp_path / "set" / "three" / "bass.wav").unlink()
    references, out = str(tmp_path / "set"), str(tmp_path / "out")
    metrics = ["--metric", "mdx,bsseval-sdr"]
    words = ["batch", references, "-o", out, "--system", "starter", "--models-dir", str(tiny_models)]
    words += ["--score", references, *metrics]
    assert main([*words, "--scores", str(tmp_path / "ours.json")]) == 1
    alone = [
        "score",
        references,
        out,
        "--metric",
        "mdx",
        "bsseval-sdr",
        "--system",
        "starter",
        "--no-results",
        "--jobs",
        "1",
    ]
    assert evaluator_cli.main([*alone, "--json", str(tmp_path / "alone.json")]) == 1
    ours, expected = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("ours.json", "alone.json"))
    assert ours == expected
    assert set(ours["metrics"]["mdx"]["songs"]) == {"one", "two"}
    assert set(ours["failed"]) == {"three"}
    only = ["batch", "-o", out, "--score", references, *metrics, "--scores", str(tmp_path / "only.json")]
    assert main(only) == 1
    assert json.loads((tmp_path / "only.json").read_text(encoding="utf-8"))["metrics"] == ours["metrics"]


def test_a_bug_in_a_worker_is_reported_and_the_others_go_on(cluster: str) -> None:
    pool: RayPool[int, float] = RayPool(Inverse, WorkerNeeds(cpus=1))
    with closing(pool):
        events = list(SongScheduler(pool, [1, 0, 4], Policy(2, n_retries=1), clock=time.monotonic).run())
    assert {event.task: event.result for event in events if event.kind == "returned"} == {1: 1.0, 4: 0.25}
    (failed,) = [event for event in events if event.kind == "failed"]
    assert (failed.task, failed.attempts) == (0, 2)
    assert "ZeroDivisionError" in str(failed.reason)


def test_a_worker_that_hangs_is_ended_and_replaced(cluster: str) -> None:
    pool: RayPool[bool, str] = RayPool(Hanging, WorkerNeeds(cpus=1))
    with closing(pool):
        first = pool.start()
        assert [type(event) for event in events_of(pool)] == [WorkerReady]
        pool.submit(first, True)
        pool.end(first)
        second = pool.start()
        assert [event.worker for event in events_of(pool)] == [second]
        pool.submit(second, False)
        assert events_of(pool) == [TaskReturned(second, "done")]


def events_of(pool: RayPool[bool, str]) -> list[PoolEvent[str]]:
    return pool.wait(240.0)


class Hanging:
    """A job whose tasks say whether they never return."""

    def __call__(self, hangs: bool | None = None) -> Hanging | str:
        if hangs:
            threading.Event().wait()
        return self if hangs is None else "done"


class Inverse:
    """A job whose tasks are numbers."""

    def __call__(self, number: int | None = None) -> Inverse | float:
        return self if number is None else 1 / number


def test_the_cluster_file_is_one_that_ray_accepts() -> None:
    config = yaml.safe_load((ROOT / "docs" / "cluster.yaml").read_text(encoding="utf-8"))
    validate_config(fillout_defaults(config))
    with pytest.raises(ValidationError):
        validate_config(fillout_defaults({**config, "max_wokers": 4}))
