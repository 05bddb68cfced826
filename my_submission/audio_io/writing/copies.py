"""Conversion of songs and stems between file formats, block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES, probe, read_blocks
from my_submission.audio_io.sample_store import SampleStore
from my_submission.audio_io.writing.audio_format import SUBTYPE_BYTES, AudioFormat
from my_submission.audio_io.writing.stem_sets import SetFile
from my_submission.audio_io.writing.stem_writer import WAV_LIMIT_BYTES, StemFolderWriter
from my_submission.audio_io.writing.tags import read_tags
from my_submission.dsp.interleaving import interleaved
from my_submission.errors import OutputError
from my_submission.files.folders import output_error
from my_submission.files.part_files import written_whole
from my_submission.stems import Waveform
from terminal.names import system_name


def store_to_wav(store: SampleStore, target: Path, sample_rate: int) -> None:
    """Write samples to a WAV of 32-bit float without changing them.

    Args:
        store: the samples.
        target: the new file.
        sample_rate: sample rate in Hz.

    Raises:
        OutputError: the target cannot be written.
    """
    subtype = "FLOAT"
    is_small = store.samples * store.channels * SUBTYPE_BYTES[subtype] < WAV_LIMIT_BYTES
    container = "WAV" if is_small else "RF64"
    try:
        with (
            written_whole(target, is_flushed=False) as part,
            soundfile.SoundFile(system_name(part), "w", sample_rate, store.channels, subtype, format=container) as file,
        ):
            for start in range(0, store.samples, BLOCK_SAMPLES):
                block = store.read(start, min(start + BLOCK_SAMPLES, store.samples))
                _append(file, interleaved(block), target)
    except (OSError, soundfile.LibsndfileError) as error:
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise output_error(cause, target.parent) from error


def _append(file: soundfile.SoundFile, frames: Waveform, target: Path) -> None:
    """Append frames (samples, channels) to an open WAV; OutputError names the file that it becomes."""
    try:
        file.write(frames)
    except (soundfile.LibsndfileError, OSError, AssertionError) as error:
        problem = f"it could not be written completely ({str(error).strip() or 'write failed'})"
        raise OutputError(problem, where=target, hint="free some space there") from error


DescribeCopies = Callable[[Mapping[str, SetFile], float], Mapping[str, Any]]
"""Returns the record of copies from their files by stem and the smallest common gain in dB."""


@dataclass(frozen=True)
class StemCopies:
    """Copies of stems in another format.

    Attributes:
        paths: stem to its file.
        gain_db: the smallest gain in dB that the format's clip mode applied to all stems; 0 if nothing was changed.
    """

    paths: Mapping[str, Path]
    gain_db: float


def convert_stems(
    stems: Mapping[str, Path],
    directory: Path,
    audio_format: AudioFormat,
    *,
    describe: DescribeCopies | None = None,
) -> StemCopies:
    """Copy stereo stems of one rate and length, with their tags, to ``directory/<name>.<format>``, all of them or none.

    The files are the same as those of a separation directly to this format.

    Args:
        stems: name to file.
        directory: directory of the copies.
        audio_format: format of the copies.
        describe: returns the content of ``separation.json``; None writes no such file.

    Raises:
        InputError: a stem cannot be read.
        OutputError: the folder cannot be written.
    """
    info = probe(next(iter(stems.values())))
    if info.samples is None:
        raise ValueError(f"stems are files that tell their length, not {info.container}")

    def described(files: Mapping[str, SetFile]) -> Mapping[str, Any]:
        return {} if describe is None else describe(files, writer.gain_db)

    writer = StemFolderWriter(
        directory,
        tuple(stems),
        sample_rate=info.sample_rate,
        samples=info.samples,
        audio_format=audio_format,
        source_rate=info.sample_rate,
        describe=None if describe is None else described,
        tags={name: read_tags(path)[0] for name, path in stems.items()},
    )
    with writer:
        for blocks in zip(*(read_blocks(path) for path in stems.values()), strict=True):
            writer.write(dict(zip(stems, blocks, strict=True)))
    return StemCopies(writer.paths, writer.gain_db)
