"""Conversion of songs and stems between file formats, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
import soundfile

from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES, checked_blocks, open_decoder, probe, read_blocks
from my_submission.audio_io.mixture import N_CHANNELS, too_many_channels
from my_submission.audio_io.writing.audio_format import SUBTYPE_BYTES, AudioFormat
from my_submission.audio_io.writing.stem_writer import WAV_LIMIT_BYTES, Describe, StemFolderWriter
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
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> tuple[str, ...]:
    """Decode any song to a WAV of 32-bit float without changing its samples.

    Args:
        source: any readable file of one or two channels; a mono file becomes stereo.
        target: the new file.
        max_seconds: longer songs are refused while decoding, whatever the header states.
        on_progress: called with the seconds decoded so far, after every block.

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
                file.write(interleaved(np.broadcast_to(block, (N_CHANNELS, block.shape[1]))))
                on_progress(done / info.sample_rate)
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


def convert_stems(
    stems: Mapping[str, Path], directory: Path, audio_format: AudioFormat, *, describe: Describe | None = None
) -> dict[str, Path]:
    """Copy stereo stems of one rate and length, with their tags, to ``directory/<name>.<format>``, all of them or none.

    The files are the same as those of a separation directly to this format.

    Args:
        stems: name to file.
        directory: of the copies.
        audio_format: of the copies.
        describe: as for :class:`StemFolderWriter`.

    Raises:
        InputError: a stem cannot be read.
        OutputError: the folder cannot be written.
    """
    info = probe(next(iter(stems.values())))
    if info.samples is None:
        raise ValueError(f"stems are files that tell their length, not {info.container}")
    writer = StemFolderWriter(
        directory,
        tuple(stems),
        sample_rate=info.sample_rate,
        samples=info.samples,
        audio_format=audio_format,
        source_rate=info.sample_rate,
        describe=describe,
        tags={name: read_tags(path)[0] for name, path in stems.items()},
    )
    with writer:
        for blocks in zip(*(read_blocks(path) for path in stems.values()), strict=True):
            writer.write(dict(zip(stems, blocks, strict=True)))
    return writer.paths


def interleave(stems: Mapping[str, Path], target: Path) -> None:
    """Write stereo stems of one rate and length to one WAV of 2 · n channels, 16 bit.

    One file keeps all stems in sync when played, which several players cannot.

    Raises:
        InputError: a stem cannot be read.
        OutputError: the target cannot be written.
    """
    info = probe(next(iter(stems.values())))
    channels = N_CHANNELS * len(stems)
    with _wav(target, info.sample_rate, channels, "PCM_16", seconds=info.declared_seconds) as file:
        for blocks in zip(*(read_blocks(path) for path in stems.values()), strict=True):
            file.write(interleaved(np.concatenate(blocks)))


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
