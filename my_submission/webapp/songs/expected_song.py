"""The song that a page expects: it is opened and separated while its upload is answered, before the page is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.webapp.work.separation_job import SeparationRequest


@dataclass(frozen=True)
class Arrival:
    """The outcome of an expected song.

    Attributes:
        token: the song's token; empty if it was refused.
        problem: why it was refused or is not separated, and what to do; empty if it is separated.
    """

    token: str
    problem: str


@dataclass
class ExpectedSong:
    """The next song of one page.

    Attributes:
        visit: token of the visit that will list it.
        request: request to separate it; None to open it only.
        remark: message to show if it is only opened; may be empty.
        arrival: its outcome; None before it arrived.
    """

    visit: str = ""
    request: SeparationRequest | None = None
    remark: str = ""
    arrival: Arrival | None = None
