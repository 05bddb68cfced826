"""Many songs, many processes: score what is not scored yet, keep every finished song, go on past failures.

Every finished song and metric is a small JSON file named by the song and by a hash of what went into it (metric,
its version, sources, the bytes of every stem), so a run that was interrupted finishes the rest, a changed stem is
scored anew, and nothing depends on time stamps.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
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
"""Raised when a metric's numbers or a result file's form change, so that old files are not taken for new ones."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class ScoringTask:
    """One song to score.

    Attributes:
        name: the song's name in tables and files.
        reference: the song of the data set.
        estimate: its separation, or None for the scaled-mixture baseline.
        sources: what to score.
        metrics: by which metrics.
        results_dir: folder of finished songs, or None to keep none.
        options: what may be done to estimates of another shape than their references.
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
        """What an estimate's accompaniment without a file is the sum of: what the reference's is."""
        return self.reference.accompaniment_parts or None


@dataclass(frozen=True)
class SongDone:
    """An event: one song is scored, or has failed.

    Attributes:
        name: the song.
        index: how many songs are through, this one included.
        total: how many there are.
        scores: metric to score; empty after a failure.
        reused: metrics whose numbers were there already.
        failure: why there is no score, or None.
    """

    name: str
    index: int
    total: int
    scores: dict[str, SongScore]
    reused: tuple[str, ...] = ()
    failure: str | None = None


Outcome = tuple[dict[str, SongScore], tuple[str, ...], str | None]


def run_jobs(jobs: Sequence[ScoringTask], *, n_processes: int) -> Iterator[SongDone]:
    """Score songs, in processes of their own when more than one is allowed, and say so song by song as they end.

    Each process computes with one thread when there are several. Closing the iterator early cancels what has not
    started. Anything but an :class:`EvaluationError` is a bug and is raised.

    Raises:
        ValueError: fewer than one process.
        EvaluationError: a process was killed from outside.
    """
    if n_processes < 1:
        raise ValueError(f"{n_processes} processes can do no work")
    if n_processes == 1 or len(jobs) < 2:
        for index, job in enumerate(jobs, start=1):
            yield SongDone(job.name, index, len(jobs), *run_job(job))
        return
    workers = min(n_processes, len(jobs))
    with _one_thread_each(), _pool(workers) as pool:
        with process.signals_held():  # processes started here never see what ends this one: no tracebacks of theirs
            futures: dict[Future[Outcome], str] = {pool.submit(run_job, job): job.name for job in jobs}
        try:
            for index, future in enumerate(as_completed(futures), start=1):
                yield SongDone(futures[future], index, len(jobs), *future.result())
        except BrokenProcessPool as error:
            hint = "run it again with fewer --jobs; songs already scored are kept"
            raise EvaluationError("a scoring process was killed, perhaps for want of memory", hint=hint) from error
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():  # a song may take minutes; its files are written whole or not at all
                child.kill()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_job(job: ScoringTask) -> Outcome:
    """Score one song by every metric: scores, which of them were reused, and why it failed (or None)."""
    try:
        with tempfile.TemporaryDirectory(prefix="evaluator-") as scratch:
            return _score(job, Path(scratch))
    except EvaluationError as error:
        return {}, (), str(error)


def _score(job: ScoringTask, scratch: Path) -> Outcome:
    (scratch / "reference").mkdir()
    (scratch / "estimate").mkdir()
    open_pair = _opener(job, scratch)
    if job.results_dir is None:
        pair = open_pair()
        return {metric: score_song(pair, metric) for metric in job.metrics}, (), None
    key = _content_key(job)
    scores: dict[str, SongScore] = {}
    reused: list[str] = []
    for metric in job.metrics:
        path = result_path(job.results_dir, job.name, metric, key)
        found = _read_result(path, metric)
        if found is None:
            scores[metric] = score_song(open_pair(), metric)
            write_atomically(path, to_json({"version": _RESULT_VERSION, **asdict(scores[metric])}))
        else:
            scores[metric] = found
            reused.append(metric)
    return scores, tuple(reused), None


def result_path(results_dir: Path, song: str, metric: str, key: str) -> Path:
    """Where a finished song lies: a readable name and the hash that counts."""
    readable = re.sub(r"[^\w.\- ]+", "_", song).strip(" .") or "song"
    return results_dir / metric / f"{readable[:80]}-{key[:20]}.json"


def _opener(job: ScoringTask, scratch: Path) -> Callable[[], StemPair]:
    """Open the pair once, and only when some metric needs it: decoding a ``.stem.mp4`` takes a while."""
    opened: list[StemPair] = []

    def open_pair() -> StemPair:
        if not opened:
            opened.append(_open_pair(job, scratch))
        return opened[0]

    return open_pair


def _open_pair(job: ScoringTask, scratch: Path) -> StemPair:
    reference = job.reference.decoded(scratch / "reference")
    sums = [f"reference {clause}" for clause in reference.sums(job.sources)]
    if job.estimate is None:
        estimates = reference.baseline(job.sources)
    else:
        estimate, parts = job.estimate.decoded(scratch / "estimate"), job.accompaniment_parts
        estimates = estimate.targets(job.sources, parts=parts)
        sums += [f"estimate {clause}" for clause in estimate.sums(job.sources, parts=parts)]
    pair = StemPair.open(reference.targets(job.sources), estimates, job.sources, job.options)
    return replace(pair, notes=(*sums, *pair.notes))


def _content_key(job: ScoringTask) -> str:
    """A hash over sources, options and the bytes of every stem of this job."""
    digest = hashlib.sha256(f"{_RESULT_VERSION} {' '.join(job.sources)} {job.options}".encode())
    digest.update(job.reference.content_key(job.sources, with_mixture=job.estimate is None).encode())
    if job.estimate is None:
        digest.update(b"baseline")
    else:
        digest.update(job.estimate.content_key(job.sources, parts=job.accompaniment_parts).encode())
    return digest.hexdigest()


def _read_result(path: Path, metric: str) -> SongScore | None:
    """A finished song, or None when it is not there; one that cannot be understood is scored again."""
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
    """End this process when the one that started it is gone: a killed run leaves nothing behind that works on."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_wait_and_exit, args=(parent,), name="end-with-parent", daemon=True).start()


def _wait_and_exit(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes started in the body compute with one thread: several processes with all threads are slower."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
