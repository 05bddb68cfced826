"""One gain for all stems of a song, so that no sample exceeds full scale and the stems still add up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from my_submission.audio_io.sample_store import DiskStore
from my_submission.dsp.limiter import CommonLimiter
from my_submission.stems import Waveform

_BLOCK_SAMPLES = 262_144


class CommonGain(ABC):
    """A stage between resampling and encoding that sees the blocks of all stems side by side."""

    @property
    @abstractmethod
    def lowest(self) -> float:
        """The smallest gain applied so far, 0 … 1; complete after ``finish``."""

    @abstractmethod
    def push(self, blocks: Sequence[Waveform]) -> list[Waveform]:
        """Take the next block float32 (2, n) of every stem and return what is ready, (2, m) each."""

    @abstractmethod
    def finish(self) -> Iterator[list[Waveform]]:
        """Yield the remaining blocks of every stem."""

    def close(self) -> None:  # noqa: B027 (most stages keep nothing)
        """Release the samples that are kept."""

    @property
    def gain_db(self) -> float:
        """The smallest gain in dB; 0 if nothing was changed."""
        return 20 * math.log10(self.lowest) if self.lowest < 1 else 0.0


class NoGain(CommonGain):
    """Leaves every sample as it is."""

    lowest = 1.0

    def push(self, blocks: Sequence[Waveform]) -> list[Waveform]:
        """Return the blocks."""
        return list(blocks)

    def finish(self) -> Iterator[list[Waveform]]:
        """Yield nothing."""
        return iter(())


class LimiterGain(CommonGain):
    """Makes passages around samples beyond full scale quieter, while the stems are written.

    Args:
        sample_rate: sample rate of the blocks, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._limiter = CommonLimiter(sample_rate)

    @property
    def lowest(self) -> float:
        """The smallest gain applied so far."""
        return self._limiter.lowest_gain

    def push(self, blocks: Sequence[Waveform]) -> list[Waveform]:
        """Return what is limited already: all but the last 5 ms."""
        return self._limiter.push(blocks)

    def finish(self) -> Iterator[list[Waveform]]:
        """Yield the last 5 ms."""
        yield self._limiter.finish()


class RescaledGain(CommonGain):
    """Makes the whole song quieter by one constant, which is known only after its last sample.

    All samples are kept in a scratch file of 32-bit float until then: blending the estimates a second time would cost
    more, and memory must not grow with the song.

    Args:
        n_stems: number of stems.
        samples: length of every stem.
        directory: folder of the scratch file.

    Raises:
        OutputError: the folder has too little space.
    """

    def __init__(self, n_stems: int, samples: int, directory: Path) -> None:
        self._store = DiskStore(2 * n_stems, samples, directory=directory)
        self._n_stems, self._kept, self._peak = n_stems, 0, 0.0

    @property
    def lowest(self) -> float:
        """The gain of the whole song."""
        return 1 / self._peak if self._peak > 1 else 1.0

    def push(self, blocks: Sequence[Waveform]) -> list[Waveform]:
        """Keep the blocks; nothing is ready before the end."""
        joined = np.concatenate(blocks)
        self._peak = max(self._peak, float(joined.max(initial=0.0)), -float(joined.min(initial=0.0)))
        self._store.write(self._kept, joined)
        self._kept += joined.shape[1]
        return [block[:, :0] for block in blocks]

    def finish(self) -> Iterator[list[Waveform]]:
        """Yield all samples, times the gain."""
        gain = np.float32(self.lowest)
        for start in range(0, self._kept, _BLOCK_SAMPLES):
            joined = self._store.read(start, min(start + _BLOCK_SAMPLES, self._kept))
            scaled = np.clip(joined * gain, -1, 1) if gain < 1 else joined  # the product may round to just above 1
            yield list(np.split(scaled, self._n_stems))
        self.close()

    def close(self) -> None:
        """Remove the scratch file."""
        self._store.close()


def common_gain(clip: str, *, n_stems: int, sample_rate: int, samples: int, directory: Path) -> CommonGain:
    """Return the stage for a clip mode.

    Args:
        clip: see :class:`~my_submission.audio_io.writing.audio_format.AudioFormat`.
        n_stems: number of stems.
        sample_rate: sample rate of the files, in Hz.
        samples: length of the files.
        directory: folder of a scratch file, if one is needed.
    """
    if clip == "rescale":
        return RescaledGain(n_stems, samples, directory)
    return LimiterGain(sample_rate) if clip == "limit" else NoGain()
