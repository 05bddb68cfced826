"""The mixture as input of the separators: stereo at 44.1 kHz in a random-access store, with its statistics."""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from my_submission.audio_io.decoding.decode import BLOCK_SAMPLES, checked_blocks, open_decoder, probe
from my_submission.audio_io.decoding.decoder import DEFAULT_READ_OPTIONS, AudioInfo, ReadOptions
from my_submission.audio_io.sample_store import ClosingContext, DiskStore, MemoryStore, SampleStore, new_store
from my_submission.audio_io.statistics import MixtureStatistics, StatisticsAccumulator
from my_submission.dsp.resampling import StreamResampler, resampled_length
from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform

N_CHANNELS = 2
"""Channels of the mixture; every published system works on stereo."""

_FIRST_SAMPLES = 8 * BLOCK_SAMPLES
"""Limit on the initial length of a store, because a damaged header may state any length."""


@dataclass(frozen=True)
class Mixture(ClosingContext):
    """A song ready to be separated; closing it closes its store.

    Attributes:
        store: its samples, 2 channels at the working rate (44 100 Hz, except for systems that work at any rate).
        rate: the working rate, in Hz.
        samples: length at the working rate.
        source_rate: original sample rate in Hz.
        source_samples: original length in samples.
        source_channels: original number of channels (1 or 2; mono is duplicated).
        path: the file it came from, if any.
        notes: notes on how the file was read, one clause each.
        original: the samples at their original rate, 2 channels, if they were kept; ``store`` if the rates are
            equal.
    """

    store: SampleStore
    rate: int
    samples: int
    source_rate: int
    source_samples: int
    source_channels: int
    path: Path | None
    notes: tuple[str, ...] = ()
    original: SampleStore | None = None

    @functools.cached_property
    def statistics(self) -> MixtureStatistics:
        """Statistics of the samples in ``store``; computed when a system asks for them, because most need none."""
        gatherer = StatisticsAccumulator()
        for start in range(0, self.samples, BLOCK_SAMPLES):
            gatherer.add(self.store.read(start, min(start + BLOCK_SAMPLES, self.samples)))
        return gatherer.result()

    def close(self) -> None:
        """Close the stores."""
        self.store.close()
        if self.original is not None:
            self.original.close()


def load_mixture(
    path: str | PathLike[str],
    *,
    scratch_dir: str | PathLike[str] | None,
    working_rate: Callable[[int], int] = lambda _: SAMPLE_RATE,
    options: ReadOptions = DEFAULT_READ_OPTIONS,
    keeps_original: bool = False,
    max_seconds: float = math.inf,
    on_block: Callable[[Waveform], None] | None = None,
) -> Mixture:
    """Decode a song of 1 or 2 channels into a store, resampled to the working rate.

    The store grows while decoding; the length in the header reserves no space.

    Args:
        path: the file.
        scratch_dir: folder for a temporary file for the samples; None keeps them in memory.
        working_rate: returns the working rate for a source rate, both in Hz.
        options: track, and whether more than 2 channels are mixed down.
        keeps_original: keep the samples at the original rate as well.
        max_seconds: longer songs are refused while decoding, whatever the header states.
        on_block: called with every block before it is stored, float32 (2, n) at the original rate, not to be changed.

    Raises:
        InputError: missing, unreadable, empty, cut, not audio, too long, more than 2 channels, NaN or infinity.
        OutputError: the scratch folder cannot take the samples.
    """
    with open_decoder(path, options) as decoder:
        info = decoder.info
        if info.channels > N_CHANNELS:
            raise _too_many_channels(info.channels, info.path)
        rate = working_rate(info.sample_rate)
        expected = 0 if info.samples is None else resampled_length(info.samples, info.sample_rate, rate)
        store = new_store(N_CHANNELS, min(expected, _FIRST_SAMPLES), directory=scratch_dir)
        original = store
        try:
            spool = _Spool(store, expected)
            blocks = _finite(checked_blocks(decoder, BLOCK_SAMPLES), info.sample_rate, info.path)
            blocks = _watched(blocks, info, max_seconds, on_block)
            if keeps_original and rate != info.sample_rate:
                known = info.samples or 0
                original = new_store(N_CHANNELS, min(known, _FIRST_SAMPLES), directory=scratch_dir)
                blocks = _Spool(original, known).copied(blocks)
            source_samples = spool.fill(blocks, info.sample_rate, rate)
            return Mixture(
                store=store,
                rate=rate,
                samples=store.samples,
                source_rate=info.sample_rate,
                source_samples=source_samples,
                source_channels=info.channels,
                path=info.path,
                notes=decoder.notes,
                original=original if keeps_original else None,
            )
        except BaseException:
            for opened in {id(each): each for each in (store, original)}.values():
                opened.close()
            raise


def check_song(path: str | PathLike[str], *, max_seconds: float) -> float | None:
    """Return the length of a song in seconds by its header, or None, without decoding.

    Raises:
        InputError: the header shows that the song cannot be separated: no audio, more than two channels, an impossible
            sample rate, or too long.
    """
    info = probe(path)
    if info.channels > N_CHANNELS:
        raise _too_many_channels(info.channels, info.path)
    seconds = info.declared_seconds
    if seconds is not None and seconds > max_seconds:
        raise _too_long(info.path, max_seconds, seconds)
    return seconds


def mixture_from_array(
    array: npt.ArrayLike, sample_rate: int, *, working_rate: int = SAMPLE_RATE, keeps_original: bool = False
) -> Mixture:
    """Return a mixture of samples in memory: float (channels, samples) with 1 or 2 channels, or (samples,) for mono.

    The array is never changed, and not copied if it is float32 at the working rate. ``keeps_original`` as for
    :func:`load_mixture`.

    Raises:
        InputError: another shape or type, no samples, NaN or infinity, or a sample rate below 1 Hz.
    """
    waveform = _checked_waveform(np.asarray(array))
    if sample_rate < 1:
        raise InputError(f"a sample rate of {sample_rate} Hz is not possible", hint="give the array's rate in Hz")
    channels, samples = waveform.shape
    starts = range(0, samples, BLOCK_SAMPLES)
    blocks = _finite((waveform[:, start : start + BLOCK_SAMPLES] for start in starts), sample_rate, None)
    if sample_rate == working_rate:
        for _ in blocks:
            pass  # only checked
        store = MemoryStore(np.broadcast_to(waveform, (N_CHANNELS, samples)))
        original = store if keeps_original else None
        return Mixture(store, working_rate, samples, sample_rate, samples, channels, None, original=original)
    store = MemoryStore(channels=N_CHANNELS, samples=resampled_length(samples, sample_rate, working_rate))
    spool = _Spool(store, store.samples)
    spool.fill(blocks, sample_rate, working_rate)
    original = MemoryStore(np.broadcast_to(waveform, (N_CHANNELS, samples))) if keeps_original else None
    return Mixture(store, working_rate, store.samples, sample_rate, samples, channels, None, original=original)


class _Spool:
    """Writer of blocks to a growing store.

    Args:
        store: the store.
        expected: probable number of samples; the store grows when there are more.
    """

    def __init__(self, store: MemoryStore | DiskStore, expected: int) -> None:
        self._store, self._expected = store, expected
        self._filled = 0

    def fill(self, blocks: Iterable[Waveform], from_rate: int, to_rate: int) -> int:
        """Resample and write blocks of 1 or 2 channels, trim the store, and return the number of input samples."""
        resampler: StreamResampler | None = None
        source_samples = 0
        for block in blocks:
            resampler = resampler or StreamResampler(from_rate, to_rate, channels=block.shape[0])
            source_samples += block.shape[1]
            self._append(resampler.push(block))
        if resampler is not None:
            self._append(resampler.finish())
        self._store.resize(self._filled)
        return source_samples

    def copied(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        """Yield blocks of 1 or 2 channels unchanged while they are written, and trim the store at their end."""
        for block in blocks:
            self._append(block)
            yield block
        self._store.resize(self._filled)

    def _append(self, block: Waveform) -> None:
        stereo = np.broadcast_to(block, (N_CHANNELS, block.shape[1]))
        stop = self._filled + block.shape[1]
        if stop > self._store.samples:
            doubled = 2 * self._store.samples
            self._store.resize(max(stop, min(doubled, self._expected) if stop <= self._expected else doubled))
        self._store.write(self._filled, stereo)
        self._filled = stop


def _finite(blocks: Iterable[Waveform], sample_rate: int, path: Path | None) -> Iterator[Waveform]:
    """Yield the blocks as float32; InputError at the first NaN or infinity."""
    done = 0
    for block in blocks:
        with np.errstate(over="ignore"):
            waveform = block.astype(np.float32, copy=False)
        is_bad = ~np.isfinite(waveform).all(axis=0)
        if is_bad.any():
            position = done + int(is_bad.argmax())
            raise InputError(
                f"NaN or infinity at {position / sample_rate:.6f} s (sample {position})",
                where=path,
                hint="export the song again without it; an editor shows such a sample as a gap or a spike",
            )
        done += waveform.shape[1]
        yield waveform


def _watched(
    blocks: Iterable[Waveform], info: AudioInfo, max_seconds: float, on_block: Callable[[Waveform], None] | None
) -> Iterator[Waveform]:
    """Yield the blocks after passing each to ``on_block`` as stereo; InputError if the song is too long."""
    done = 0
    for block in blocks:
        done += block.shape[1]
        if done > max_seconds * info.sample_rate:
            raise _too_long(info.path, max_seconds)
        if on_block is not None:
            on_block(np.broadcast_to(block, (N_CHANNELS, block.shape[1])))
        yield block


def _too_long(path: Path, max_seconds: float, seconds: float | None = None) -> InputError:
    length = "" if seconds is None else f" of {seconds:.0f} s"
    return InputError(
        f"the song{length} is longer than the limit of {max_seconds:g} s",
        where=path,
        hint="cut it, or raise the limit",
    )


def _checked_waveform(array: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """Return the array as float (channels, samples); InputError with a hint for any other array."""
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"the array has the type {array.dtype}, not floating point",
            hint="scale integers to ±1 first (16 bit: divide by 32768)",
        )
    waveform = array[np.newaxis] if array.ndim == 1 else array
    if waveform.ndim != 2:
        raise InputError(f"the array has shape {array.shape}", hint="give (channels, samples), one song at a time")
    if not waveform.size:
        raise InputError(f"the array has shape {array.shape}: no samples", hint="give at least one sample")
    if waveform.shape[0] > N_CHANNELS >= waveform.shape[1]:
        raise InputError(
            f"the array has shape {array.shape}, which looks like (samples, channels)",
            hint="transpose it (array.T): the channels come first",
        )
    if waveform.shape[0] > N_CHANNELS:
        raise _too_many_channels(waveform.shape[0], None)
    return waveform


def _too_many_channels(channels: int, path: Path | None) -> InputError:
    """Return the error for a song of more than two channels."""
    hint = "downmix to stereo first"
    if path is not None:
        hint = "use --downmix (in Python: ReadOptions(downmix=True)), or downmix to stereo first: " + shlex.join(
            ["ffmpeg", "-i", path.name, "-ac", "2", f"{path.stem} stereo.wav"]
        )
    return InputError(f"{channels} channels where 1 or 2 are expected", where=path, hint=hint)
