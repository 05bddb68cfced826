"""Effects of the package pedalboard, in the ranges of the AIMLESS entry to the challenge of 2023."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect, Range


@dataclass(frozen=True, kw_only=True)
class PedalEffect(Effect):
    """Base class of effects made of plug-ins with random settings."""

    probability: float = 0.3

    plugin: ClassVar[str] = ""
    """Name of pedalboard's class."""

    ranges: ClassVar[Mapping[str, Range]] = {}
    """Range of each setting."""

    def settings(self, rng: np.random.Generator) -> Mapping[str, float]:
        """Draw the plug-in's settings."""
        return {name: limits.draw(rng) for name, limits in self.ranges.items()}

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Process the window with the plug-in."""
        import pedalboard

        library: Any = pedalboard
        board = library.Pedalboard([getattr(library, self.plugin)(**self.settings(rng))])
        return np.asarray(board(np.ascontiguousarray(window), SAMPLE_RATE), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Distortion(PedalEffect, kind="distortion"):
    """Distortion with a drive of -20 to 12 dB."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Distortion"
    ranges: ClassVar[Mapping[str, Range]] = {"drive_db": Range(-20.0, 12.0)}


@dataclass(frozen=True, kw_only=True)
class Delay(PedalEffect, kind="delay"):
    """Echo."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Delay"
    ranges: ClassVar[Mapping[str, Range]] = {
        "delay_seconds": Range(0.1, 1.0, is_logarithmic=True),
        "feedback": Range(0.05, 0.6),
        "mix": Range(0.0, 0.7),
    }


@dataclass(frozen=True, kw_only=True)
class Chorus(PedalEffect, kind="chorus"):
    """Chorus."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Chorus"
    ranges: ClassVar[Mapping[str, Range]] = {
        "rate_hz": Range(0.25, 4.0),
        "depth": Range(0.0, 0.6),
        "centre_delay_ms": Range(5.0, 10.0),
        "feedback": Range(0.1, 0.6),
        "mix": Range(0.1, 0.7),
    }


@dataclass(frozen=True, kw_only=True)
class Phaser(PedalEffect, kind="phaser"):
    """Phaser.

    Attributes:
        centre_hz: centre frequency; the published code always used the minimum of its range.
    """

    probability: float = 0.03
    centre_hz: float = 200.0
    plugin: ClassVar[str] = "Phaser"
    ranges: ClassVar[Mapping[str, Range]] = {
        "rate_hz": Range(0.25, 5.0),
        "depth": Range(0.1, 0.6),
        "feedback": Range(0.1, 0.6),
        "mix": Range(0.1, 0.7),
    }

    def settings(self, rng: np.random.Generator) -> Mapping[str, float]:
        """Draw the settings other than the centre."""
        return {**super().settings(rng), "centre_frequency_hz": self.centre_hz}


@dataclass(frozen=True, kw_only=True)
class Compressor(PedalEffect, kind="compressor"):
    """Compressor."""

    plugin: ClassVar[str] = "Compressor"
    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold_db": Range(-42.0, -6.0),
        "ratio": Range(1.5, 4.0),
        "attack_ms": Range(1.0, 50.0),
        "release_ms": Range(10.0, 250.0),
    }


@dataclass(frozen=True, kw_only=True)
class Reverb(PedalEffect, kind="reverb"):
    """Reverb of any room size, damping and width, at most 0.7 of the mix."""

    wet: ClassVar[Range] = Range(0.0, 0.7)
    plugin: ClassVar[str] = "Reverb"
    ranges: ClassVar[Mapping[str, Range]] = dict.fromkeys(("room_size", "damping", "width"), Range(0.0, 1.0))

    def settings(self, rng: np.random.Generator) -> Mapping[str, float]:
        """Draw the settings; wet and dry levels add up to 1."""
        wet = self.wet.draw(rng)
        return {**super().settings(rng), "wet_level": wet, "dry_level": 1.0 - wet}


@dataclass(frozen=True, kw_only=True)
class Limiter(PedalEffect, kind="limiter"):
    """Limiter."""

    plugin: ClassVar[str] = "Limiter"
    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold_db": Range(-32.0, -6.0),
        "release_ms": Range(10.0, 300.0),
    }
