"""Sample stores: zeros outside, nothing left behind, and errors that name the folder and the bytes needed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from my_submission.audio_io import DiskStore, MemoryStore, new_store
from my_submission.errors import OutputError
from tests.audio_fixtures import noise

ROOT = Path(__file__).parents[2]
SPANS = [(0, 10), (-3, 4), (95, 120), (-5, 130), (40, 40), (-9, -2), (200, 210), (100, 101), (99, 100)]


@pytest.fixture(params=["memory", "disk", "disk without preadv"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if request.param == "disk without preadv":
        monkeypatch.delattr(os, "preadv")
        monkeypatch.delattr(os, "pwrite")
    with new_store(2, 100, directory=None if request.param == "memory" else tmp_path) as store:
        yield store


def test_reads_what_was_written_and_zeros_elsewhere(empty_store: MemoryStore | DiskStore) -> None:
    wave = noise(2, 100)
    assert (empty_store.channels, empty_store.samples) == (2, 100)
    assert not empty_store.read(0, 100).any()
    for start in range(0, 100, 30):
        empty_store.write(start, wave[:, start : start + 30])
    reference = np.zeros((2, 400), np.float32)
    reference[:, 50:150] = wave
    for start, stop in SPANS:
        block = empty_store.read(start, stop)
        assert block.dtype == np.float32
        assert block.flags.c_contiguous
        assert block.flags.writeable
        assert np.array_equal(block, reference[:, start + 50 : stop + 50])


def test_what_is_read_is_a_copy(empty_store: MemoryStore | DiskStore) -> None:
    empty_store.read(0, 100)[:] = 7
    assert not empty_store.read(0, 100).any()


def test_grows_with_zeros_and_shrinks(empty_store: MemoryStore | DiskStore) -> None:
    wave = noise(2, 100)
    empty_store.write(0, wave)
    empty_store.resize(150)
    assert empty_store.samples == 150
    assert np.array_equal(empty_store.read(0, 150)[:, :100], wave)
    assert not empty_store.read(100, 150).any()
    empty_store.resize(20)
    assert np.array_equal(empty_store.read(0, 30)[:, :20], wave[:, :20])
    assert not empty_store.read(20, 30).any()


def test_blocks_outside_or_of_other_shape_are_refused(empty_store: MemoryStore | DiskStore) -> None:
    for start, shape in [(-1, (2, 5)), (96, (2, 5))]:
        with pytest.raises(ValueError, match="does not fit"):
            empty_store.write(start, np.zeros(shape, np.float32))
    for shape in [(1, 5), (5,)]:
        with pytest.raises(ValueError, match="expected"):
            empty_store.write(0, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="before start"):
        empty_store.read(5, 4)
    empty_store.write(50, np.zeros((2, 0), np.float32))


def test_a_given_array_is_never_changed() -> None:
    wave = noise(2, 50)
    before = wave.copy()
    store = MemoryStore(wave)
    assert np.shares_memory(store._array, wave)
    store.write(0, np.ones((2, 10), np.float32))
    assert np.array_equal(wave, before)
    assert (store.read(0, 10) == 1).all()
    assert np.array_equal(store.read(10, 50), before[:, 10:])


def test_memory_store_refuses_nonsense() -> None:
    for arguments in [{}, {"array": noise(2, 3), "channels": 2, "samples": 3}, {"channels": 2}]:
        with pytest.raises(ValueError, match="give a MemoryStore either"):
            MemoryStore(**arguments)
    with pytest.raises(ValueError, match="expected"):
        MemoryStore(np.zeros(5))
    with pytest.raises(ValueError, match="cannot be made"):
        DiskStore(0, 5, directory=".")


def test_disk_store_has_no_name_and_reserves_its_space(tmp_path: Path) -> None:
    with DiskStore(2, 100_000, directory=tmp_path) as store:
        assert list(tmp_path.iterdir()) == []
        status = os.fstat(store._file.fileno())
        assert status.st_size == 800_000
        assert status.st_blocks * 512 >= 800_000
    with pytest.raises(ValueError, match="closed"):
        store.read(0, 1)


def test_file_systems_without_preallocation_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with DiskStore(1, 10, directory=tmp_path) as store:
        store.write(0, np.ones((1, 10), np.float32))
        assert store.read(0, 10).sum() == 10


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "Free 8000 bytes"), (errno.EROFS, "read-only"), (errno.EDQUOT, "quota")]
)
def test_a_full_disk_shows_when_the_store_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fail(descriptor: int, offset: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(OutputError, match=hint) as caught:
        DiskStore(2, 1_000, directory=tmp_path)
    assert caught.value.where == str(tmp_path)
    assert "8000 bytes" in str(caught.value)


def test_a_disk_that_fills_up_later_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, data: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with DiskStore(2, 1_000, directory=tmp_path) as store:
        monkeypatch.setattr(os, "pwrite", fail)
        with pytest.raises(OutputError, match=r"Free 8000 bytes there, or choose another output folder"):
            store.write(0, np.zeros((2, 10), np.float32))


def test_partial_reads_and_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv, pwrite = os.preadv, os.pwrite
    monkeypatch.setattr(os, "preadv", lambda fd, targets, offset: preadv(fd, [targets[0][:37]], offset))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:41], offset))
    wave = noise(2, 100)
    with DiskStore(2, 100, directory=tmp_path) as store:
        store.write(0, wave)
        assert np.array_equal(store.read(0, 100), wave)
        monkeypatch.setattr(os, "preadv", lambda fd, targets, offset: 0)
        with pytest.raises(OSError, match="ends early"):
            store.read(0, 100)


def test_missing_folder_and_file_as_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Make the folder first"):
        DiskStore(2, 10, directory=tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Name a folder, not a file"):
        DiskStore(2, 10, directory=tmp_path / "file")


def test_a_real_size_limit_is_explained(tmp_path: Path) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from my_submission.audio_io import DiskStore
DiskStore(2, 100_000, directory={str(tmp_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "OutputError" in done.stderr
    assert f"{tmp_path}: no temporary file of 800000 bytes can be written here" in done.stderr


def test_threads_may_share_a_disk_store(tmp_path: Path) -> None:
    wave = noise(2, 8_000)
    with DiskStore(2, 8_000, directory=tmp_path) as store, ThreadPoolExecutor(4) as pool:
        starts = range(0, 8_000, 100)
        list(pool.map(lambda start: store.write(start, wave[:, start : start + 100]), starts))
        blocks = list(pool.map(lambda start: store.read(start, start + 100), starts))
    assert np.array_equal(np.concatenate(blocks, axis=1), wave)
