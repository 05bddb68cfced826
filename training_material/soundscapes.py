"""Film soundscapes: synthesised and recorded sound events over a background sound, with silence between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.room import decaying_noise, reverberated
from training.data.stems import Pcm
from training_material.foley import BACKGROUNDS, EVENTS, SoundGenerator, log_uniform
from training_material.recordings import Mono, at_speed, read_mono, recordings_in
from training_material.stem_writer import write_missing

BACKGROUND_PROBABILITY = 0.65
RECORDING_PROBABILITY = 0.5
"""Probability that an event is a recording, if there are any."""

EVENTS_PER_SECOND = (0.08, 0.9)
EVENT_SECONDS = (0.3, 5.0)
MAX_RECORDING_SECONDS = 8.0
FADE_SECONDS = 0.01
EVENT_DEVIATION_DB = 6.0
BACKGROUND_ATTENUATION_DB = (4.0, 24.0)
PEAK = 0.5
GENERATORS: dict[str, SoundGenerator] = {generator.__name__: generator for generator in (*EVENTS, *BACKGROUNDS)}


def soundscape(
    rng: np.random.Generator, n_samples: int, recordings: Sequence[Mono], generators: Sequence[SoundGenerator]
) -> Waveform:
    """Return a random soundscape, ``float32 (2, n_samples)`` with a peak of 0.5.

    Args:
        rng: random number generator.
        n_samples: length of the soundscape.
        recordings: short mono sounds at 44.1 kHz; may be empty.
        generators: synthesised sounds to choose from; may be empty.
    """
    events = [generator for generator in generators if generator in EVENTS]
    backgrounds = [generator for generator in generators if generator in BACKGROUNDS]
    scape = np.zeros((2, n_samples))
    for _ in range(rng.poisson(log_uniform(rng, *EVENTS_PER_SECOND) * n_samples / SAMPLE_RATE)):
        if recordings and (not events or rng.random() < RECORDING_PROBABILITY):
            sound = _varied(rng, recordings[int(rng.integers(len(recordings)))])
        elif events:
            sound = events[int(rng.integers(len(events)))](rng, int(log_uniform(rng, *EVENT_SECONDS) * SAMPLE_RATE))
        else:
            break
        start = int(rng.integers(0, n_samples))
        sound = _faded_out(_normalised(sound))[: n_samples - start]
        sound = sound * 10.0 ** (rng.normal(0.0, EVENT_DEVIATION_DB) / 20.0)
        scape[:, start : start + len(sound)] += _panned(rng, sound)
    if backgrounds and (not scape.any() or rng.random() < BACKGROUND_PROBABILITY):
        background = backgrounds[int(rng.integers(len(backgrounds)))](rng, n_samples)
        scape += _widened(rng, _normalised(background)) * 10.0 ** (-rng.uniform(*BACKGROUND_ATTENUATION_DB) / 20.0)
    return np.asarray(scape * (PEAK / max(1e-9, float(np.abs(scape).max()))), dtype=np.float32)


def _varied(rng: np.random.Generator, recording: Mono) -> Mono:
    """Play a recording at a random speed, sometimes backwards."""
    sound = at_speed(recording[: int(MAX_RECORDING_SECONDS * SAMPLE_RATE)], 2.0 ** rng.uniform(-0.8, 0.6))
    return sound[::-1] if rng.random() < 0.1 else sound


def _normalised(sound: Mono) -> Mono:
    """Scale to unit power over the loudest tenth of the samples, so that short and long sounds are equally loud."""
    loudest = np.sort(sound * sound)[-max(1, len(sound) // 10) :]
    return sound / max(1e-9, float(np.sqrt(loudest.mean())))


def _faded_out(sound: Mono) -> Mono:
    n_fade = min(int(FADE_SECONDS * SAMPLE_RATE), len(sound) // 4)
    faded = sound.copy()
    if n_fade:
        faded[-n_fade:] *= np.linspace(1.0, 0.0, n_fade)
    return faded


def _panned(rng: np.random.Generator, sound: Mono) -> npt.NDArray[np.float64]:
    """Pan to a random position with constant power; some sounds move."""
    first = rng.normal(0.5, 0.2)
    position = np.linspace(first, rng.random(), len(sound)) if rng.random() < 0.2 else np.full(len(sound), first)
    angle = np.clip(position, 0.0, 1.0) * np.pi / 2.0
    return np.stack((np.cos(angle), np.sin(angle))) * sound


def _widened(rng: np.random.Generator, mono: Mono) -> Waveform:
    """Make mono stereo by a short reverb tail that differs between the channels."""
    both = np.tile(mono, (2, 1)).astype(np.float32)
    tail = decaying_noise(int(rng.uniform(0.005, 0.08) * SAMPLE_RATE), rng)
    return np.asarray((1.0 - (width := rng.random())) * both + width * reverberated(both, tail), dtype=np.float32)


def generators_named(names: Sequence[str]) -> list[SoundGenerator]:
    """Return synthesised sounds by name.

    Raises:
        InputError: a name is unknown.
    """
    if unknown := [name for name in names if name not in GENERATORS]:
        raise InputError(f"there is no sound {', '.join(unknown)}", hint=f"use {', '.join(GENERATORS)}")
    return [GENERATORS[name] for name in names]


def write_soundscapes(
    folders: Sequence[Path],
    collection: Path,
    *,
    sounds: Sequence[str],
    seed: int,
    n_scapes: int,
    seconds: float,
) -> int:
    """Write ``collection/scape-<n>/effect.npy``; number n depends only on the seed and n; existing ones are kept.

    Args:
        folders: folders of recordings; may be empty.
        collection: output folder.
        sounds: names of the synthesised sounds to choose from.
        seed: seed of all random numbers.
        n_scapes: number of soundscapes.
        seconds: length of each.

    Returns:
        Number of soundscapes that exist now.

    Raises:
        InputError: a folder contains no recording, a sound is unknown, or there is neither a recording nor a sound.
    """
    generators = generators_named(sounds)
    recordings = [mono for folder in folders for path in recordings_in(folder) if (mono := read_mono(path)).any()]
    if not generators and not recordings:
        raise InputError("there is neither a recording nor a synthesised sound", hint="name a folder or a sound")

    def make(index: int) -> Pcm:
        rng = np.random.default_rng([seed, index])
        scape = soundscape(rng, int(seconds * SAMPLE_RATE), recordings, generators)
        return np.asarray(np.rint(scape.T * 32_767).astype(np.int16))

    return sum(
        write_missing(collection / f"scape-{index:03d}", "effect", partial(make, index)) for index in range(n_scapes)
    )
