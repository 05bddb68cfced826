"""The challenges' tracks: identities, sources, limits, machines.

Sources: the public kits of 2021 and 2023 and their announcements. ``assumed`` names figures that are not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from my_submission.challenge.limits import SongLimit
from my_submission.errors import UnknownNameError
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from terminal.quantities import either

GIB = 1 << 30

LFS_THRESHOLD_BYTES = 5_000_000
"""The kits ask for Git LFS above 5 MB."""


@dataclass(frozen=True, kw_only=True)
class GraderMachine:
    """Machine of the grader.

    Attributes:
        n_cpus: processors.
        memory_bytes: resident memory.
    """

    n_cpus: int
    memory_bytes: int

    def __post_init__(self) -> None:
        if self.n_cpus < 1 or self.memory_bytes < 1:
            raise ValueError(f"a machine needs processors and memory: {self}")


@dataclass(frozen=True, kw_only=True)
class Track:
    """One track of a challenge.

    Attributes:
        name: name on the command line.
        title: display name.
        challenge_id: its challenge_id in aicrowd.json.
        grader_id: its grader_id in aicrowd.json, if the track has one.
        sources: the stems, in the scorer's order.
        default_system: system of a submission that names none; its weights are in the repository.
        limit: time limit per song.
        setup_seconds: time limit for loading; None if the track states none.
        machine: machine of the grader.
        has_gpu_choice: whether ``gpu`` in aicrowd.json asks for one.
        board_flags: keys of aicrowd.json that choose a leaderboard.
        entry_files: files that the grader calls or imports, below the tree.
        assumed: figures that are not public and are assumed.
    """

    name: str
    title: str
    challenge_id: str
    grader_id: str | None = None
    sources: tuple[str, ...]
    default_system: str
    limit: SongLimit
    setup_seconds: float | None = None
    machine: GraderMachine
    has_gpu_choice: bool = True
    board_flags: tuple[str, ...] = ()
    entry_files: tuple[str, ...]
    assumed: str = ""


_SDX23_ENTRIES = ("my_submission/user_config.py", "my_submission/aicrowd_wrapper.py", "evaluate_locally.py")
_SDX23_MACHINE = GraderMachine(n_cpus=4, memory_bytes=16 * GIB)

MDX21 = Track(
    name="mdx21",
    title="Music Demixing Challenge 2021",
    challenge_id="evaluations-api-music-demixing",
    grader_id="evaluations-api-music-demixing",
    sources=MUSIC_SOURCES,
    default_system="starter-own",
    limit=SongLimit(seconds=240.0),
    setup_seconds=900.0,
    machine=_SDX23_MACHINE,
    has_gpu_choice=False,
    entry_files=("predict.py", "run.sh"),
    assumed="processors and memory of the 2021 grader are not public: those of 2023 are taken",
)

MDX23 = Track(
    name="mdx23",
    title="Sound Demixing Challenge 2023, music track",
    challenge_id="music-demixing-track-mdx-23",
    sources=MUSIC_SOURCES,
    default_system="starter-own",
    limit=SongLimit(duration_factor=1.57),
    machine=_SDX23_MACHINE,
    board_flags=("labelnoise", "bleeding"),
    entry_files=_SDX23_ENTRIES,
)

CDX23 = Track(
    name="cdx23",
    title="Sound Demixing Challenge 2023, cinematic track",
    challenge_id="cinematic-sound-demixing-track-cdx-23",
    sources=CINEMA_SOURCES,
    default_system="starter-cinema",
    limit=SongLimit(duration_factor=1.57),
    machine=_SDX23_MACHINE,
    entry_files=_SDX23_ENTRIES,
    assumed="the time limit of the cinematic track is not public: the music track's is taken",
)

TRACKS: dict[str, Track] = {track.name: track for track in (MDX21, MDX23, CDX23)}


def find_track(name: str) -> Track:
    """Return the track of a name.

    Raises:
        UnknownNameError: no track has this name.
    """
    if name in TRACKS:
        return TRACKS[name]
    near = get_close_matches(name, TRACKS, n=1) or list(TRACKS)
    raise UnknownNameError(f"there is no track {name!r}", hint=f"use {either(near)}")
