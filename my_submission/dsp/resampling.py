"""Change of sample rate by soxr at its best quality, block by block or all at once.

soxr's linear-phase filters are delay-compensated: output sample k belongs to the instant k / to_rate of the input,
so a round trip returns every sample to its place. Feeding blocks gives the very bits of feeding the whole signal.
"""

from __future__ import annotations

import numpy as np
import soxr

from my_submission.dsp.interleaving import interleaved
from my_submission.stems import Waveform

QUALITY = "VHQ"
"""soxr's best recipe: 28-bit arithmetic, pass band to 0.913 of the lower Nyquist frequency at least."""

_BLOCK_SAMPLES = 262_144


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """How many samples at ``to_rate`` begin before ``samples`` at ``from_rate`` have ended (rounded up, never lost)."""
    if samples < 0:
        raise ValueError(f"samples={samples} must not be negative")
    _check_rates(from_rate, to_rate)
    return -(-samples * to_rate // from_rate)


class StreamResampler:
    """Resamples a signal that arrives in consecutive blocks.

    Args:
        from_rate: sample rate of the blocks pushed, in Hz.
        to_rate: sample rate of the blocks returned, in Hz.
        channels: channels of every block.
        samples: exact number of samples to return in all; without it, ``resampled_length`` of what was pushed.
            The end is cut or filled with zeros to fit.
    """

    def __init__(self, from_rate: int, to_rate: int, *, channels: int, samples: int | None = None) -> None:
        _check_rates(from_rate, to_rate)
        if channels < 1:
            raise ValueError(f"channels={channels} must be at least 1")
        if samples is not None and samples < 0:
            raise ValueError(f"samples={samples} must not be negative")
        self._from_rate, self._to_rate, self._channels = from_rate, to_rate, channels
        self._asked = samples
        self._pushed = 0
        self._returned = 0
        self._stream = None if from_rate == to_rate else _new_stream(from_rate, to_rate, channels)
        self._is_finished = False

    def push(self, block: Waveform) -> Waveform:
        """Take the next block (channels, n); return what is ready, (channels, m) with m possibly 0."""
        if self._is_finished:
            raise ValueError("a resampler that has finished takes no more blocks")
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"block of shape {block.shape} where ({self._channels}, samples) is expected")
        self._pushed += block.shape[1]
        return self._limited(self._feed(block.astype(np.float32, copy=False)))

    def finish(self) -> Waveform:
        """End the signal and return its tail, (channels, m)."""
        if self._is_finished:
            raise ValueError("this resampler has finished already")
        target = resampled_length(self._pushed, self._from_rate, self._to_rate) if self._asked is None else self._asked
        # One more output instant than the signal needs, so that the last sample is filtered rather than filled in.
        silence = np.zeros((self._channels, self._from_rate // self._to_rate + 2), np.float32)
        tail = self._limited(
            self._feed(silence, is_last=True) if self._stream and self._pushed else silence[:, :0], target
        )
        self._is_finished = True
        missing = target - self._returned
        self._returned = target
        return np.concatenate([tail, np.zeros((self._channels, missing), np.float32)], axis=1)

    def _feed(self, block: Waveform, *, is_last: bool = False) -> Waveform:
        if self._stream is None:
            return block.copy()
        frames = interleaved(block)
        result: Waveform = np.ascontiguousarray(self._stream.resample_chunk(frames, last=is_last).T)
        return result

    def _limited(self, block: Waveform, target: int | None = None) -> Waveform:
        """Cut ``block`` where the asked length ends, and count what is returned."""
        limit = self._asked if target is None else target
        kept = block if limit is None else block[:, : limit - self._returned]
        self._returned += kept.shape[1]
        return kept


def resample(waveform: Waveform, from_rate: int, to_rate: int, *, samples: int | None = None) -> Waveform:
    """Resample a whole waveform (channels, n) into a new float32 array.

    Args:
        waveform: float array (channels, n); it is not changed.
        from_rate: its sample rate, in Hz.
        to_rate: the sample rate wanted, in Hz.
        samples: exact length of the result; without it, ``resampled_length(n, from_rate, to_rate)``.
    """
    if waveform.ndim != 2:
        raise ValueError(f"waveform of shape {waveform.shape} where (channels, samples) is expected")
    stream = StreamResampler(from_rate, to_rate, channels=waveform.shape[0], samples=samples)
    starts = range(0, waveform.shape[1], _BLOCK_SAMPLES)
    blocks = [stream.push(waveform[:, start : start + _BLOCK_SAMPLES]) for start in starts]
    return np.concatenate([*blocks, stream.finish()], axis=1)


def _new_stream(from_rate: int, to_rate: int, channels: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality=QUALITY)


def _check_rates(from_rate: int, to_rate: int) -> None:
    if from_rate < 1 or to_rate < 1:
        raise ValueError(f"sample rates {from_rate} and {to_rate} Hz must be at least 1 Hz")
