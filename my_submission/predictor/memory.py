"""Memory, obeyed before the work begins: fewer chunks a run, shorter segments, or a refusal."""

from __future__ import annotations

from dataclasses import replace

import psutil

from my_submission.errors import MdxError
from my_submission.geometry import SAMPLE_RATE, OverlapChunking, SegmentGrid, WholeSong, bounded
from my_submission.planning.segments import SHORTEST_SHARE
from my_submission.separators import ConditionedSeparator, MaskingSeparator, SpectralSeparator, WaveformSeparator
from my_submission.systems import Assembly

CHUNK_BYTES_PER_BIN_AND_FRAME = 600
"""A chunk of the published networks (2048 bins, 512 frames, 32 channels) needs 623 MB at work; narrower ones less."""

FRAME_BYTES = 900_000
"""A frame of the published BandSplitRNN needs 0.83 MB at work, one of X-UMX half as much."""

LEAST_FRAMES = 129
"""Three seconds, which BandSplitRNN was trained on."""

SONG_BYTES = 100_000_000
"""Blocks of the song that are read, blended and written, however long it is."""

DEVICE_SEGMENTS_TOGETHER = 8
"""On a GPU that has the memory, so many segments of a waveform network run together."""

DEVICE_SHARE = 0.7
"""Of the free memory of a GPU; the rest is for contexts, workspaces and whoever else comes."""

TRANSFORM_BYTES_PER_SAMPLE_AND_FRAME = 50
"""Transforms on a GPU, for every sample of n_fft and every frame of a chunk: the whole spectrum and its copy, the
frames and their products with the window, of two channels, counted from their shapes."""

MEBIBYTE = 1 << 20


def keep_within(
    assembly: Assembly, max_memory_bytes: int, *, resident_bytes: int | None = None, is_on_gpu: bool = False
) -> tuple[str, ...]:
    """Set batches and segments of a system so that its work stays below a limit.

    Args:
        assembly: the system, opened: its weights count as resident already. Its separators are changed.
        max_memory_bytes: of the whole process.
        resident_bytes: what the process holds now; asked of the system when not given.
        is_on_gpu: networks work in a GPU's memory, which is not the process's: only the song's blocks are.

    Returns:
        What differs from the published way because of the limit, a sentence each.

    Raises:
        MdxError: not even the smallest unit of a part fits.
    """
    resident = psutil.Process().memory_info().rss if resident_bytes is None else resident_bytes
    free = max_memory_bytes - resident - SONG_BYTES
    if is_on_gpu:
        if free < 0:
            raise _too_little("a song", SONG_BYTES, resident, beside_bytes=0)
        return ()
    notes: list[str] = []
    for branch in assembly.branches:
        for separator in branch.separators:
            note: str | None = None
            if isinstance(separator, SpectralSeparator):
                _fit_chunks(separator, free, resident)
            elif isinstance(separator, WaveformSeparator):
                note = _fit_segment(separator, free, resident)
            elif isinstance(separator, MaskingSeparator):
                note = _fit_stretch(separator, free, resident)
            if note is not None:
                notes.append(f"{branch.name}: {note}")
    return tuple(notes)


def fit_to_device(
    assembly: Assembly, free_bytes: int, *, device: str, has_fixed_batches: bool = False
) -> tuple[str, ...]:
    """Set batches and segments of a system so that its runs probably fit the free memory of a GPU.

    What runs need was measured on processors and counted from shapes, never on a card: nothing is refused here, and
    engines halve what does not fit after all. Whole songs stay whole, because their length is not known yet.

    Args:
        assembly: the system, opened: its weights are on the GPU already. Its separators are changed.
        free_bytes: of the GPU, now.
        device: its name, for the notes.
        has_fixed_batches: the user said how many chunks a run has.

    Returns:
        What is smaller than without the GPU's limit, a sentence each.
    """
    room = int(DEVICE_SHARE * free_bytes)
    why = f"to fit the free memory of {device}"
    notes: list[str] = []
    for branch in assembly.branches:
        for separator in branch.separators:
            note: str | None = None
            if isinstance(separator, SpectralSeparator | ConditionedSeparator) and not has_fixed_batches:
                note = _fewer_chunks(separator, room, why)
            elif isinstance(separator, WaveformSeparator) and not isinstance(separator.chunking, WholeSong):
                length = _fitting_length(separator, room)
                fitting = room // (separator.bytes_per_sample * separator.valid_length(length))
                separator.most_together = max(1, min(DEVICE_SEGMENTS_TOGETHER, fitting))
                note = _shortened(separator, length, why)
            if note is not None:
                notes.append(f"{branch.name}: {note}")
    return tuple(notes)


def _fewer_chunks(separator: SpectralSeparator | ConditionedSeparator, room: int, why: str) -> str | None:
    stft, frames = separator.chunking.stft, separator.chunking.frames
    need = _chunk_bytes(separator) + TRANSFORM_BYTES_PER_SAMPLE_AND_FRAME * stft.n_fft * frames
    before = separator.batch_chunks
    separator.batch_chunks = max(1, min(before, room // need))
    if separator.batch_chunks == before:
        return None
    return f"{', '.join(separator.sources)} in runs of {separator.batch_chunks} instead of {before} chunks, {why}"


def _chunk_bytes(separator: SpectralSeparator | ConditionedSeparator) -> int:
    """What a chunk needs inside the network."""
    return CHUNK_BYTES_PER_BIN_AND_FRAME * separator.chunking.stft.kept_bins * separator.chunking.frames


def _fit_chunks(separator: SpectralSeparator, free: int, resident: int) -> None:
    """Fewer chunks a run: the stems stay the same."""
    need = _chunk_bytes(separator)
    if need > free:
        raise _too_little(f"one chunk of the {separator.source} network", need, resident)
    separator.batch_chunks = min(separator.batch_chunks, free // need)


def _fit_segment(separator: WaveformSeparator, free: int, resident: int) -> str | None:
    """Shorter segments, down to the shortest that a deadline may leave; the stems change a little."""
    length = _fitting_length(separator, free)
    need = separator.bytes_per_sample * separator.valid_length(length)
    if need > free:
        raise _too_little(f"the shortest segment of {', '.join(separator.sources)}", need, resident)
    return _shortened(separator, length, "to stay within the memory limit")


def _fitting_length(separator: WaveformSeparator, free: int) -> int:
    """The longest segment up to the published one that fits, or the shortest that is allowed."""
    published = bounded(separator.chunking).segment_samples
    fitting = free // separator.bytes_per_sample
    length = published
    while length > published // SHORTEST_SHARE and separator.valid_length(length) > fitting:
        length = max(published // SHORTEST_SHARE, int(0.9 * length))
        length -= length % 2
    return length


def _shortened(separator: WaveformSeparator, length: int, why: str) -> str | None:
    """Cut the song into segments of that length; what is said about it, None where nothing changes."""
    grid = bounded(separator.chunking)
    if length == grid.segment_samples and grid is separator.chunking:
        return None
    before = "the whole song" if grid is not separator.chunking else f"{grid.segment_samples / SAMPLE_RATE:.1f} s"
    separator.chunking = _of_length(grid, length)
    return f"segments of {length / SAMPLE_RATE:.1f} s instead of {before}, {why}"


def _fit_stretch(separator: MaskingSeparator, free: int, resident: int) -> str | None:
    """Shorter stretches, down to what networks are trained on; the stems change a little."""
    chunking, fitting = separator.chunking, free // FRAME_BYTES
    if fitting < LEAST_FRAMES:
        raise _too_little(f"three seconds of {', '.join(separator.sources)}", LEAST_FRAMES * FRAME_BYTES, resident)
    if chunking.frames <= fitting and not separator.is_whole:
        return None
    seconds_per_frame = separator.stft.hop / SAMPLE_RATE
    before = "the whole song" if separator.is_whole else f"{chunking.frames * seconds_per_frame:.1f} s"
    frames = min(chunking.frames, fitting)
    separator.is_whole = False
    separator.chunking = replace(chunking, frames=frames, overlap_frames=min(chunking.overlap_frames, frames // 10))
    after = f"stretches of {frames * seconds_per_frame:.1f} s"
    return f"{after} instead of {before}, to stay within the memory limit"


def _of_length(grid: SegmentGrid, length: int) -> SegmentGrid:
    """The grid with segments of another length."""
    if isinstance(grid, OverlapChunking):
        return replace(grid, segment_samples=length)
    return replace(grid, stride_samples=length - grid.fade_samples)


def _too_little(what: str, need: int, resident: int, *, beside_bytes: int = SONG_BYTES) -> MdxError:
    least = (resident + beside_bytes + need) // MEBIBYTE + 1
    return MdxError(
        f"{what} needs about {need // MEBIBYTE} MiB, and the process holds {resident // MEBIBYTE} MiB already",
        cure=f"use --max-memory {least} (MiB) or more, or a smaller system",
    )
