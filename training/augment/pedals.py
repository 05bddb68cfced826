"""App effects of the package pedalboard, in the ranges of the AIMLESS entry to the challenge of 2023."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.effects import Effect


@dataclass(frozen=True, kw_only=True)
class PedalEffect(Effect):
    """An effect made of plug-ins whose settings are drawn for every window."""

    probability: float = 0.3

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Names of pedalboard's classes and their drawn settings."""
        raise NotImplementedError

    def apply(self, window: Waveform, rng: np.random.Generator) -> Waveform:
        """Played through the plug-ins."""
        import pedalboard

        library: Any = pedalboard
        board = library.Pedalboard([getattr(library, name)(**values) for name, values in self.plugins(rng)])
        return np.asarray(board(np.ascontiguousarray(window), SAMPLE_RATE), dtype=np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


@dataclass(frozen=True, kw_only=True)
class ParametricEqualiser(PedalEffect, kind="parametric-equaliser"):
    """Low shelf at 20–200 Hz, peak at 1–10 kHz, high shelf at 8–16 kHz; Q 0.1–4.

    Attributes:
        gain_db: greatest gain of each, up or down.
    """

    gain_db: float = 6.0

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """Three filters."""
        bands = (
            ("LowShelfFilter", _uniform(rng, 20, 200)),
            ("PeakFilter", _log_uniform(rng, 1_000, 10_000)),
            ("HighShelfFilter", _uniform(rng, 8_000, 16_000)),
        )
        return [
            (
                name,
                {
                    "cutoff_frequency_hz": hertz,
                    "gain_db": _uniform(rng, -self.gain_db, self.gain_db),
                    "q": _uniform(rng, 0.1, 4.0),
                },
            )
            for name, hertz in bands
        ]


@dataclass(frozen=True, kw_only=True)
class Distortion(PedalEffect, kind="distortion"):
    """Drive of -20 to 12 dB."""

    probability: float = 0.03

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        return [("Distortion", {"drive_db": _uniform(rng, -20, 12)})]


@dataclass(frozen=True, kw_only=True)
class Delay(PedalEffect, kind="delay"):
    """An echo after 0.1–1 s, feedback 0.05–0.6, at most 0.7 of the mix."""

    probability: float = 0.03

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        values = {
            "delay_seconds": _uniform(rng, 0.1, 1.0),
            "feedback": _uniform(rng, 0.05, 0.6),
            "mix": _uniform(rng, 0.0, 0.7),
        }
        return [("Delay", values)]


@dataclass(frozen=True, kw_only=True)
class Chorus(PedalEffect, kind="chorus"):
    """At a rate of 0.25–4 Hz."""

    probability: float = 0.03

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        return [("Chorus", {"rate_hz": _uniform(rng, 0.25, 4.0)})]


@dataclass(frozen=True, kw_only=True)
class Phaser(PedalEffect, kind="phaser"):
    """At a rate of 0.25–5 Hz.

    Attributes:
        centre_hz: of the sweep; the published code meant to draw it and always took the least.
    """

    probability: float = 0.03
    centre_hz: float = 200.0

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        return [("Phaser", {"rate_hz": _uniform(rng, 0.25, 5.0), "centre_frequency_hz": self.centre_hz})]


@dataclass(frozen=True, kw_only=True)
class Compressor(PedalEffect, kind="compressor"):
    """Threshold -42 to -6 dB, ratio 1.5–4, attack 1–50 ms, release 10–250 ms."""

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        values = {
            "threshold_db": _uniform(rng, -42, -6),
            "ratio": _uniform(rng, 1.5, 4.0),
            "attack_ms": _uniform(rng, 1.0, 50.0),
            "release_ms": _uniform(rng, 10.0, 250.0),
        }
        return [("Compressor", values)]


@dataclass(frozen=True, kw_only=True)
class Reverb(PedalEffect, kind="reverb"):
    """Any room, damping and width; at most 0.7 of it."""

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        wet = _uniform(rng, 0.0, 0.7)
        values = {
            "room_size": _uniform(rng, 0.0, 1.0),
            "damping": _uniform(rng, 0.0, 1.0),
            "width": _uniform(rng, 0.0, 1.0),
            "wet_level": wet,
            "dry_level": 1.0 - wet,
        }
        return [("Reverb", values)]


@dataclass(frozen=True, kw_only=True)
class Limiter(PedalEffect, kind="limiter"):
    """Threshold -32 to -6 dB, release 10–300 ms."""

    def plugins(self, rng: np.random.Generator) -> list[tuple[str, Mapping[str, float]]]:
        """One plug-in."""
        values = {"threshold_db": _uniform(rng, -32, -6), "release_ms": _uniform(rng, 10.0, 300.0)}
        return [("Limiter", values)]
