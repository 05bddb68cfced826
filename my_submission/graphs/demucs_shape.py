"""Sizes of a Demucs v2 and the constants of its definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from my_submission.errors import WeightsError
from my_submission.stems import DEMUCS_SOURCES
from my_submission.weights.other_architectures import refuse_other_architectures

KERNEL = 8
STRIDE = 4
CONTEXT = 3
RESAMPLE_ZEROS = 24
RESAMPLE_ROLLOFF = 0.945

INPUT_SCALE = 1 + 1e-5
"""The network divides by (std + 1e-5) with a placeholder std of one, which is part of the published output."""

TILE_SAMPLES = 1 << 13
"""Output samples per tile of a level's convolutions, when no gradient is needed."""

_HINT = "use a checkpoint of the Demucs v2 family (64 or 48 channels, four sources)"


@dataclass(frozen=True)
class DemucsConfig:
    """Shape of a Demucs v2.

    Attributes:
        channels: output channels of the first encoder level; 64 and 48 are published.
        depth: encoder levels; channels double from one to the next.
        audio_channels: channels of the mixture and of each stem.
        sources: sources of the output, in the checkpoint's order.
        lstm_layers: layers of the bidirectional LSTM.
    """

    channels: int = 64
    depth: int = 6
    audio_channels: int = 2
    sources: tuple[str, ...] = DEMUCS_SOURCES
    lstm_layers: int = 2

    def __post_init__(self) -> None:
        if min(self.channels, self.depth, self.audio_channels, self.lstm_layers, len(self.sources)) < 1:
            raise ValueError(f"every size of a Demucs must be at least 1: {self}")

    @property
    def hidden(self) -> int:
        """Width of the LSTM and channels of the innermost level."""
        return self.channels << (self.depth - 1)

    def valid_length(self, samples: int) -> int:
        """Return the minimum input length whose output covers ``samples`` without padding inside the network."""
        return math.ceil(self.inner_valid_length(2 * samples) / 2)

    def inner_valid_length(self, samples: int) -> int:
        """As :meth:`valid_length`, at the sample rate inside the network."""
        length = samples
        for _ in range(self.depth):
            length = max(1, math.ceil((length - KERNEL) / STRIDE) + 1) + CONTEXT - 1
        for _ in range(self.depth):
            length = (length - 1) * STRIDE + KERNEL
        return length

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of a checkpoint by its published name."""
        shapes: dict[str, tuple[int, ...]] = {}

        def add(name: str, *shape: int, outputs: int | None = None) -> None:
            shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (shape[0] if outputs is None else outputs,)

        inputs, outputs = self.audio_channels, len(self.sources) * self.audio_channels
        for level in range(self.depth):
            width = self.channels * 2**level
            add(f"encoder.{level}.0", width, inputs, KERNEL)
            add(f"encoder.{level}.2", 2 * width, width, 1)
            mirrored = self.depth - 1 - level
            add(f"decoder.{mirrored}.0", 2 * width, width, CONTEXT)
            add(f"decoder.{mirrored}.2", width, outputs, KERNEL, outputs=outputs)
            inputs = outputs = width
        for layer in range(self.lstm_layers):
            for side in ("", "_reverse"):
                shapes[f"lstm.lstm.weight_ih_l{layer}{side}"] = (4 * inputs, inputs if layer == 0 else 2 * inputs)
                shapes[f"lstm.lstm.weight_hh_l{layer}{side}"] = (4 * inputs, inputs)
                shapes[f"lstm.lstm.bias_ih_l{layer}{side}"] = shapes[f"lstm.lstm.bias_hh_l{layer}{side}"] = (
                    4 * inputs,
                )
        add("lstm.linear", inputs, 2 * inputs)
        return shapes


def config_of(shapes: Mapping[str, tuple[int, ...]], where: str) -> DemucsConfig:
    """Return the sizes of a Demucs from the shapes of all tensors of a checkpoint.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; the message names it.
    """
    refuse_other_architectures(shapes, where=where)
    try:
        channels, audio_channels = shapes["encoder.0.0.weight"][:2]
        depth = sum(key.startswith("encoder.") and key.endswith(".0.weight") for key in shapes)
        outputs = shapes[f"decoder.{depth - 1}.2.weight"][1]
        layers = sum(key.startswith("lstm.lstm.weight_ih_l") and not key.endswith("_reverse") for key in shapes)
        config = DemucsConfig(channels, depth, audio_channels, lstm_layers=max(1, layers))
    except KeyError as error:
        raise WeightsError(f"the key {error} of a Demucs v2 is missing", where=where, hint=_HINT) from error
    except (ValueError, IndexError) as error:
        raise WeightsError(f"these tensors are not a Demucs v2 ({error})", where=where, hint=_HINT) from error
    if outputs != len(DEMUCS_SOURCES) * audio_channels:
        problem = f"{outputs} output channels are not {len(DEMUCS_SOURCES)} sources of {audio_channels} channels"
        raise WeightsError(problem, where=where, hint=_HINT)
    expected = config.shapes()
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            problem = f"{name} has the shape {shapes.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}"
            raise WeightsError(f"these tensors are not a Demucs v2 ({problem})", where=where, hint=_HINT)
    return config


def resample_kernels(old: int, new: int) -> tuple[npt.NDArray[np.float32], int]:
    """Return windowed sinc kernels of julius' fractional resampler, float32 (new, 1, taps), and their left padding."""
    rate = min(old, new) * RESAMPLE_ROLLOFF
    width = math.ceil(RESAMPLE_ZEROS * old / rate)
    taps = np.arange(-width, width + old)
    kernels = []
    for phase in range(new):
        t = np.clip((taps / old - phase / new) * rate, -RESAMPLE_ZEROS, RESAMPLE_ZEROS)
        kernel = np.sinc(t) * np.cos(t * math.pi / RESAMPLE_ZEROS / 2) ** 2
        kernels.append(kernel / kernel.sum())
    return np.stack(kernels)[:, None].astype(np.float32), width
