"""Runs a submission as the grader does: its own files, its own environment, the grader's limits."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
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
"""Default limit for loading, that of the 2021 kit."""

GRACE_SECONDS = 60.0
"""Time after the sum of all limits until a run is killed."""

CONTAINER_KILLED = 137
"""Exit code of a container that exceeded its memory."""

_RECORD_NAME, _REPORTS_NAME = "record.jsonl", "reports.jsonl"


@dataclass(frozen=True, kw_only=True)
class RehearsalSettings:
    """Settings of a rehearsal.

    Attributes:
        dataset: folder of songs in the track's layout; by default a synthetic song.
        limit: replaces the configuration's limit per song.
        machine: replaces the track's machine.
        use_cgroup: limit memory by a control group if permitted.
    """

    dataset: Path | None = None
    only_longest: bool = True
    song_seconds: float = 300.0
    limit: SongLimit | None = None
    machine: GraderMachine | None = None
    use_cgroup: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.song_seconds < float("inf"):
            raise ValueError(f"song_seconds={self.song_seconds} is not a duration")


@dataclass(frozen=True)
class _Rehearsal:
    """Folders, environment and limits of one rehearsal."""

    work: Path
    track: Track
    environment: Environment
    confinement: Confinement
    limit: SongLimit

    def __post_init__(self) -> None:
        for name in ("songs", "results/predictions", "home", "tmp"):
            (self.work / name).mkdir(parents=True)

    @property
    def tree(self) -> Path:
        return self.work / "tree"

    @property
    def songs(self) -> Path:
        return self.work / "songs"

    @property
    def results(self) -> Path:
        return self.work / "results"

    def copy_tree(self, tree: SubmissionTree) -> None:
        """Copy the files and links that a push contains, and the runner that stands in for the grader."""
        for name in tree.files:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree.root / name, self.tree / name)
        for name, link in tree.entries.links.items():  # as links, because a push contains only the link
            if follow(tree.root, name).kind in {"file", "folder"}:
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                (self.tree / name).symlink_to(link)
        if self.track.name == "mdx21":
            shutil.rmtree(self.tree / "evaluator", ignore_errors=True)
            (self.tree / "evaluator").mkdir()
            # Without this file an installed evaluator would be imported instead of the grader's.
            (self.tree / "evaluator" / "__init__.py").touch()
            shutil.copy(grader_file("mdx21.py"), self.tree / "evaluator" / "music_demixing.py")
        else:
            shutil.copy(grader_file("sdx23.py"), self.work / "grader.py")

    def run(self, songs: list[RehearsalSong]) -> ConfinedRun:
        variables = {**self._base_variables(), **self._track_variables()}
        runner = [self.environment.python, str(self.work / "grader.py")]
        command = self.environment.command(
            ["bash", "run.sh"] if self.track.name == "mdx21" else runner,
            work=self.work,
            cwd=self.tree,
            environment=variables,
            machine=self.confinement.machine,
        )
        confinement = self.confinement
        if self.environment.engine is not None:  # the container engine sets the limits; it needs network and memory
            confinement = Confinement(machine=confinement.machine, allow_network=True, use_cgroup=False)
        seconds = GRACE_SECONDS + (self.track.setup_seconds or SETUP_SECONDS)
        seconds += sum(self.limit.seconds_for(song.seconds) for song in songs)
        return confinement.run(command, cwd=self.tree, environment=variables, scratch=self.work, seconds=seconds)

    def _base_variables(self) -> dict[str, str]:
        """Return environment variables as on a fresh machine, without the user's caches and settings."""
        found = [str(Path(self.environment.python).parent)] if self.environment.engine is None else []
        return {
            "PATH": ":".join([*found, "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self.work / "home"),
            "TMPDIR": str(self.work / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AICROWD_IS_GRADING": "true",
            "REHEARSAL_RECORD": str(self.work / _RECORD_NAME),
            REPORT_VARIABLE: str(self.work / _REPORTS_NAME),
        }

    def _track_variables(self) -> dict[str, str]:
        """Return the environment variables that the grader of the track sets."""
        seconds, factor = self.limit.seconds, self.limit.duration_factor
        if self.track.name == "mdx21":
            limits = {SECONDS_VARIABLE: seconds, FACTOR_VARIABLE: factor, SETUP_VARIABLE: self.track.setup_seconds}
            paths = {"TEST_DATASET_PATH": str(self.songs), "RESULTS_DATASET_PATH": str(self.results)}
        else:
            limits = {"REHEARSAL_SECONDS": seconds, "REHEARSAL_FACTOR": factor}
            paths = {"AICROWD_DATASET_DIR": str(self.songs), "AICROWD_PUBLIC_SHARED_DIR": str(self.results)}
            paths["REHEARSAL_INSTRUMENTS"] = ",".join(self.track.sources)
        return {**paths, **{name: f"{value:.12g}" for name, value in limits.items() if value is not None}}

    def report(self, songs: list[RehearsalSong], outcome: ConfinedRun) -> RehearsalReport:
        notes = _record_of(self.work / _RECORD_NAME)
        by_song = {note["song"]: note for note in notes if "song" in note}
        report_of = dict(zip(by_song, read_song_reports(self.work / _REPORTS_NAME), strict=False))
        is_container = self.environment.engine is not None
        if is_container and outcome.returncode == CONTAINER_KILLED:
            outcome = replace(outcome, end="memory")
        conditions = ["limits by the container engine"] if is_container else self.confinement.describe()
        return RehearsalReport(
            conditions=(self.environment.description, *conditions, str(self.limit)),
            setup_seconds=next((note["setup_seconds"] for note in notes if "setup_seconds" in note), None),
            songs=tuple(self._song_result(song, by_song.get(song.name), report_of.get(song.name)) for song in songs),
            outcome=outcome,
            peak_bytes=max([outcome.peak_bytes, *(note["peak_bytes"] for note in notes)]),
            machine=self.confinement.machine,
        )

    def _song_result(self, song: RehearsalSong, note: dict[str, Any] | None, report: SongReport | None) -> SongResult:
        unfinished = SongResult(
            name=song.name,
            duration_seconds=song.seconds,
            seconds=None,
            limit_seconds=self.limit.seconds_for(song.seconds),
            error="the run ended before this song did",
        )
        if note is None:
            return unfinished
        results = self.results if self.track.name == "mdx21" else self.results / "predictions"
        return replace(
            unfinished,
            seconds=note["seconds"],
            error=note["error"] or "",
            stem_faults=() if note["error"] else tuple(find_stem_faults(results, song, self.track)),
            is_timed_out=note["timed_out"],
            **({} if report is None else vars(report)),
        )


def rehearse(
    tree: SubmissionTree,
    configuration: SubmissionConfiguration,
    environment: Environment,
    settings: RehearsalSettings | None = None,
) -> RehearsalReport:
    """Run a copy of the tree over songs under the grader's limits.

    Raises:
        InputError: the data set has no songs.
    """
    settings = settings or RehearsalSettings()
    track = configuration.challenge_track
    limit = settings.limit or configuration.limit
    confinement = Confinement(machine=settings.machine or track.machine, use_cgroup=settings.use_cgroup)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        rehearsal = _Rehearsal(Path(scratch).resolve(), track, environment, confinement, limit)
        rehearsal.copy_tree(tree)
        if settings.dataset is None:
            songs = make_song(track, rehearsal.songs, settings.song_seconds)
        else:
            songs = copy_songs(settings.dataset, track, rehearsal.songs, only_longest=settings.only_longest)
        return rehearsal.report(songs, rehearsal.run(songs))


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
    """Return the runner's record of setup and songs."""
    if not path.is_file():
        return []
    try:
        lines = read_json_lines(path)
        if all(has_form(_SongNote if "song" in line else _SetupNote, line) for line in lines):
            return lines
        problem = "a line is not one of the runner's"
    except DocumentError as error:
        problem = str(error)
    hint = "make sure that the submission does not write to the file REHEARSAL_RECORD"
    raise InputError(f"the record of the rehearsal is invalid ({problem})", where=path, hint=hint)
