"""A submission built and run the way the grader does it: its own files, its own environment, the grader's limits."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from my_submission.challenge import SongLimit, SubmissionConfiguration, Track
from my_submission.challenge.limits import FACTOR_VARIABLE, SECONDS_VARIABLE, SETUP_VARIABLE
from my_submission.challenge.song_reports import REPORT_VARIABLE, SongReport, read_song_reports
from my_submission.challenge.tracks import GraderMachine
from my_submission.documents import has_form
from my_submission.errors import InputError
from my_submission.submission.confinement import ConfinedRun, Confinement, grader_file
from my_submission.submission.entries import follow
from my_submission.submission.environment import Environment
from my_submission.submission.results import RehearsalReport, SongResult
from my_submission.submission.songs import RehearsalSong, copy_songs, make_song
from my_submission.submission.stem_faults import find_stem_faults
from my_submission.submission.tree import SubmissionTree
from terminal.documents import DocumentError, read_json_lines

SETUP_SECONDS = 900.0
"""For loading, where the track states nothing; the 2021 kit's figure."""

GRACE_SECONDS = 60.0
"""A run that hangs is given up this long after all of its limits together."""

CONTAINER_KILLED = 137
"""How a container ends that went over its memory."""


@dataclass(frozen=True, kw_only=True)
class RehearsalSettings:
    """What to rehearse with.

    Attributes:
        dataset: folder of songs in the track's layout; a made-up song when not given.
        only_longest: of the data set, its longest song alone.
        song_seconds: duration of the made-up song.
        limit: replaces the configuration's limit of a song.
        machine: replaces the track's machine.
        use_cgroup: have the kernel count memory where that is permitted.
    """

    dataset: Path | None = None
    only_longest: bool = True
    song_seconds: float = 300.0
    limit: SongLimit | None = None
    machine: GraderMachine | None = None
    use_cgroup: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.song_seconds < float("inf"):
            raise ValueError(f"song_seconds={self.song_seconds} is no duration")


@dataclass(frozen=True)
class _Stage:
    """The folders of one rehearsal."""

    work: Path
    tree: Path = field(init=False)
    songs: Path = field(init=False)
    results: Path = field(init=False)

    def __post_init__(self) -> None:
        for name in ("tree", "songs", "results"):
            object.__setattr__(self, name, self.work / name)
        for name in ("songs", "results/predictions", "home", "tmp"):
            (self.work / name).mkdir(parents=True)

    @property
    def record(self) -> Path:
        return self.work / "record.jsonl"

    @property
    def reports(self) -> Path:
        return self.work / "reports.jsonl"


def rehearse(
    tree: SubmissionTree,
    configuration: SubmissionConfiguration,
    environment: Environment,
    settings: RehearsalSettings | None = None,
) -> RehearsalReport:
    """Run a copy of the tree over songs under the grader's limits.

    Args:
        tree: what would be pushed; only files that a push carries are copied.
        configuration: the tree's own.
        environment: the Python it runs in.
        settings: songs, limits, machine.

    Raises:
        InputError: there are no songs to rehearse with.
    """
    settings = settings or RehearsalSettings()
    track = configuration.challenge_track
    limit = settings.limit or configuration.limit
    confinement = Confinement(machine=settings.machine or track.machine, use_cgroup=settings.use_cgroup)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        stage = _Stage(Path(scratch).resolve())
        _copy_tree(tree, stage.tree, track)
        songs = _songs(stage, track, settings)
        results = stage.results if track.name == "mdx21" else stage.results / "predictions"
        outcome = _run(stage, track, environment, confinement, limit, songs)
        return _report(stage, track, environment, confinement, limit, songs, results, outcome)


def _copy_tree(tree: SubmissionTree, target: Path, track: Track) -> None:
    """Copy what a push carries, and put the grader's own runner in its place."""
    for name in tree.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.root / name, target / name)
    for name, link in tree.entries.links.items():  # as links, for a push carries no more of them
        if follow(tree.root, name).kind in {"file", "folder"}:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to(link)
    if track.name == "mdx21":
        shutil.rmtree(target / "evaluator", ignore_errors=True)
        (target / "evaluator").mkdir()
        shutil.copy(grader_file("mdx21.py"), target / "evaluator" / "music_demixing.py")
    else:
        shutil.copy(grader_file("sdx23.py"), target.parent / "grader.py")


def _songs(stage: _Stage, track: Track, settings: RehearsalSettings) -> list[RehearsalSong]:
    if settings.dataset is None:
        return make_song(track, stage.songs, settings.song_seconds)
    return copy_songs(settings.dataset, track, stage.songs, only_longest=settings.only_longest)


def _run(
    stage: _Stage,
    track: Track,
    environment: Environment,
    confinement: Confinement,
    limit: SongLimit,
    songs: list[RehearsalSong],
) -> ConfinedRun:
    variables = {**_base_variables(stage, environment), **_track_variables(stage, track, limit)}
    inner = ["bash", "run.sh"] if track.name == "mdx21" else [environment.python, str(stage.work / "grader.py")]
    command = environment.command(
        inner, work=stage.work, cwd=stage.tree, environment=variables, machine=confinement.machine
    )
    if environment.engine is not None:  # the engine itself confines, and needs its own network and memory
        confinement = Confinement(machine=confinement.machine, allow_network=True, use_cgroup=False)
    seconds = (track.setup_seconds or SETUP_SECONDS) + sum(limit.seconds_for(song.seconds) for song in songs)
    return confinement.run(
        command, cwd=stage.tree, environment=variables, scratch=stage.work, seconds=seconds + GRACE_SECONDS
    )


def _base_variables(stage: _Stage, environment: Environment) -> dict[str, str]:
    """A bare environment, as on a machine that has never seen the submission: no caches, no settings of the user."""
    found = [str(Path(environment.python).parent)] if environment.engine is None else []
    return {
        "PATH": ":".join([*found, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(stage.work / "home"),
        "TMPDIR": str(stage.work / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AICROWD_IS_GRADING": "true",
        "REHEARSAL_RECORD": str(stage.record),
        REPORT_VARIABLE: str(stage.reports),
    }


def _track_variables(stage: _Stage, track: Track, limit: SongLimit) -> dict[str, str]:
    """What the grader of the track sets."""
    seconds, factor = limit.seconds, limit.duration_factor
    if track.name == "mdx21":
        limits = {SECONDS_VARIABLE: seconds, FACTOR_VARIABLE: factor, SETUP_VARIABLE: track.setup_seconds}
        paths = {"TEST_DATASET_PATH": str(stage.songs), "RESULTS_DATASET_PATH": str(stage.results)}
    else:
        limits = {"REHEARSAL_SECONDS": seconds, "REHEARSAL_FACTOR": factor}
        paths = {"AICROWD_DATASET_DIR": str(stage.songs), "AICROWD_PUBLIC_SHARED_DIR": str(stage.results)}
        paths["REHEARSAL_INSTRUMENTS"] = ",".join(track.sources)
    return {**paths, **{name: f"{value:.12g}" for name, value in limits.items() if value is not None}}


def _report(
    stage: _Stage,
    track: Track,
    environment: Environment,
    confinement: Confinement,
    limit: SongLimit,
    songs: list[RehearsalSong],
    results: Path,
    outcome: ConfinedRun,
) -> RehearsalReport:
    lines = _record_of(stage.record)
    by_song = {line["song"]: line for line in lines if "song" in line}
    reports = dict(zip(by_song, read_song_reports(stage.reports), strict=False))
    setup = next((line["setup_seconds"] for line in lines if "setup_seconds" in line), None)
    peak = max([outcome.peak_bytes, *(line["peak_bytes"] for line in lines)])
    if environment.engine is not None and outcome.returncode == CONTAINER_KILLED:
        outcome = replace(outcome, end="memory")
    conditions = confinement.describe() if environment.engine is None else ["limits by the container engine"]
    return RehearsalReport(
        conditions=(environment.description, *conditions, str(limit)),
        setup_seconds=setup,
        songs=tuple(
            _song_result(
                song, limit, by_song.get(song.name), reports.get(song.name), find_stem_faults(results, song, track)
            )
            for song in songs
        ),
        outcome=outcome,
        peak_bytes=peak,
        machine=confinement.machine,
    )


class _SetupNote(TypedDict):
    peak_bytes: float
    setup_seconds: NotRequired[float]
    error: NotRequired[str | None]


class _SongNote(TypedDict):
    song: str
    seconds: float
    peak_bytes: float
    error: str | None
    timed_out: bool


def _record_of(path: Path) -> list[dict[str, Any]]:
    """Return what the runner noted of setup and songs."""
    if not path.is_file():
        return []
    try:
        lines = read_json_lines(path)
        if all(has_form(_SongNote if "song" in line else _SetupNote, line) for line in lines):
            return lines
        problem = "a note is not what the runner writes"
    except DocumentError as error:
        problem = str(error)
    hint = "leave the file that REHEARSAL_RECORD names to the runner"
    raise InputError(f"the record of the rehearsal cannot be used ({problem})", where=path, hint=hint)


def _song_result(
    song: RehearsalSong,
    limit: SongLimit,
    line: dict[str, Any] | None,
    report: SongReport | None,
    stem_faults: list[str],
) -> SongResult:
    unfinished = SongResult(
        name=song.name,
        duration_seconds=song.seconds,
        seconds=None,
        limit_seconds=limit.seconds_for(song.seconds),
        error="the run ended before this song did",
    )
    if line is None:
        return unfinished
    return replace(
        unfinished,
        seconds=line["seconds"],
        error=line["error"] or "",
        stem_faults=() if line["error"] else tuple(stem_faults),
        is_timed_out=line["timed_out"],
        **({} if report is None else vars(report)),
    )
