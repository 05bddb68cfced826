"""Joined recordings in one file: chained Ogg streams, files concatenated by ``cat``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from my_submission.audio_io.decoding.decoder import AudioInfo, Decoder, in_blocks
from my_submission.dsp.resampling import StreamResampler
from my_submission.errors import InputError
from my_submission.stems import Waveform


class JoinedDecoder(Decoder):
    """Decoder of one recording after another, resampled to one rate, with mono copied to stereo where both occur.

    Args:
        path: the file.
        openers: functions that open the recordings, in order.

    Raises:
        InputError: one of them cannot be read, or their numbers of channels do not match.
    """

    def __init__(self, path: Path, openers: Sequence[Callable[[], Decoder]]) -> None:
        self._path, self._openers = path, tuple(openers)
        self._notes = [f"{len(openers)} joined recordings in this file; all were read"]
        infos = []
        for number in range(len(openers)):
            with closing(self._open(number)) as decoder:
                infos.append(decoder.info)
        self._infos = tuple(infos)
        self.info = self._describe()

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Yield the samples of all recordings in blocks float32 (channels, n)."""
        return in_blocks(self._all_blocks(block_samples), block_samples)

    def close(self) -> None:
        """Do nothing: each recording is closed after reading."""

    def _describe(self) -> AudioInfo:
        first = self._infos[0]
        channels = max(info.channels for info in self._infos)
        if len({info.channels for info in self._infos}) > 1 and channels > 2:
            raise InputError(
                f"the {len(self._infos)} recordings in this file have different numbers of channels",
                where=self._path,
                hint="convert the file to stereo WAV first",
            )
        rates = {info.sample_rate for info in self._infos}
        if len(rates) > 1:
            self._notes.append(f"recordings of another sample rate were resampled to {first.sample_rate} Hz")
        lengths = [info.samples for info in self._infos]
        is_known = len(rates) == 1 and None not in lengths
        samples = sum(length or 0 for length in lengths) if is_known else None
        return AudioInfo(self._path, first.sample_rate, channels, samples, first.container, first.codec)

    def _open(self, number: int) -> Decoder:
        try:
            return self._openers[number]()
        except InputError as error:
            raise self._named(number, error) from error

    def _all_blocks(self, block_samples: int) -> Iterator[Waveform]:
        for number, info in enumerate(self._infos):
            resampler = StreamResampler(info.sample_rate, self.info.sample_rate, channels=self.info.channels)
            with closing(self._open(number)) as decoder:
                try:
                    for block in decoder.blocks(block_samples):
                        yield resampler.push(np.broadcast_to(block, (self.info.channels, block.shape[1])))
                except InputError as error:
                    raise self._named(number, error) from error
                yield resampler.finish()
                self._notes += [f"recording {number + 1}: {note}" for note in decoder.notes]

    def _named(self, number: int, error: InputError) -> InputError:
        problem = f"recording {number + 1} of {len(self._openers)} in it: {error.problem}"
        return InputError(problem, where=self._path, hint=error.hint)
