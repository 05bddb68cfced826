"""Scores songs in several processes and keeps the result of every finished song.

The result of one song and metric is a small JSON file. Its name contains a hash of the metric, its version, the sources
and the bytes of every stem. An interrupted run therefore continues with the remaining songs, and a changed stem is
scored again.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

from evaluator.bsseval import RATIOS
from evaluator.datasets import DatasetSong
from evaluator.errors import EvaluationError
from evaluator.fitting import EstimateOptions
from evaluator.pairs import StemPair
from evaluator.scores import MAX_BYTES, find_row_fault, to_json, write_atomically
from evaluator.scoring import SongScore, score_song
from terminal import process
from terminal.documents import read_json

_RESULT_VERSION = 2
"""Increased whenever a metric's values or the format of result files change, so that old files are ignored."""


@dataclass(frozen=True)
class ScoringTask:
    """One song to score.

    Attributes:
        estimate: the separated song, or None for the scaled-mixture baseline.
        results_dir: folder for the results of finished songs, or None.
        options: conversions allowed for estimates of another shape.
    """

    name: str
    reference: DatasetSong
    estimate: DatasetSong | None
    sources: tuple[str, ...]
    metrics: tuple[str, ...]
    results_dir: Path | None = None
    options: EstimateOptions = field(default_factory=EstimateOptions)

    @property
    def accompaniment_parts(self) -> tuple[str, ...] | None:
        """Sources to sum for an estimate's accompaniment without a file: the same as for the reference."""
        return self.reference.accompaniment_parts or None


@dataclass(frozen=True)
class SongDone:
    """An event: one song is scored, or has failed.

    Attributes:
        index: number of songs finished so far, this one included.
        scores: metric to score; empty after a failure.
        reused: metrics whose results existed already.
        failure: the reason of a failure, or None.
    """

    name: str
    index: int
    total: int
    scores: dict[str, SongScore]
    reused: tuple[str, ...] = ()
    failure: str | None = None


TaskResult = tuple[dict[str, SongScore], tuple[str, ...], str | None]
"""Scores, reused metrics and failure of one task, as in :class:`SongDone`."""


def run_tasks(tasks: Sequence[ScoringTask], *, n_processes: int) -> Iterator[SongDone]:
    """Score songs, in several processes if allowed, and yield an event per finished song.

    Several processes use one thread each. Closing the iterator early cancels tasks that have not started.

    Raises:
        ValueError: fewer than one process.
        EvaluationError: a process was killed.
    """
    if n_processes < 1:
        raise ValueError(f"cannot score with {n_processes} processes")
    if n_processes == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks, start=1):
            yield SongDone(task.name, index, len(tasks), *run_task(task))
        return
    workers = min(n_processes, len(tasks))
    with _one_thread_each(), _pool(workers) as pool:
        with process.signals_held():  # child processes never receive these signals, so they print no tracebacks
            futures: dict[Future[TaskResult], str] = {pool.submit(run_task, task): task.name for task in tasks}
        try:
            for index, future in enumerate(as_completed(futures), start=1):
                yield SongDone(futures[future], index, len(tasks), *future.result())
        except BrokenProcessPool as error:
            hint = "run it again with fewer --jobs; songs already scored are kept"
            raise EvaluationError("a scoring process was killed, perhaps for lack of memory", hint=hint) from error
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():  # a song may take minutes; result files are written atomically
                child.kill()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_task(task: ScoringTask) -> TaskResult:
    """Score one song by every metric."""
    try:
        with tempfile.TemporaryDirectory(prefix="evaluator-") as scratch:
            return _score(task, Path(scratch))
    except EvaluationError as error:
        return {}, (), str(error)


def _score(task: ScoringTask, scratch: Path) -> TaskResult:
    open_pair = cache(partial(_open_pair, task, scratch))  # opened only if needed: decoding a .stem.mp4 takes a while
    if task.results_dir is None:
        return {metric: score_song(open_pair(), metric) for metric in task.metrics}, (), None
    key = _content_key(task)
    scores: dict[str, SongScore] = {}
    reused: list[str] = []
    for metric in task.metrics:
        path = result_path(task.results_dir, task.name, metric, key)
        found = _read_result(path, metric)
        if found is None:
            scores[metric] = score_song(open_pair(), metric)
            write_atomically(path, to_json({"version": _RESULT_VERSION, **asdict(scores[metric])}))
        else:
            scores[metric] = found
            reused.append(metric)
    return scores, tuple(reused), None


def result_path(results_dir: Path, song: str, metric: str, key: str) -> Path:
    """Return the path of a song's result: a readable name and a hash."""
    readable = re.sub(r"[^\w.\- ]+", "_", song).strip(" .") or "song"
    return results_dir / metric / f"{readable[:80]}-{key[:20]}.json"


def _open_pair(task: ScoringTask, scratch: Path) -> StemPair:
    for name in ("reference", "estimate"):
        (scratch / name).mkdir()
    reference = task.reference.decoded(scratch / "reference")
    sums = [f"reference {clause}" for clause in reference.sums(task.sources)]
    if task.estimate is None:
        estimates = reference.baseline(task.sources)
    else:
        estimate, parts = task.estimate.decoded(scratch / "estimate"), task.accompaniment_parts
        estimates = estimate.targets(task.sources, parts=parts)
        sums += [f"estimate {clause}" for clause in estimate.sums(task.sources, parts=parts)]
    pair = StemPair.open(reference.targets(task.sources), estimates, task.sources, task.options)
    return replace(pair, notes=(*sums, *pair.notes))


def _content_key(task: ScoringTask) -> str:
    """Return a hash of sources, options and the bytes of every stem."""
    digest = hashlib.sha256(f"{_RESULT_VERSION} {' '.join(task.sources)} {task.options}".encode())
    digest.update(task.reference.content_key(task.sources, with_mixture=task.estimate is None).encode())
    if task.estimate is None:
        digest.update(b"baseline")
    else:
        digest.update(task.estimate.content_key(task.sources, parts=task.accompaniment_parts).encode())
    return digest.hexdigest()


def _read_result(path: Path, metric: str) -> SongScore | None:
    """Return a stored result, or None if there is none; an invalid file is deleted."""
    try:
        stored = read_json(path, max_bytes=MAX_BYTES)
        if stored.pop("version") != _RESULT_VERSION:
            return None
        for name in ("silent_references", "silent_estimates", "notes"):
            stored[name] = tuple(map(str, stored[name]))
        score = SongScore(**stored)
        if find_row_fault(metric, score.row) is None and _are_frames(score.frames):
            return score
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    path.unlink()
    return None


def _are_frames(frames: Mapping[str, Mapping[str, list[float | None]]]) -> bool:
    columns = [ratios[name] for ratios in frames.values() for name in RATIOS]
    n_frames = {len(column) for column in columns}
    return len(n_frames) <= 1 and all(x is None or type(x) in (int, float) for column in columns for x in column)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when its parent ends, so that a killed run leaves no processes behind."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_wait_and_exit, args=(parent,), name="end-with-parent", daemon=True).start()


def _wait_and_exit(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Make processes started in the body compute with one thread; several processes with all threads are slower."""
    before = {name: os.environ.get(name) for name in process.THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(process.THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
