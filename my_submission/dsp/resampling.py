"""Resampling by soxr at its best quality, block by block or all at once.

soxr's linear-phase filters are delay-compensated: output sample k is at time k / to_rate of the input, so a round trip
keeps every sample in place. Blocks give the same bits as the whole signal at once.
"""

from __future__ import annotations

import numpy as np
import soxr

from my_submission.dsp.interleaving import interleaved
from my_submission.stems import Waveform

QUALITY = "VHQ"
"""soxr's best quality: 28-bit arithmetic, pass band to at least 0.913 of the lower Nyquist frequency."""

_BLOCK_SAMPLES = 262_144


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Return the length at ``to_rate`` of ``samples`` at ``from_rate``, rounded up."""
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
        samples: total number of samples to return, cut or zero-padded at the end; ``resampled_length`` of the samples
            pushed by default.
    """

    def __init__(self, from_rate: int, to_rate: int, *, channels: int, samples: int | None = None) -> None:
        _check_rates(from_rate, to_rate)
        if channels < 1:
            raise ValueError(f"channels={channels} must be at least 1")
        if samples is not None and samples < 0:
            raise ValueError(f"samples={samples} must not be negative")
        self._from_rate, self._to_rate, self._channels = from_rate, to_rate, channels
        self._limit = samples
        self._pushed = 0
        self._returned = 0
        self._stream = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality=QUALITY)
        )
        self._is_finished = False

    def push(self, block: Waveform) -> Waveform:
        """Add the next block (channels, n) and return the samples that are ready, (channels, m); m may be 0."""
        if self._is_finished:
            raise ValueError("the resampler is finished and takes no more blocks")
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"block of shape {block.shape} where ({self._channels}, samples) is expected")
        self._pushed += block.shape[1]
        return self._limited(self._feed(block.astype(np.float32, copy=False)))

    def finish(self) -> Waveform:
        """End the signal and return its tail, (channels, m)."""
        if self._is_finished:
            raise ValueError("the resampler is already finished")
        self._is_finished = True
        if self._limit is None:
            self._limit = resampled_length(self._pushed, self._from_rate, self._to_rate)
        # One output sample more than needed, so that the last sample is filtered rather than padded.
        silence = np.zeros((self._channels, self._from_rate // self._to_rate + 2), np.float32)
        tail = self._limited(self._feed(silence, is_last=True) if self._stream and self._pushed else silence[:, :0])
        missing, self._returned = self._limit - self._returned, self._limit
        return np.pad(tail, ((0, 0), (0, missing)))

    def _feed(self, block: Waveform, *, is_last: bool = False) -> Waveform:
        if self._stream is None:
            return block.copy()
        frames = interleaved(block)
        result: Waveform = np.ascontiguousarray(self._stream.resample_chunk(frames, last=is_last).T)
        return result

    def _limited(self, block: Waveform) -> Waveform:
        """Cut ``block`` at the total length, and count the samples returned."""
        kept = block if self._limit is None else block[:, : self._limit - self._returned]
        self._returned += kept.shape[1]
        return kept


def resample(waveform: Waveform, from_rate: int, to_rate: int, *, samples: int | None = None) -> Waveform:
    """Resample a whole waveform (channels, n) into a new float32 array.

    Args:
        waveform: float array (channels, n).
        from_rate: its sample rate, in Hz.
        to_rate: sample rate of the result, in Hz.
        samples: length of the result; ``resampled_length(n, from_rate, to_rate)`` by default.
    """
    if waveform.ndim != 2:
        raise ValueError(f"waveform of shape {waveform.shape} where (channels, samples) is expected")
    stream = StreamResampler(from_rate, to_rate, channels=waveform.shape[0], samples=samples)
    starts = range(0, waveform.shape[1], _BLOCK_SAMPLES)
    blocks = [stream.push(waveform[:, start : start + _BLOCK_SAMPLES]) for start in starts]
    return np.concatenate([*blocks, stream.finish()], axis=1)


def _check_rates(from_rate: int, to_rate: int) -> None:
    if from_rate < 1 or to_rate < 1:
        raise ValueError(f"sample rates {from_rate} and {to_rate} Hz must be at least 1 Hz")
