"""The song that a page expects: it is opened and separated while its upload is answered, before the page is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.webapp.work.separation_job import SeparationRequest


@dataclass(frozen=True)
class Arrival:
    """What became of an expected song.

    Attributes:
        token: the song's token; empty if it was refused.
        problem: why it was refused or is not separated, with the cure; empty if it is.
    """

    token: str
    problem: str


@dataclass
class ExpectedSong:
    """The next song of one page.

    Attributes:
        visit: token of the visit that will list it.
        request: how it is separated; None to open it only.
        remark: what to tell if it is only opened; empty for nothing.
        arrival: what became of it; None before it came.
    """

    visit: str = ""
    request: SeparationRequest | None = None
    remark: str = ""
    arrival: Arrival | None = None
