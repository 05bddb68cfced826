"""Synthesised electronic drums: sweeps, noise bursts and metallic squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from my_submission.geometry import SAMPLE_RATE
from training_material.midi import DrumNote
from training_material.synthesiser.basses import log_uniform
from training_material.synthesiser.oscillators import Mono, cycle_tables, looked_up
from training_material.synthesiser.signal_chain import driven, filtered

Stereo = npt.NDArray[np.float64]

METAL_HERTZ = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)
"""Six square oscillators of an analogue hi-hat circuit, at ratios that are not harmonic."""

TOM_HERTZ = {"low tom": 80.0, "mid tom": 120.0, "high tom": 170.0}
LEVELS_DB = {"kick": 3.0, "snare": 0.0, "rim": -3.0, "closed": -9.0, "pedal": -11.0, "open": -9.0, "bell": -10.0}
CYMBAL_DB = -8.0
TOM_DB = -3.0


def draw_kit(rng: np.random.Generator) -> dict[str, Stereo]:
    """Draw a kit: one sound ``(2, samples)`` per drum of the drum map, with a random level and position."""
    snare = _clap if rng.random() < 0.35 else _snare
    sounds = {"kick": _kick(rng), "snare": snare(rng), "rim": (_clap if rng.random() < 0.5 else _rim)(rng)}
    sounds |= {drum: _tom(hertz * float(rng.uniform(0.8, 1.3)), rng) for drum, hertz in TOM_HERTZ.items()}
    sounds["closed"] = _metal(rng, seconds=log_uniform(rng, 0.02, 0.08))
    sounds["pedal"] = _metal(rng, seconds=log_uniform(rng, 0.02, 0.06))
    sounds["open"] = _metal(rng, seconds=log_uniform(rng, 0.15, 0.5))
    sounds["bell"] = _bell(rng)
    sounds |= {drum: _metal(rng, seconds=log_uniform(rng, 0.4, 1.2)) for drum in ("crash", "splash", "ride")}
    kit = {}
    for drum, mono in sounds.items():
        decibels = LEVELS_DB.get(drum, TOM_DB if drum in TOM_HERTZ else CYMBAL_DB) + rng.normal(0.0, 2.0)
        right = 0.5 if drum in {"kick", "snare"} else float(np.clip(rng.normal(0.5, 0.12), 0.1, 0.9))
        level = 10.0 ** (decibels / 20.0) / max(1e-9, float(np.abs(mono).max()))
        kit[drum] = np.stack((mono * np.sqrt(1.0 - right), mono * np.sqrt(right))).astype(np.float64) * level
    return kit


def four_to_the_floor(beat: float, first: float, rng: np.random.Generator, *, seconds: float) -> list[DrumNote]:
    """Return a beat: kicks on every quarter, snares on every second, hats between."""
    notes = []
    hat_step = float(rng.choice([0.25, 0.5, 1.0]))
    for index, start in enumerate(np.arange(first, seconds, beat)):
        notes.append(DrumNote(float(start), 36, 110))
        if index % 2:
            notes.append(DrumNote(float(start), 38, 100))
        for place in np.arange(hat_step / 2 if hat_step == 1.0 else 0.0, 1.0, hat_step):
            is_offbeat = abs(place - 0.5) < 1e-6
            notes.append(DrumNote(float(start + place * beat), 46 if is_offbeat else 42, 100 if is_offbeat else 70))
    return [note for note in notes if note.seconds < seconds]


def kick_onsets(notes: Sequence[DrumNote]) -> list[float]:
    """Return the onsets of the kick drum in seconds."""
    return [note.seconds for note in notes if note.note in {35, 36}]


def _time(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _faded(wave: npt.NDArray[np.float64]) -> Mono:
    n_fade = min(len(wave), SAMPLE_RATE // 100)
    wave[len(wave) - n_fade :] *= np.linspace(1.0, 0.0, n_fade)
    return np.asarray(wave, dtype=np.float32)


def _sweep(high: float, low: float, fall: float, decay: float) -> npt.NDArray[np.float64]:
    """Return a sine that falls from one frequency to another and fades, both exponentially."""
    time = _time(decay * 6.0)
    frequency = low + (high - low) * np.exp(-time / fall)
    attack = np.minimum(1.0, time / 0.001)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE) * np.exp(-time / decay) * attack)


def _noise(seconds: float, band: tuple[float, float], rng: np.random.Generator) -> Mono:
    white = rng.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    return filtered(filtered(white, "highpass", band[0]), "lowpass", band[1])


def _kick(rng: np.random.Generator) -> Mono:
    kind = rng.random()
    decay = log_uniform(rng, *((0.05, 0.11) if kind < 0.55 else (0.11, 0.25) if kind < 0.9 else (0.25, 0.6)))
    wave = _sweep(float(rng.uniform(120.0, 500.0)), float(rng.uniform(36.0, 60.0)), log_uniform(rng, 0.01, 0.1), decay)
    click = _noise(0.02, (1500.0, 12_000.0), rng) * np.exp(-_time(0.02) / 0.003)
    wave[: len(click)] += float(rng.uniform(0.0, 0.5)) * click
    drive = float(rng.choice([0.0, rng.uniform(0.8, 6.0)]))
    return _faded(driven(wave.astype(np.float32), drive).astype(np.float64))


def _snare(rng: np.random.Generator) -> Mono:
    decay = log_uniform(rng, 0.05, 0.18)
    noise = _noise(decay * 6, (float(rng.uniform(300.0, 1500.0)), float(rng.uniform(5000.0, 14_000.0))), rng)
    wave = noise * np.exp(-_time(len(noise) / SAMPLE_RATE + 1e-6)[: len(noise)] / decay)
    hertz = float(rng.uniform(150.0, 260.0))
    tone = _sweep(hertz * 1.6, hertz, 0.01, log_uniform(rng, 0.03, 0.1))
    n_samples = max(len(wave), len(tone))
    total = np.zeros(n_samples)
    total[: len(wave)] += wave / max(1e-9, float(np.abs(wave).max()))
    total[: len(tone)] += float(rng.uniform(0.2, 1.0)) * tone
    return _faded(total)


def _clap(rng: np.random.Generator) -> Mono:
    decay = log_uniform(rng, 0.05, 0.2)
    time = _time(decay * 5 + 0.05)
    gain = np.zeros(len(time))
    gaps = np.cumsum(rng.uniform(0.007, 0.014, 3))
    for start in (0.0, *gaps[:2]):
        gain += np.where(time >= start, np.exp(-(time - start) / 0.004), 0.0)
    gain += np.where(time >= gaps[2], np.exp(-(time - gaps[2]) / decay), 0.0)
    hertz = float(rng.uniform(800.0, 1600.0))
    return _faded(_noise(len(time) / SAMPLE_RATE + 1e-6, (hertz * 0.7, hertz * 3.0), rng)[: len(time)] * gain)


def _rim(rng: np.random.Generator) -> Mono:
    return _faded(_sweep(float(rng.uniform(1500.0, 2600.0)), float(rng.uniform(400.0, 1700.0)), 0.002, 0.012))


def _tom(hertz: float, rng: np.random.Generator) -> Mono:
    return _faded(_sweep(hertz * float(rng.uniform(1.3, 2.2)), hertz, 0.05, log_uniform(rng, 0.08, 0.25)))


def _metal(rng: np.random.Generator, *, seconds: float) -> Mono:
    """Return high-passed squares and noise that fade with a time constant."""
    time = _time(seconds * 5)
    scale = float(rng.uniform(0.9, 2.0))
    squares = np.zeros(len(time), dtype=np.float32)
    for hertz in METAL_HERTZ:
        squares += looked_up(cycle_tables("pulse", hertz * scale, None), time * hertz * scale + rng.random(), None)
    noise = rng.standard_normal(len(time)).astype(np.float32) * 3.0
    share = float(rng.uniform(0.1, 1.0))
    wave = filtered((1.0 - share) * squares + share * noise, "highpass", float(rng.uniform(4000.0, 9000.0)), order=4)
    return _faded((wave * np.exp(-time / seconds) * np.minimum(1.0, time / 0.0005)).astype(np.float64))


def _bell(rng: np.random.Generator) -> Mono:
    time = _time(0.5)
    low = 540.0 * float(rng.uniform(0.8, 1.3))
    waves = [looked_up(cycle_tables("pulse", hertz, None), time * hertz, None) for hertz in (low, low * 1.48)]
    return _faded(((waves[0] + waves[1]) * np.exp(-time / 0.1)).astype(np.float64))
