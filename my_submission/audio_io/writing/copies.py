"""Conversion of songs and stems between file formats, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES, checked_blocks, open_decoder, probe, read_blocks
from my_submission.audio_io.mixture import N_CHANNELS, too_many_channels
from my_submission.audio_io.writing.audio_format import SUBTYPE_BYTES, AudioFormat
from my_submission.audio_io.writing.stem_sets import SetFile
from my_submission.audio_io.writing.stem_writer import WAV_LIMIT_BYTES, StemFolderWriter
from my_submission.audio_io.writing.tags import read_tags
from my_submission.dsp.interleaving import interleaved
from my_submission.errors import InputError, OutputError
from my_submission.files.folders import output_error
from my_submission.files.part_files import written_whole
from my_submission.stems import Waveform
from terminal.names import system_name


def decode_to_wav(
    source: str | PathLike[str],
    target: Path,
    *,
    max_seconds: float = math.inf,
    on_block: Callable[[Waveform], None] = lambda block: None,
) -> tuple[str, ...]:
    """Decode any song to a WAV of 32-bit float without changing its samples.

    Args:
        source: any readable file of one or two channels; a mono file becomes stereo.
        target: the new file.
        max_seconds: longer songs are refused while decoding, whatever the header states.
        on_block: called with every block, float32 (2, n), after it is written; not to be changed.

    Returns:
        Notes on how the song was read, one clause each.

    Raises:
        InputError: the song cannot be read, has more than two channels or is too long.
        OutputError: the target cannot be written.
    """
    check_song(source, max_seconds=max_seconds)
    with open_decoder(source) as decoder:
        info = decoder.info
        done = 0
        seconds = info.declared_seconds if math.isinf(max_seconds) else max_seconds
        with _wav(target, info.sample_rate, N_CHANNELS, "FLOAT", seconds=seconds) as file:
            for block in checked_blocks(decoder, BLOCK_SAMPLES):
                done += block.shape[1]
                if done > max_seconds * info.sample_rate:
                    raise _too_long(source, max_seconds)
                stereo = np.broadcast_to(block, (N_CHANNELS, block.shape[1]))
                file.write(interleaved(stereo))
                on_block(stereo)
        return decoder.notes


def check_song(path: str | PathLike[str], *, max_seconds: float) -> float | None:
    """Return the length of a song in seconds by its header, or None, without decoding.

    Raises:
        InputError: the header shows that the song cannot be separated: no audio, more than two channels, an impossible
            sample rate, or too long.
    """
    info = probe(path)
    if info.channels > N_CHANNELS:
        raise too_many_channels(info.channels, info.path)
    seconds = info.declared_seconds
    if seconds is not None and seconds > max_seconds:
        raise _too_long(path, max_seconds, seconds)
    return seconds


DescribeCopies = Callable[[Mapping[str, SetFile], float], Mapping[str, Any]]
"""Returns the record of copies from their files by stem and the smallest common gain in dB."""


@dataclass(frozen=True)
class StemCopies:
    """Copies of stems in another format.

    Attributes:
        paths: stem to its file.
        gain_db: the smallest gain in dB that the format's clip mode applied to all stems; 0 where nothing was changed.
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
        directory: of the copies.
        audio_format: of the copies.
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


class _WavFile:
    """An open WAV; errors of libsndfile are raised as OutputError."""

    def __init__(self, file: soundfile.SoundFile, final: Path) -> None:
        self._file, self._final = file, final

    def write(self, frames: Waveform) -> None:
        """Append frames (samples, channels)."""
        try:
            self._file.write(frames)
        except (soundfile.LibsndfileError, OSError, AssertionError) as error:
            problem = f"it could not be written completely ({str(error).strip() or 'write failed'})"
            raise OutputError(problem, where=self._final, hint="free some space there") from error


@contextmanager
def _wav(final: Path, sample_rate: int, channels: int, subtype: str, *, seconds: float | None) -> Iterator[_WavFile]:
    """Yield a WAV that gets its name once it is complete; RF64 where its length is unknown or too large for WAV."""
    size = math.inf if seconds is None else seconds * sample_rate * channels * SUBTYPE_BYTES[subtype]
    container = "WAV" if size < WAV_LIMIT_BYTES else "RF64"
    try:
        with (
            written_whole(final, is_flushed=False) as part,
            soundfile.SoundFile(system_name(part), "w", sample_rate, channels, subtype, format=container) as file,
        ):
            yield _WavFile(file, final)
    except (OSError, soundfile.LibsndfileError) as error:
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise output_error(cause, final.parent) from error


def _too_long(path: str | PathLike[str], max_seconds: float, seconds: float | None = None) -> InputError:
    length = "" if seconds is None else f" of {seconds:.0f} s"
    return InputError(
        f"the song{length} is longer than the limit of {max_seconds:g} s",
        where=path,
        hint="cut it, or raise the limit",
    )
