"""Levels, loudness, envelope and spectrogram of a signal, measured in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from my_submission.dsp.envelope import Envelope, EnvelopeAccumulator
from my_submission.dsp.log_spectrogram import LogSpectrogram, LogSpectrogramAccumulator
from my_submission.dsp.loudness import LoudnessMeter
from my_submission.stems import Waveform

COLUMNS = 1000
"""Columns of a picture, about as many as a screen shows."""


@dataclass(frozen=True)
class Overview:
    """Measurements of a signal.

    Attributes:
        sample_rate: sample rate in Hz.
        samples: length.
        peak: maximum absolute value; 1 is full scale.
        rms: root mean square over all channels.
        loudness_lufs: integrated loudness; None for silence and below 400 ms.
        beyond_full_scale: number of values beyond ±1, which PCM cannot represent, over all channels.
        envelope: minimum and maximum per column.
        power: log spectrogram.
    """

    sample_rate: int
    samples: int
    peak: float
    rms: float
    loudness_lufs: float | None
    beyond_full_scale: int
    envelope: Envelope
    power: LogSpectrogram


def overview_of(blocks: Iterable[Waveform], sample_rate: int, samples: int, *, columns: int = COLUMNS) -> Overview:
    """Measure a signal.

    Args:
        blocks: consecutive blocks (channels, n) of one or two channels.
        sample_rate: sample rate in Hz.
        samples: total length of all blocks.
        columns: columns of envelope and spectrogram.
    """
    envelope = EnvelopeAccumulator(samples, columns=columns)
    power = LogSpectrogramAccumulator(sample_rate, samples, columns=columns)
    meter: LoudnessMeter | None = None
    peak, squares, count, beyond = 0.0, 0.0, 0, 0
    for block in blocks:
        meter = meter or LoudnessMeter(sample_rate, channels=block.shape[0])
        meter.push(block)
        envelope.push(block)
        power.push(block)
        magnitude = np.abs(block)
        peak = max(peak, float(magnitude.max(initial=0.0)))
        beyond += int(np.count_nonzero(magnitude > 1))
        squares += float(np.square(block, dtype=np.float64).sum())
        count += block.size
    return Overview(
        sample_rate=sample_rate,
        samples=samples,
        peak=peak,
        rms=math.sqrt(squares / max(1, count)),
        loudness_lufs=None if meter is None else meter.integrated(),
        beyond_full_scale=beyond,
        envelope=envelope.result(),
        power=power.result(),
    )


def residual_db(mixture: Iterable[Waveform], stems: Iterable[Iterable[Waveform]]) -> float | None:
    """Return the energy of mixture − Σ stems over the energy of the mixture, in dB.

    Args:
        mixture: consecutive blocks (channels, n); mono is taken as two equal channels.
        stems: the blocks of each stem, of the same lengths.

    Returns:
        −inf if the stems add up exactly, None for a silent mixture.
    """
    residual, total = 0.0, 0.0
    for block, *parts in zip(mixture, *stems, strict=True):
        rest = block.astype(np.float64) - sum(part.astype(np.float64) for part in parts)
        residual += float(np.square(rest).sum())
        total += float(np.square(np.broadcast_to(block, rest.shape), dtype=np.float64).sum())
    if not total:
        return None
    return 10 * math.log10(residual / total) if residual else -math.inf
