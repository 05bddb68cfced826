"""Patches: settings of one synthesiser voice, and the voice that plays one note with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from training_material.synthesiser.oscillators import (
    HIGHEST_HERTZ,
    Curve,
    LowPass,
    Mono,
    cutoff_positions,
    cycle_tables,
    looked_up,
)

FM = "fm"
RELEASE_NEPERS = 6.0
REFERENCE_VELOCITY = 100.0


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Settings of one voice.

    Attributes:
        kind: name of the kind of patch.
        wave: a wave of the oscillators, or fm for two sine operators.
        width: share of the cycle for which a pulse is high.
        detunes_cents: detuning of each oscillator; several make a chorus.
        sub: level of a sine at the fundamental.
        octave: level of a sine one octave above.
        fm_ratio: frequency of the modulator relative to the carrier.
        fm_index: peak phase deviation in radians at the onset.
        low_pass: the filter; None leaves the oscillators open.
        cutoff_hertz: cutoff of the filter at rest.
        sweep_octaves: rise of the cutoff at the onset.
        sweep_seconds: time constant of the cutoff and of the FM index.
        accent_octaves: further rise of the cutoff for loud notes.
        wobble_hertz: rate of a sine that moves the cutoff.
        wobble_octaves: how far it moves it, up and down.
        attack: length of the attack in seconds.
        decay: time constant in seconds from the peak to the sustained level.
        sustain: sustained level relative to the peak.
        release: length of the release in seconds.
        drop_semitones: height of the pitch above the note at the onset.
        drop_seconds: time constant of that drop.
        glide_seconds: length of the glide from the previous note.
        drive: gain in front of a soft clipper that the whole part goes through; 0 has none.
    """

    kind: str
    wave: str = "saw"
    width: float = 0.5
    detunes_cents: tuple[float, ...] = (0.0,)
    sub: float = 0.0
    octave: float = 0.0
    fm_ratio: float = 1.0
    fm_index: float = 0.0
    low_pass: LowPass | None = None
    cutoff_hertz: float = 20_000.0
    sweep_octaves: float = 0.0
    sweep_seconds: float = 0.2
    accent_octaves: float = 0.0
    wobble_hertz: float = 0.0
    wobble_octaves: float = 0.0
    attack: float = 0.003
    decay: float = 0.5
    sustain: float = 1.0
    release: float = 0.03
    drop_semitones: float = 0.0
    drop_seconds: float = 0.03
    glide_seconds: float = 0.0
    drive: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tone:
    """One note to be played.

    Attributes:
        hertz: fundamental.
        seconds: time from the onset to the release.
        velocity: MIDI velocity.
        start: onset in the song, in seconds, which a wobble follows.
        previous_hertz: fundamental that a glide starts from.
    """

    hertz: float
    seconds: float
    velocity: float = REFERENCE_VELOCITY
    start: float = 0.0
    previous_hertz: float | None = None


def hertz_of(pitch: float) -> float:
    """Return the frequency of a MIDI pitch."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def voice(patch: Patch, tone: Tone, rng: np.random.Generator) -> Mono:
    """Play one note; returns ``float32 (samples,)``, the release included."""
    n_samples = max(1, int((tone.seconds + patch.release) * SAMPLE_RATE))
    time = np.arange(n_samples) / SAMPLE_RATE
    frequency = _frequency(patch, tone, time)
    cycles = np.cumsum(frequency) / SAMPLE_RATE
    wave = _fm(patch, tone, cycles, time) if patch.wave == FM else _oscillators(patch, tone, frequency, cycles, rng)
    if patch.sub:
        wave = wave + patch.sub * np.sin(2 * np.pi * cycles)
    if patch.octave:
        wave = wave + patch.octave * np.sin(4 * np.pi * cycles)
    return np.asarray(wave * envelope(patch, tone.seconds, time) * tone.velocity / REFERENCE_VELOCITY, dtype=np.float32)


def envelope(patch: Patch, seconds: float, time: Curve) -> Curve:
    """Return the gain at each time: attack, decay to the sustained level, release after ``seconds``."""
    fallen = patch.sustain + (1.0 - patch.sustain) * np.exp(-np.maximum(0.0, time - patch.attack) / patch.decay)
    gain = fallen * np.minimum(1.0, time / patch.attack)
    after = np.maximum(0.0, time - seconds) / patch.release
    return np.asarray(gain * np.exp(-RELEASE_NEPERS * after) * np.clip((1.0 - after) * 10.0, 0.0, 1.0))


def _frequency(patch: Patch, tone: Tone, time: Curve) -> Curve:
    semitones = patch.drop_semitones * np.exp(-time / patch.drop_seconds)
    if tone.previous_hertz is not None and patch.glide_seconds:
        interval = 12.0 * np.log2(tone.previous_hertz / tone.hertz)
        semitones = semitones + interval * np.exp(-4.0 * time / patch.glide_seconds)
    return np.asarray(tone.hertz * 2.0 ** (semitones / 12.0))


def _oscillators(patch: Patch, tone: Tone, frequency: Curve, cycles: Curve, rng: np.random.Generator) -> Curve:
    highest = float(frequency.max()) * 2.0 ** (max(patch.detunes_cents) / 1200.0)
    tables = cycle_tables(patch.wave, highest, patch.low_pass, width=patch.width)
    time = np.arange(len(frequency)) / SAMPLE_RATE
    positions = None if patch.low_pass is None else cutoff_positions(_cutoff(patch, tone, time))
    out = np.zeros(len(cycles))
    for cents in patch.detunes_cents:
        phase = float(rng.random()) if len(patch.detunes_cents) > 1 else 0.0
        out += looked_up(tables, cycles * 2.0 ** (cents / 1200.0) + phase, positions)
    return np.asarray(out / np.sqrt(len(patch.detunes_cents)))


def _cutoff(patch: Patch, tone: Tone, time: Curve) -> Curve:
    accent = patch.accent_octaves * float(np.clip((tone.velocity - 80.0) / 47.0, 0.0, 1.0))
    octaves = (patch.sweep_octaves + accent) * np.exp(-time / patch.sweep_seconds)
    if patch.wobble_octaves:
        octaves = octaves - patch.wobble_octaves * np.cos(2 * np.pi * patch.wobble_hertz * (time + tone.start))
    return np.asarray(patch.cutoff_hertz * 2.0**octaves)


def _fm(patch: Patch, tone: Tone, cycles: Curve, time: Curve) -> Curve:
    """Return a sine whose phase a sine modulates, with an index whose sidebands stay below the highest frequency."""
    highest = max(0.0, (HIGHEST_HERTZ / tone.hertz - 1.0) / patch.fm_ratio - 2.0)
    index = min(patch.fm_index, highest) * (0.25 + 0.75 * np.exp(-time / patch.sweep_seconds))
    return np.asarray(np.sin(2 * np.pi * cycles + index * np.sin(2 * np.pi * patch.fm_ratio * cycles)))
