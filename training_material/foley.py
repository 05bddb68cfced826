"""Synthesised sound effects: short events and continuous backgrounds made from noise and sines.

They contain no recordings, so networks trained on them need no licence. They share with real sounds only what a
network can recognise them by: attacks, frequency bands, rates and decays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.signal

from my_submission.geometry import SAMPLE_RATE
from training_material.recordings import Mono

Rng = np.random.Generator
SoundGenerator = Callable[[Rng, int], Mono]
"""Function of a random number generator and a number of samples; returns ``(n_samples,)`` at 44.1 kHz."""

MAX_HZ = 18_000.0


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw uniformly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def coloured(rng: Rng, n_samples: int, slope_db: float) -> Mono:
    """Return noise of unit power whose spectrum falls by ``slope_db`` per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    rank = np.maximum(np.arange(len(spectrum)), max(1.0, 20.0 * n_samples / SAMPLE_RATE))  # flat below 20 Hz
    shaped = np.fft.irfft(spectrum * rank ** (-slope_db / (20.0 * np.log10(2.0))), n_samples)
    return np.asarray(shaped / max(1e-12, float(np.sqrt(np.mean(shaped**2)))))


def band(noise: Mono, low_hz: float, high_hz: float, order: int = 2) -> Mono:
    """Band-pass filter between two frequencies, which are limited to 18 kHz and kept apart."""
    high_hz = min(high_hz, MAX_HZ)
    edges = (min(max(low_hz, 10.0), high_hz / 1.2), high_hz)
    sections = scipy.signal.butter(order, edges, "bandpass", fs=SAMPLE_RATE, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, noise))


def wander(rng: Rng, n_samples: int, seconds: float) -> Mono:
    """Return a random curve between 0 and 1 with a new value about every ``seconds``."""
    n_points = int(n_samples / SAMPLE_RATE / seconds) + 4
    points = np.linspace(0.0, n_samples, n_points)
    return np.asarray(np.interp(np.arange(n_samples), points, rng.random(n_points)))


def decay(n_samples: int, seconds: float) -> Mono:
    """Return an envelope that falls by 60 dB in ``seconds``."""
    return np.asarray(np.exp(-6.9 * np.arange(n_samples) / SAMPLE_RATE / seconds))


def resonance(rng: Rng, n_samples: int, *, n_modes: int, low_hz: float, high_hz: float, seconds: float) -> Mono:
    """Return decaying sines of random frequencies, high ones decaying faster, as of a struck hard object."""
    time = np.arange(n_samples) / SAMPLE_RATE
    frequencies = np.exp(rng.uniform(np.log(low_hz), np.log(min(high_hz, MAX_HZ)), n_modes))
    rates = 6.9 / seconds * (frequencies / frequencies.min()) ** rng.uniform(0.2, 0.8)
    gains = rng.normal(size=n_modes)
    return np.asarray(
        sum(
            gain * np.exp(-rate * time) * np.sin(2.0 * np.pi * hz * time)
            for gain, rate, hz in zip(gains, rates, frequencies, strict=True)
        )
    )


def repeated(rng: Rng, n_samples: int, sound: Mono, *, rate_hz: float, jitter: float) -> Mono:
    """Repeat a short sound at an almost constant rate and level."""
    train = np.zeros(n_samples)
    at = 0.0
    while at < n_samples:
        train[int(at)] = 10.0 ** (rng.normal(0.0, 3.0) / 20.0)
        at += SAMPLE_RATE / rate_hz * max(0.1, 1.0 + rng.normal(0.0, jitter))
    return np.asarray(scipy.signal.fftconvolve(train, sound)[:n_samples])


def impact(rng: Rng, n_samples: int) -> Mono:
    """Fall, hit or slam."""
    low = log_uniform(rng, 50.0, 900.0)
    seconds = log_uniform(rng, 0.08, 1.5)
    ring = resonance(rng, n_samples, n_modes=int(rng.integers(4, 20)), low_hz=low, high_hz=low * 12.0, seconds=seconds)
    thud = band(rng.standard_normal(n_samples), 40.0, log_uniform(rng, 400.0, 8_000.0))
    return np.asarray(ring / 3.0 + rng.uniform(0.3, 3.0) * thud * decay(n_samples, log_uniform(rng, 0.03, 0.3)))


def explosion(rng: Rng, n_samples: int) -> Mono:
    """Boom with a long dull tail."""
    seconds = log_uniform(rng, 1.0, 6.0)
    roar = coloured(rng, n_samples, rng.uniform(4.0, 8.0)) * decay(n_samples, seconds)
    crack = band(rng.standard_normal(n_samples), 80.0, 9_000.0) * decay(n_samples, rng.uniform(0.1, 0.5))
    return np.asarray(roar + rng.uniform(0.2, 1.0) * crack)


def shot(rng: Rng, n_samples: int) -> Mono:
    """Gunshot with an optional echo."""
    burst = band(rng.standard_normal(n_samples), log_uniform(rng, 100.0, 500.0), 16_000.0)
    burst = burst * decay(n_samples, log_uniform(rng, 0.06, 0.5))
    late = int(rng.uniform(0.08, 0.5) * SAMPLE_RATE)
    if late < n_samples:
        burst[late:] += rng.uniform(0.0, 0.4) * band(burst, 100.0, 3_000.0)[: n_samples - late]
    return burst


def whoosh(rng: Rng, n_samples: int) -> Mono:
    """Noise band that rises or falls while it swells."""
    low, high = sorted((log_uniform(rng, 80.0, 2_000.0), log_uniform(rng, 500.0, 8_000.0)))
    noise = rng.standard_normal(n_samples)
    position = np.linspace(0.0, 1.0, n_samples) if rng.random() < 0.5 else np.linspace(1.0, 0.0, n_samples)
    swell = np.sin(np.pi * np.linspace(0.0, 1.0, n_samples) ** rng.uniform(0.5, 2.0)) ** 2
    return np.asarray(
        (band(noise, low, 2.0 * low) * (1.0 - position) + band(noise, high, 2.0 * high) * position) * swell
    )


def steps(rng: Rng, n_samples: int) -> Mono:
    """Footsteps, walking or running."""
    n_step = int(0.25 * SAMPLE_RATE)
    sole = band(rng.standard_normal(n_step), log_uniform(rng, 60.0, 600.0), log_uniform(rng, 1_000.0, 8_000.0))
    return repeated(
        rng, n_samples, sole * decay(n_step, log_uniform(rng, 0.03, 0.2)), rate_hz=rng.uniform(1.4, 3.5), jitter=0.05
    )


def rattle(rng: Rng, n_samples: int) -> Mono:
    """Keys, tools or typing: irregular clicks."""
    click = resonance(rng, 4_000, n_modes=8, low_hz=log_uniform(rng, 500.0, 4_000.0), high_hz=14_000.0, seconds=0.05)
    return repeated(rng, n_samples, click, rate_hz=log_uniform(rng, 4.0, 25.0), jitter=0.6)


def glass(rng: Rng, n_samples: int) -> Mono:
    """Breaking glass."""
    sound = np.zeros(n_samples)
    for _ in range(int(rng.integers(8, 40))):
        at = int(min(rng.exponential(0.12), 0.9 * n_samples / SAMPLE_RATE) * SAMPLE_RATE)
        piece = resonance(
            rng, n_samples - at, n_modes=4, low_hz=1_500.0, high_hz=14_000.0, seconds=rng.uniform(0.05, 0.4)
        )
        sound[at:] += piece * rng.random()
    return sound


def creak(rng: Rng, n_samples: int) -> Mono:
    """Creaking wood or hinge: slips at a varying rate."""
    rate = log_uniform(rng, 20.0, 120.0) * 2.0 ** (2.0 * wander(rng, n_samples, 0.3) - 1.0)
    slips = np.diff(np.floor(np.cumsum(rate) / SAMPLE_RATE), prepend=0.0) * rng.uniform(0.5, 1.0, n_samples)
    wood = resonance(rng, 3_000, n_modes=6, low_hz=log_uniform(rng, 200.0, 1_200.0), high_hz=5_000.0, seconds=0.04)
    return np.asarray(scipy.signal.fftconvolve(slips, wood)[:n_samples] * wander(rng, n_samples, 0.2))


def bubbles(rng: Rng, n_samples: int) -> Mono:
    """Bubbling water: short rising tones."""
    sound = np.zeros(n_samples)
    for _ in range(int(n_samples / SAMPLE_RATE * rng.uniform(5.0, 40.0))):
        n_blip = int(rng.uniform(0.01, 0.08) * SAMPLE_RATE)
        at = int(rng.integers(0, max(1, n_samples - n_blip)))
        time = np.arange(min(n_blip, n_samples - at)) / SAMPLE_RATE
        hz = log_uniform(rng, 300.0, 2_500.0) * (1.0 + rng.uniform(0.0, 4.0) * time)
        sound[at : at + len(time)] += np.sin(2.0 * np.pi * hz * time) * decay(len(time), 0.06) * rng.random()
    return sound


def signal_tone(rng: Rng, n_samples: int) -> Mono:
    """Alarm, telephone, siren or beep."""
    time = np.arange(n_samples) / SAMPLE_RATE
    hz, rate = log_uniform(rng, 300.0, 3_500.0), log_uniform(rng, 0.5, 20.0)
    swing = scipy.signal.sawtooth(2.0 * np.pi * rate * time, float(rng.choice([0.5, 1.0])))
    if rng.random() < 0.5:
        swing = np.sign(swing)
    pitch = hz * 2.0 ** (rng.choice([0.0, 0.2, 0.6]) * swing)
    phase = 2.0 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tone = np.sin(phase) if rng.random() < 0.5 else np.tanh(3.0 * np.sin(phase))
    is_on = (time * log_uniform(rng, 0.8, 8.0)) % 1.0 < rng.uniform(0.2, 1.0)
    return np.asarray(tone * is_on * 0.5)


def pass_by(rng: Rng, n_samples: int) -> Mono:
    """Passing vehicle with Doppler shift."""
    position = np.linspace(-1.0, 1.0, n_samples) * rng.uniform(1.0, 4.0)
    gain = 1.0 / np.sqrt(0.05 + position**2)
    warp = np.cumsum(1.0 - 0.06 * position / np.sqrt(0.05 + position**2))
    return np.asarray(np.interp(warp, np.arange(n_samples), engine(rng, n_samples)) * gain / gain.max())


def engine(rng: Rng, n_samples: int) -> Mono:
    """Engine: harmonics of a drifting low pitch with noise."""
    hz = log_uniform(rng, 18.0, 160.0) * 2.0 ** (rng.uniform(0.0, 1.0) * wander(rng, n_samples, rng.uniform(0.5, 4.0)))
    phase = 2.0 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    slope = rng.uniform(0.6, 1.6)
    tones = sum(np.sin(k * phase + rng.uniform(0, 6.28)) * rng.random() / k**slope for k in range(1, 25))
    noise = band(coloured(rng, n_samples, 3.0), 60.0, log_uniform(rng, 800.0, 6_000.0))
    return np.asarray(tones + rng.uniform(0.2, 1.5) * noise * (1.0 + 0.5 * np.sin(phase)))


def wind(rng: Rng, n_samples: int) -> Mono:
    """Wind: noise bands that swell independently."""
    noise = coloured(rng, n_samples, 3.0)
    centres = [log_uniform(rng, 80.0, 1_500.0) for _ in range(3)]
    return np.asarray(
        sum(band(noise, hz, 1.5 * hz) * wander(rng, n_samples, rng.uniform(0.5, 3.0)) ** 2 for hz in centres)
    )


def rain(rng: Rng, n_samples: int) -> Mono:
    """Rain: hiss and drops."""
    hiss = band(rng.standard_normal(n_samples), log_uniform(rng, 300.0, 2_000.0), log_uniform(rng, 5_000.0, 18_000.0))
    drop = resonance(rng, 1_500, n_modes=4, low_hz=800.0, high_hz=7_000.0, seconds=0.02)
    drops = repeated(rng, n_samples, drop, rate_hz=log_uniform(rng, 10.0, 80.0), jitter=0.8)
    return np.asarray(hiss * (0.6 + 0.4 * wander(rng, n_samples, 2.0)) + rng.uniform(0.0, 1.5) * drops)


def rumble(rng: Rng, n_samples: int) -> Mono:
    """Thunder, distant traffic or ship noise."""
    noise = band(coloured(rng, n_samples, 5.0), 25.0, log_uniform(rng, 120.0, 700.0))
    return np.asarray(noise * (0.3 + wander(rng, n_samples, rng.uniform(0.5, 4.0))))


def surf(rng: Rng, n_samples: int) -> Mono:
    """Waves on a beach."""
    noise = coloured(rng, n_samples, rng.uniform(1.0, 4.0))
    time = np.arange(n_samples) / SAMPLE_RATE
    swell = 0.5 + 0.5 * np.sin(2.0 * np.pi * time / rng.uniform(4.0, 9.0) + 3.0 * wander(rng, n_samples, 4.0))
    return np.asarray(noise * swell**2)


def hum(rng: Rng, n_samples: int) -> Mono:
    """Mains hum and ventilation."""
    time = np.arange(n_samples) / SAMPLE_RATE
    hz = float(rng.choice([50.0, 60.0, 100.0, 120.0]))
    tones = sum(np.sin(2.0 * np.pi * k * hz * time) * rng.random() / k for k in range(1, 12))
    return np.asarray(rng.uniform(0.0, 0.6) * tones + coloured(rng, n_samples, rng.uniform(2.0, 6.0)))


def insects(rng: Rng, n_samples: int) -> Mono:
    """Chirping insects."""
    time = np.arange(n_samples) / SAMPLE_RATE
    sound = 0.05 * coloured(rng, n_samples, 3.0)
    for _ in range(int(rng.integers(1, 5))):
        pulse = np.maximum(0.0, np.sin(2.0 * np.pi * rng.uniform(15.0, 45.0) * time)) ** 3
        phrase = (time * rng.uniform(0.5, 3.0) + rng.random()) % 1.0 < rng.uniform(0.2, 0.8)
        sound += np.sin(2.0 * np.pi * rng.uniform(2_500.0, 7_000.0) * time) * pulse * phrase * rng.random()
    return sound


EVENTS: tuple[SoundGenerator, ...] = (
    *(impact, explosion, shot, whoosh, steps, rattle, glass, creak, bubbles, signal_tone, pass_by),
)
BACKGROUNDS: tuple[SoundGenerator, ...] = (engine, wind, rain, rumble, surf, hum, insects)
