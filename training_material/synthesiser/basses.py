"""Synthesiser basses: random patches of twelve kinds, and bass lines played with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from training_material.band.strings import StringNote
from training_material.synthesiser.oscillators import LowPass, Mono
from training_material.synthesiser.patches import FM, Patch, Tone, hertz_of, voice
from training_material.synthesiser.signal_chain import (
    Wave,
    driven,
    ducking,
    filtered,
    low_weighted,
    widened,
)

LOWEST_PITCH, HIGHEST_PITCH = 23, 55
"""MIDI pitches of 31 and 196 Hz, the range of the fundamentals."""

RUMBLE_HERTZ = 20.0
DUCK_PROBABILITY = 0.5
LEGATO_SECONDS = 0.03
"""Notes that follow within this gap glide, if the patch does."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw uniformly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _timed(patch: Patch, rng: np.random.Generator) -> Patch:
    """Return a patch with a random amplitude envelope, from staccato to sustained, and a random glide."""
    is_sustained = rng.random() < 0.65
    return replace(
        patch,
        attack=log_uniform(rng, 0.002, 0.03),
        decay=log_uniform(rng, 0.3, 2.0) if is_sustained else log_uniform(rng, 0.08, 0.4),
        sustain=float(rng.uniform(0.6, 1.0) if is_sustained else rng.uniform(0.0, 0.6)),
        release=log_uniform(rng, 0.015, 0.15),
        glide_seconds=float(rng.choice([0.0, 0.0, rng.uniform(0.03, 0.2)])),
    )


def _sub(rng: np.random.Generator) -> Patch:
    octave = float(rng.choice([0.0, rng.uniform(0.05, 0.5)]))
    return _timed(Patch(kind="sub", wave="sine", octave=octave, drive=float(rng.uniform(0.0, 2.0))), rng)


def _filter(rng: np.random.Generator, low: float = 150.0, high: float = 8000.0) -> tuple[LowPass, float]:
    return LowPass(float(rng.uniform(0.6, 2.5)), int(rng.integers(1, 3))), log_uniform(rng, low, high)


def _saw(rng: np.random.Generator) -> Patch:
    low_pass, cutoff = _filter(rng)
    return _timed(
        Patch(
            kind="saw",
            low_pass=low_pass,
            cutoff_hertz=cutoff,
            sweep_octaves=float(rng.uniform(0.0, 2.5)),
            sweep_seconds=log_uniform(rng, 0.05, 0.6),
            sub=float(rng.choice([0.0, rng.uniform(0.2, 0.8)])),
            drive=float(rng.choice([0.0, rng.uniform(0.5, 4.0)])),
        ),
        rng,
    )


def _pulse(rng: np.random.Generator) -> Patch:
    low_pass, cutoff = _filter(rng)
    return _timed(
        Patch(
            kind="pulse",
            wave="pulse",
            width=float(rng.choice([0.5, rng.uniform(0.2, 0.5)])),
            low_pass=low_pass,
            cutoff_hertz=cutoff,
            sweep_octaves=float(rng.uniform(0.0, 2.5)),
            sweep_seconds=log_uniform(rng, 0.05, 0.6),
            drive=float(rng.choice([0.0, rng.uniform(0.5, 3.0)])),
        ),
        rng,
    )


def _triangle(rng: np.random.Generator) -> Patch:
    return _timed(Patch(kind="triangle", wave="triangle", drive=float(rng.choice([0.0, rng.uniform(0.5, 4.0)]))), rng)


def _super_saw(rng: np.random.Generator) -> Patch:
    low_pass, cutoff = _filter(rng, 300.0, 9000.0)
    spread = float(rng.uniform(6.0, 22.0))
    detunes = tuple(float(cents) for cents in np.linspace(-spread, spread, int(rng.choice([3, 5, 7]))))
    sub = float(rng.uniform(0.4, 1.0))
    return _timed(Patch(kind="super-saw", detunes_cents=detunes, low_pass=low_pass, cutoff_hertz=cutoff, sub=sub), rng)


def _fm_bass(rng: np.random.Generator) -> Patch:
    return _timed(
        Patch(
            kind="fm",
            wave=FM,
            fm_ratio=float(rng.choice([1.0, 1.0, 2.0, 3.0])),
            fm_index=float(rng.uniform(0.8, 5.0)),
            sweep_seconds=log_uniform(rng, 0.05, 0.8),
            sub=float(rng.uniform(0.2, 0.8)),
            drive=float(rng.choice([0.0, rng.uniform(0.5, 2.0)])),
        ),
        rng,
    )


def _reese(rng: np.random.Generator) -> Patch:
    cents = float(rng.uniform(5.0, 20.0))
    low_pass, cutoff = _filter(rng, 250.0, 3500.0)
    return Patch(
        kind="reese",
        detunes_cents=(-cents, cents),
        low_pass=low_pass,
        cutoff_hertz=cutoff,
        wobble_hertz=float(rng.uniform(0.05, 0.4)),
        wobble_octaves=float(rng.uniform(0.0, 1.2)),
        sub=float(rng.uniform(0.3, 0.9)),
        drive=float(rng.uniform(0.5, 4.0)),
        attack=0.005,
        sustain=1.0,
        release=log_uniform(rng, 0.03, 0.2),
        glide_seconds=float(rng.choice([0.0, rng.uniform(0.05, 0.3)])),
    )


def _acid(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="acid",
        wave=str(rng.choice(["saw", "pulse"])),
        low_pass=LowPass(float(rng.uniform(2.0, 4.0)), 2),
        cutoff_hertz=log_uniform(rng, 120.0, 500.0),
        sweep_octaves=float(rng.uniform(1.0, 3.5)),
        sweep_seconds=log_uniform(rng, 0.06, 0.35),
        accent_octaves=float(rng.uniform(0.5, 2.0)),
        decay=log_uniform(rng, 0.2, 1.0),
        sustain=float(rng.uniform(0.2, 0.9)),
        drive=float(rng.uniform(0.5, 6.0)),
        glide_seconds=float(rng.uniform(0.03, 0.12)),
    )


def _pluck(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="pluck",
        wave=str(rng.choice(["saw", "pulse", "triangle"])),
        low_pass=LowPass(float(rng.uniform(0.7, 2.0)), 2),
        cutoff_hertz=log_uniform(rng, 100.0, 400.0),
        sweep_octaves=float(rng.uniform(2.0, 4.5)),
        sweep_seconds=log_uniform(rng, 0.03, 0.15),
        sub=float(rng.uniform(0.0, 0.6)),
        decay=log_uniform(rng, 0.1, 0.5),
        sustain=float(rng.choice([0.0, rng.uniform(0.0, 0.3)])),
        release=log_uniform(rng, 0.02, 0.1),
    )


def _stab(rng: np.random.Generator) -> Patch:
    """Return a patch as short as a kick drum, with a resonance far above its fundamental."""
    return Patch(
        kind="stab",
        wave=str(rng.choice(["saw", "pulse"])),
        low_pass=LowPass(float(rng.uniform(1.5, 3.5)), int(rng.integers(1, 3))),
        cutoff_hertz=log_uniform(rng, 450.0, 2000.0),
        sweep_octaves=float(rng.choice([0.0, rng.uniform(0.0, 1.5)])),
        sweep_seconds=log_uniform(rng, 0.03, 0.2),
        sub=float(rng.uniform(0.3, 1.2)),
        attack=log_uniform(rng, 0.002, 0.01),
        decay=log_uniform(rng, 0.05, 0.2),
        sustain=float(rng.choice([0.0, rng.uniform(0.0, 0.2)])),
        release=log_uniform(rng, 0.02, 0.1),
        drive=float(rng.choice([0.0, rng.uniform(0.5, 4.0)])),
    )


def _tuned_kick(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="808",
        wave="sine",
        drop_semitones=float(rng.uniform(4.0, 24.0)),
        drop_seconds=log_uniform(rng, 0.008, 0.04),
        attack=0.002,
        decay=log_uniform(rng, 0.5, 3.0),
        sustain=float(rng.choice([0.0, rng.uniform(0.0, 0.6)])),
        release=log_uniform(rng, 0.03, 0.3),
        glide_seconds=float(rng.choice([0.0, rng.uniform(0.05, 0.25)])),
        drive=log_uniform(rng, 0.5, 6.0),
    )


def _wobble(rng: np.random.Generator) -> Patch:
    cents = float(rng.uniform(3.0, 15.0))
    return Patch(
        kind="wobble",
        wave=str(rng.choice(["saw", "pulse"])),
        detunes_cents=(-cents, cents),
        low_pass=LowPass(float(rng.uniform(1.0, 3.0)), 2),
        cutoff_hertz=log_uniform(rng, 250.0, 900.0),
        wobble_hertz=float(rng.choice([1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])),
        wobble_octaves=float(rng.uniform(0.8, 2.2)),
        sub=float(rng.uniform(0.4, 1.0)),
        drive=float(rng.uniform(0.5, 5.0)),
        attack=0.005,
        release=0.04,
    )


KINDS: Mapping[str, Callable[[np.random.Generator], Patch]] = {
    "sub": _sub,
    "saw": _saw,
    "pulse": _pulse,
    "triangle": _triangle,
    "super-saw": _super_saw,
    "fm": _fm_bass,
    "reese": _reese,
    "acid": _acid,
    "pluck": _pluck,
    "stab": _stab,
    "808": _tuned_kick,
    "wobble": _wobble,
}
"""Draw a patch, per kind of bass."""

WEIGHTS: Mapping[str, float] = {"sub": 1.5, "saw": 1.5, "808": 1.5, "reese": 1.3, "triangle": 0.5}
"""Relative probability of a kind; the others have 1."""


def draw_patch(rng: np.random.Generator) -> Patch:
    """Draw a kind of bass and its settings."""
    weights = np.array([WEIGHTS.get(kind, 1.0) for kind in KINDS])
    return KINDS[str(rng.choice(list(KINDS), p=weights / weights.sum()))](rng)


def play(patch: Patch, notes: Sequence[StringNote], rng: np.random.Generator, *, n_samples: int) -> Mono:
    """Play a line of single notes; returns ``float32 (samples,)``."""
    out = np.zeros(n_samples, dtype=np.float32)
    previous: StringNote | None = None
    for note in notes:
        is_legato = previous is not None and note.seconds - previous.end < LEGATO_SECONDS
        tone = Tone(
            hertz=hertz_of(note.pitch),
            seconds=note.end - note.seconds,
            velocity=note.velocity,
            start=note.seconds,
            previous_hertz=hertz_of(previous.pitch) if previous is not None and is_legato else None,
        )
        start = round(note.seconds * SAMPLE_RATE)
        wave = voice(patch, tone, rng)[: max(0, n_samples - start)]
        out[start : start + len(wave)] += wave
        previous = note
    return out


def bass_stem(
    patch: Patch, notes: Sequence[StringNote], kicks: Sequence[float], rng: np.random.Generator, *, n_samples: int
) -> Wave:
    """Play a line and produce it; returns ``float32 (2, samples)``.

    Args:
        patch: the patch.
        notes: the line.
        kicks: onsets of the kick drum in seconds, for ducking.
        rng: settings of the effects.
        n_samples: length.
    """
    mono = driven(play(patch, notes, rng, n_samples=n_samples), patch.drive)
    if rng.random() < 0.4:
        mono = filtered(mono, "lowpass", log_uniform(rng, 200.0, 12_000.0))
    mono = low_weighted(filtered(mono, "highpass", RUMBLE_HERTZ), ratio=float(rng.uniform(0.05, 0.7)))
    is_wide = rng.random() < 0.35
    width = float(rng.uniform(0.2, 0.8)) if is_wide else 0.0
    wave = widened(mono, width, above_hertz=float(rng.uniform(150.0, 300.0)), hertz=float(rng.uniform(0.2, 1.5)))
    if rng.random() < DUCK_PROBABILITY:
        depth, seconds = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.1, 0.35))
        wave = wave * ducking(kicks, n_samples, depth=depth, seconds=seconds)
    return wave
