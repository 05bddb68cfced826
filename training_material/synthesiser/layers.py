"""Pads, plucks, leads and keys: random patches for the parts of a song that are neither bass nor drums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from my_submission.geometry import SAMPLE_RATE
from training.data.stems import active_rms
from training_material.band.mixing import panned
from training_material.band.strings import StringNote
from training_material.synthesiser.basses import log_uniform
from training_material.synthesiser.lines import Grid
from training_material.synthesiser.oscillators import LowPass, Mono
from training_material.synthesiser.patches import FM, Patch, Tone, envelope, hertz_of, voice
from training_material.synthesiser.signal_chain import Wave, driven, filtered, with_echoes

LOWEST_PITCH, HIGHEST_PITCH = 45, 100
LOUD_VELOCITY = 100
LONGEST_SECONDS = 8.0
"""Longer notes end there, because a voice is synthesised once per pitch and as long as its longest note."""

LAYER_RMS = 0.05


def _detuned(rng: np.random.Generator) -> tuple[float, ...]:
    spread = float(rng.uniform(5.0, 25.0))
    return tuple(float(cents) for cents in np.linspace(-spread, spread, int(rng.choice([1, 2, 3]))))


def _pad(rng: np.random.Generator) -> Patch:
    low_pass = LowPass(float(rng.uniform(0.6, 2.0)), int(rng.integers(1, 3)))
    return Patch(
        kind="pad",
        wave=str(rng.choice(["saw", "pulse", "triangle"])),
        width=float(rng.uniform(0.2, 0.5)),
        detunes_cents=_detuned(rng),
        low_pass=low_pass,
        cutoff_hertz=log_uniform(rng, 500.0, 6000.0),
        sweep_octaves=float(rng.uniform(-1.5, 0.5)),
        sweep_seconds=log_uniform(rng, 0.3, 2.0),
        attack=log_uniform(rng, 0.03, 0.6),
        release=log_uniform(rng, 0.3, 1.5),
    )


def _pluck(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="pluck",
        wave=str(rng.choice(["saw", "pulse", "triangle"])),
        low_pass=LowPass(float(rng.uniform(0.7, 3.0)), int(rng.integers(1, 3))),
        cutoff_hertz=log_uniform(rng, 300.0, 1500.0),
        sweep_octaves=float(rng.uniform(1.0, 4.0)),
        sweep_seconds=log_uniform(rng, 0.03, 0.2),
        decay=log_uniform(rng, 0.08, 0.5),
        sustain=float(rng.choice([0.0, rng.uniform(0.0, 0.3)])),
        release=log_uniform(rng, 0.05, 0.4),
    )


def _lead(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="lead",
        wave=str(rng.choice(["saw", "pulse"])),
        width=float(rng.uniform(0.15, 0.5)),
        detunes_cents=_detuned(rng),
        low_pass=LowPass(float(rng.uniform(0.7, 2.5)), int(rng.integers(1, 3))),
        cutoff_hertz=log_uniform(rng, 1200.0, 10_000.0),
        sweep_octaves=float(rng.uniform(0.0, 1.5)),
        sweep_seconds=log_uniform(rng, 0.05, 0.5),
        attack=log_uniform(rng, 0.003, 0.03),
        decay=log_uniform(rng, 0.3, 1.5),
        sustain=float(rng.uniform(0.5, 1.0)),
        release=log_uniform(rng, 0.03, 0.3),
        drive=float(rng.choice([0.0, 0.0, rng.uniform(0.5, 3.0)])),
    )


def _super_saw(rng: np.random.Generator) -> Patch:
    spread = float(rng.uniform(10.0, 30.0))
    return Patch(
        kind="super-saw",
        detunes_cents=tuple(float(cents) for cents in np.linspace(-spread, spread, 5)),
        attack=log_uniform(rng, 0.003, 0.05),
        decay=log_uniform(rng, 0.2, 1.5),
        sustain=float(rng.uniform(0.3, 1.0)),
        release=log_uniform(rng, 0.05, 0.4),
    )


def _fm_keys(rng: np.random.Generator) -> Patch:
    return Patch(
        kind="fm keys",
        wave=FM,
        fm_ratio=float(rng.choice([1.0, 2.0, 3.0, 4.0, 7.0, 1.41, 3.5])),
        fm_index=float(rng.uniform(0.5, 4.0)),
        sweep_seconds=log_uniform(rng, 0.05, 0.8),
        decay=log_uniform(rng, 0.2, 1.5),
        sustain=float(rng.uniform(0.0, 0.5)),
        release=log_uniform(rng, 0.05, 0.6),
    )


def _organ(rng: np.random.Generator) -> Patch:
    octave = float(rng.uniform(0.2, 1.0))
    return Patch(kind="organ", wave="triangle", octave=octave, sub=float(rng.uniform(0.0, 1.0)), release=0.05)


KINDS: Mapping[str, Callable[[np.random.Generator], Patch]] = {
    "pad": _pad,
    "pluck": _pluck,
    "lead": _lead,
    "super-saw": _super_saw,
    "fm keys": _fm_keys,
    "organ": _organ,
}
"""Draw a patch, per kind of layer."""


def draw_patch(rng: np.random.Generator) -> Patch:
    """Draw a kind of layer and its settings."""
    return KINDS[str(rng.choice(list(KINDS)))](rng)


def layer(
    patch: Patch, notes: Sequence[StringNote], grid: Grid, rng: np.random.Generator, *, n_samples: int
) -> Wave | None:
    """Play a part and produce it: stereo, echoes, level; ``float32 (2, samples)``, or None for silence.

    Args:
        patch: the patch.
        notes: the part.
        grid: the song's beats, which echoes follow.
        rng: position, effects and level.
        n_samples: length.
    """
    placed = in_register(notes, rng)
    if len(patch.detunes_cents) > 1:
        left, right = (play(patch, placed, rng, n_samples=n_samples) for _ in range(2))
        wave = np.stack((driven(left, patch.drive), driven(right, patch.drive)))
    else:
        mono = driven(play(patch, placed, rng, n_samples=n_samples), patch.drive)
        wave = panned(mono, float(np.clip(rng.normal(0.0, 0.4), -0.9, 0.9)))
    wave = filtered(wave, "highpass", log_uniform(rng, 60.0, 250.0))
    if rng.random() < 0.4:
        seconds = grid.beat * float(rng.choice([0.5, 0.75, 1.0]))
        wave = with_echoes(wave, seconds=seconds, feedback=float(rng.uniform(0.3, 0.6)), level=0.4)
    rms = active_rms(np.ascontiguousarray(wave.T))
    if rms == 0.0:
        return None
    return np.asarray(wave * np.float32(LAYER_RMS / rms * 10.0 ** (rng.normal(0.0, 3.5) / 20.0)))


def in_register(notes: Sequence[StringNote], rng: np.random.Generator) -> list[StringNote]:
    """Move a part by octaves so that its median lies between 110 Hz and 1 kHz, and cut long notes."""
    median = float(np.median([note.pitch for note in notes]))
    shift = 12 * round((float(rng.uniform(57.0, 76.0)) - median) / 12.0)
    moved = []
    for note in notes:
        pitch = note.pitch + shift
        while pitch < LOWEST_PITCH:
            pitch += 12
        while pitch > HIGHEST_PITCH:
            pitch -= 12
        moved.append(replace(note, pitch=pitch, end=min(note.end, note.seconds + LONGEST_SECONDS)))
    return moved


def play(patch: Patch, notes: Sequence[StringNote], rng: np.random.Generator, *, n_samples: int) -> Mono:
    """Play notes of any number at once; returns ``float32 (samples,)``.

    Each pitch is synthesised once, as long as its longest note; every note has its own amplitude envelope.
    """
    out = np.zeros(n_samples, dtype=np.float32)
    longest: dict[int, float] = {}
    for note in notes:
        longest[note.pitch] = max(longest.get(note.pitch, 0.0), note.end - note.seconds)
    endless = replace(patch, attack=1e-4, sustain=1.0)
    sounds = {
        pitch: voice(endless, Tone(hertz=hertz_of(pitch), seconds=seconds + patch.release), rng)
        for pitch, seconds in sorted(longest.items())
    }
    for note in notes:
        start, held = round(note.seconds * SAMPLE_RATE), note.end - note.seconds
        length = min(int((held + patch.release) * SAMPLE_RATE), n_samples - start)
        if length <= 0:
            continue
        sound = sounds[note.pitch][:length]
        gain = envelope(patch, held, np.arange(len(sound)) / SAMPLE_RATE) * (note.velocity / LOUD_VELOCITY)
        out[start : start + len(sound)] += sound * gain.astype(np.float32)
    return out
