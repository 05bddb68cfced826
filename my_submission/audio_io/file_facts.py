"""What a look at a file's structure tells before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

HEADER_SLACK_BYTES = 44
"""Some writers count the header as data; so few bytes are a third of a millisecond of CD audio."""


@dataclass(frozen=True)
class DataSpan:
    """The audio data of a file in a chunked container, in bytes.

    Attributes:
        start: where it begins.
        declared: what the header promises; None when it leaves the length open, as pipes do.
        available: what lies between the start of the data and the end of the file.
        surplus: audio behind what the header promises: not the chunks, tags or zeros that may follow.
        n_chunks: chunks before it.
    """

    start: int
    declared: int | None
    available: int
    surplus: int = 0
    n_chunks: int = 0

    @property
    def missing(self) -> int:
        """Bytes promised and absent; 0 when all is there or nothing was promised."""
        missing = 0 if self.declared is None else self.declared - self.available
        return missing if missing > HEADER_SLACK_BYTES else 0

    @property
    def audio(self) -> int:
        """Bytes of audio that are there."""
        return self.available if self.declared is None else min(self.declared + self.surplus, self.available)


@dataclass(frozen=True)
class FileFacts:
    """What the structure of a file tells.

    Attributes:
        missing: what tells that the end or a part of it is missing, as a clause; None where nothing does.
        damage: what tells that a part of it is damaged, as a clause; None where nothing does.
        unusable: why nobody should try to read it, as a clause; None where it may be read.
        span: where the samples of a chunked container lie.
        next_at: where another file begins that was joined to this one; None where there is none.
        has_exact_length: whether a count of samples in the header was compared with the file and is right.
        declared_seconds: a length that is still to be compared with what is decoded.
        needs_ffmpeg: why libsndfile would stop early or take long, as a clause; None where it would not.
        notes: what a user should know, a clause each.
    """

    missing: str | None = None
    damage: str | None = None
    unusable: str | None = None
    span: DataSpan | None = None
    next_at: int | None = None
    has_exact_length: bool = False
    declared_seconds: float | None = None
    needs_ffmpeg: str | None = None
    notes: tuple[str, ...] = ()
