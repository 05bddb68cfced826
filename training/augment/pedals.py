"""Effects of the package pedalboard, in the ranges of the AIMLESS entry to the challenge of 2023."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect


@dataclass(frozen=True, kw_only=True)
class PedalEffect(Effect):
    """Base class of effects made of plug-ins with random settings."""

    probability: float = 0.3

    plugin: ClassVar[str] = ""
    """Name of pedalboard's class."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Range of each setting, which is drawn uniformly."""

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Draw the settings; returns names of pedalboard's classes, each with its settings."""
        return [(self.plugin, {name: float(rng.uniform(*limits)) for name, limits in self.ranges.items()})]

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Process the window with the plug-ins."""
        import pedalboard

        library: Any = pedalboard
        board = library.Pedalboard([getattr(library, name)(**values) for name, values in self.plugins(rng)])
        return np.asarray(board(np.ascontiguousarray(window), SAMPLE_RATE), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class ParametricEqualiser(PedalEffect, kind="parametric-equaliser"):
    """Low shelf at 20–200 Hz, peak at 1–10 kHz, high shelf at 8–16 kHz; Q 0.1–4.

    Attributes:
        gain_db: maximum gain of each filter, up or down.
    """

    gain_db: float = 6.0

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Draw three filters."""
        bands = (
            ("LowShelfFilter", float(rng.uniform(20, 200))),
            ("PeakFilter", float(np.exp(rng.uniform(np.log(1_000), np.log(10_000))))),
            ("HighShelfFilter", float(rng.uniform(8_000, 16_000))),
        )
        return [
            (
                name,
                {
                    "cutoff_frequency_hz": hertz,
                    "gain_db": float(rng.uniform(-self.gain_db, self.gain_db)),
                    "q": float(rng.uniform(0.1, 4.0)),
                },
            )
            for name, hertz in bands
        ]


@dataclass(frozen=True, kw_only=True)
class Distortion(PedalEffect, kind="distortion"):
    """Distortion with a drive of -20 to 12 dB."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Distortion"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"drive_db": (-20, 12)}


@dataclass(frozen=True, kw_only=True)
class Delay(PedalEffect, kind="delay"):
    """Echo."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Delay"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "delay_seconds": (0.1, 1.0),
        "feedback": (0.05, 0.6),
        "mix": (0.0, 0.7),
    }


@dataclass(frozen=True, kw_only=True)
class Chorus(PedalEffect, kind="chorus"):
    """Chorus."""

    probability: float = 0.03
    plugin: ClassVar[str] = "Chorus"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"rate_hz": (0.25, 4.0)}


@dataclass(frozen=True, kw_only=True)
class Phaser(PedalEffect, kind="phaser"):
    """Phaser.

    Attributes:
        centre_hz: centre frequency; the published code always used the minimum of its range.
    """

    probability: float = 0.03
    centre_hz: float = 200.0

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Draw the rate."""
        return [("Phaser", {"rate_hz": float(rng.uniform(0.25, 5.0)), "centre_frequency_hz": self.centre_hz})]


@dataclass(frozen=True, kw_only=True)
class Compressor(PedalEffect, kind="compressor"):
    """Compressor."""

    plugin: ClassVar[str] = "Compressor"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "threshold_db": (-42, -6),
        "ratio": (1.5, 4.0),
        "attack_ms": (1.0, 50.0),
        "release_ms": (10.0, 250.0),
    }


@dataclass(frozen=True, kw_only=True)
class Reverb(PedalEffect, kind="reverb"):
    """Reverb of any room size, damping and width, at most 0.7 of the mix."""

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Draw the settings; wet and dry levels add up to 1."""
        wet = float(rng.uniform(0.0, 0.7))
        values = {name: float(rng.uniform(0.0, 1.0)) for name in ("room_size", "damping", "width")}
        return [("Reverb", {**values, "wet_level": wet, "dry_level": 1.0 - wet})]


@dataclass(frozen=True, kw_only=True)
class Limiter(PedalEffect, kind="limiter"):
    """Limiter."""

    plugin: ClassVar[str] = "Limiter"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"threshold_db": (-32, -6), "release_ms": (10.0, 300.0)}
