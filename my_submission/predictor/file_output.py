"""The stems of a song on their way into files: the events of the work, of every block, and of closing the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from my_submission.audio_io import StemFolderWriter
from my_submission.events import BlockWritten, Event, Note, StretchDone
from my_submission.predictor.outputs import StemOutputs
from my_submission.predictor.song_separation import SongSeparation
from my_submission.predictor.stretches import Stretches

ENCODED_LAST_SHARE = 0.5
"""Part of the writing that is done when all blocks are handed over, in formats that are encoded after the last one."""


def separate_to_writer(
    song: SongSeparation,
    outputs: StemOutputs,
    writer: StemFolderWriter,
    *,
    notes: Sequence[str] = (),
    stretches: Stretches | None = None,
) -> Iterator[Event]:
    """Do the work on a song, hand the stems to their writer block by block, and yield the events of both.

    Args:
        song: the separation, not entered yet.
        outputs: makes the stems of the song's blocks.
        writer: writes the stems, entered.
        notes: notes to yield after the first event, which is the plan.
        stretches: makes the stretches to yield; None yields none.
    """
    with song:
        events = song.work()
        yield next(events)  # the plan
        yield from map(Note, notes)
        yield from events
        yield from _write_blocks(song, outputs, writer, stretches)


def finish_writer(song: SongSeparation, writer: StemFolderWriter) -> Iterator[BlockWritten]:
    """Write what the writer holds back until the last block, and yield its progress."""
    blocks_share, samples = _blocks_share(writer), song.mixture.samples
    for share in writer.finish():
        yield BlockWritten(round((blocks_share + (1 - blocks_share) * share) * samples), samples)


def unless_empty(stretch: StretchDone) -> Iterator[StretchDone]:
    """Yield a stretch that has samples."""
    if stretch.stop > stretch.start:
        yield stretch


def nearest_folder(directory: Path) -> Path:
    """Return the folder of a song's anonymous scratch files: the nearest ancestor of ``directory`` that exists.

    It is on the same file system as the stems, so it has room for as much.
    """
    folder = directory
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _write_blocks(
    song: SongSeparation, outputs: StemOutputs, writer: StemFolderWriter, stretches: Stretches | None
) -> Iterator[Event]:
    share, position = _blocks_share(writer), 0
    waits = song.budget.is_limited  # a budget needs the cost of every block
    for block in song.blocks():
        if not isinstance(block, dict):
            yield block
            continue
        stems = outputs.push(block)
        writer.write(stems, waits=waits)
        position += next(iter(block.values())).shape[-1]
        yield BlockWritten(round(share * position), song.mixture.samples)
        if stretches is not None:
            yield from unless_empty(stretches.push(stems))
    rest = outputs.finish()
    writer.write(rest, waits=waits)
    if stretches is not None:
        yield from unless_empty(stretches.finish(rest))


def _blocks_share(writer: StemFolderWriter) -> float:
    """Return the part of the writing that is done when all blocks are handed over."""
    return ENCODED_LAST_SHARE if writer.audio_format.is_encoded_last else 1.0
