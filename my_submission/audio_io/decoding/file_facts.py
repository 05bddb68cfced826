"""Facts of a file by its structure, before decoding."""

from __future__ import annotations

from dataclasses import dataclass

HEADER_SLACK_BYTES = 44
"""Tolerance on the size of audio data, because some writers count the header: 1/3 ms of CD audio."""


@dataclass(frozen=True)
class DataSpan:
    """The audio data of a file in a chunked container, in bytes.

    Attributes:
        start: offset of the first byte.
        declared: size in the header; None if it states none, as in pipes.
        available: size from the start of the data to the end of the file.
        surplus: audio beyond the declared size, without chunks, tags or zeros that may follow.
        n_chunks: number of chunks before it.
    """

    start: int
    declared: int | None
    available: int
    surplus: int = 0
    n_chunks: int = 0

    @property
    def missing(self) -> int:
        """Declared bytes that the file does not have."""
        missing = 0 if self.declared is None else self.declared - self.available
        return missing if missing > HEADER_SLACK_BYTES else 0

    @property
    def audio(self) -> int:
        """Bytes of audio in the file."""
        return self.available if self.declared is None else min(self.declared + self.surplus, self.available)


@dataclass(frozen=True)
class FileFacts:
    """Facts of a file by its structure.

    Attributes:
        missing: evidence that a part of it is missing, as a clause; None if there is none.
        damage: evidence that a part of it is damaged, as a clause; None if there is none.
        unusable: reason not to read it at all, as a clause; None if it may be read.
        span: audio data of a chunked container.
        next_at: offset of a file that was joined to this one; None if there is none.
        has_exact_length: whether the number of samples in the header was verified.
        declared_seconds: a length that must still be compared with the decoded one.
        needs_ffmpeg: why libsndfile would stop early or be slow, as a clause; None if it would not.
        notes: notes for the user, one clause each.
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
