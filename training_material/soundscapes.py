"""Effects as a film has them: a bed under events, some synthesised, some recorded, with gaps of silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from training.augment.room import decaying_noise, reverberated
from training.data.stems import SPOOL_SUFFIX, write_stem
from training_material.foley import BEDS, EVENTS, Generator, Mono, log_uniform
from training_material.recordings import at_speed, read_mono, recordings_in

logger = logging.getLogger(__name__)

BED_CHANCE = 0.65
RECORDED_CHANCE = 0.5
"""Share of events that are recordings, where there are any."""

EVENTS_A_SECOND = (0.08, 0.9)
EVENT_SECONDS = (0.3, 5.0)
LONGEST_RECORDING_SECONDS = 8.0
FADE_SECONDS = 0.01
EVENT_SPREAD_DB = 6.0
BED_BELOW_EVENTS_DB = (4.0, 24.0)
PEAK = 0.5
GENERATORS: dict[str, Generator] = {generator.__name__: generator for generator in (*EVENTS, *BEDS)}


def soundscape(
    rng: np.random.Generator, n_samples: int, recordings: Sequence[Mono], generators: Sequence[Generator]
) -> Waveform:
    """``float32 (2, n_samples)`` with a peak of one half.

    Args:
        rng: of everything drawn.
        n_samples: its length.
        recordings: short mono sounds at 44.1 kHz; may be none.
        generators: which synthesised sounds may occur.
    """
    events = [generator for generator in generators if generator in EVENTS]
    beds = [generator for generator in generators if generator in BEDS]
    scape = np.zeros((2, n_samples))
    for _ in range(rng.poisson(log_uniform(rng, *EVENTS_A_SECOND) * n_samples / SAMPLE_RATE)):
        if recordings and (not events or rng.random() < RECORDED_CHANCE):
            sound = _retold(rng, recordings[int(rng.integers(len(recordings)))])
        elif events:
            sound = events[int(rng.integers(len(events)))](rng, int(log_uniform(rng, *EVENT_SECONDS) * SAMPLE_RATE))
        else:
            break
        start = int(rng.integers(0, n_samples))
        sound = _faded(_levelled(sound))[: n_samples - start] * 10.0 ** (rng.normal(0.0, EVENT_SPREAD_DB) / 20.0)
        scape[:, start : start + len(sound)] += _placed(rng, sound)
    if beds and (not scape.any() or rng.random() < BED_CHANCE):
        bed = beds[int(rng.integers(len(beds)))](rng, n_samples)
        scape += _widened(rng, _levelled(bed)) * 10.0 ** (-rng.uniform(*BED_BELOW_EVENTS_DB) / 20.0)
    return np.asarray(scape * (PEAK / max(1e-9, float(np.abs(scape).max()))), dtype=np.float32)


def _retold(rng: np.random.Generator, recording: Mono) -> Mono:
    """At another speed, now and then backwards."""
    sound = at_speed(recording[: int(LONGEST_RECORDING_SECONDS * SAMPLE_RATE)], 2.0 ** rng.uniform(-0.8, 0.6))
    return sound[::-1] if rng.random() < 0.1 else sound


def _levelled(sound: Mono) -> Mono:
    """Brought to unit power over the loudest tenth of its samples, so that short and long sounds are as loud."""
    loudest = np.sort(sound * sound)[-max(1, len(sound) // 10) :]
    return sound / max(1e-9, float(np.sqrt(loudest.mean())))


def _faded(sound: Mono) -> Mono:
    n_fade = min(int(FADE_SECONDS * SAMPLE_RATE), len(sound) // 4)
    faded = sound.copy()
    if n_fade:
        faded[-n_fade:] *= np.linspace(1.0, 0.0, n_fade)
    return faded


def _placed(rng: np.random.Generator, sound: Mono) -> npt.NDArray[np.float64]:
    """Between the sides, now and then moving from one to the other; of constant power."""
    place = rng.normal(0.5, 0.2)
    way = np.linspace(place, rng.random(), len(sound)) if rng.random() < 0.2 else np.full(len(sound), place)
    angle = np.clip(way, 0.0, 1.0) * np.pi / 2.0
    return np.stack((np.cos(angle), np.sin(angle))) * sound


def _widened(rng: np.random.Generator, bed: Mono) -> Waveform:
    """On both sides, and different on each by a short tail."""
    both = np.tile(bed, (2, 1)).astype(np.float32)
    tail = decaying_noise(int(rng.uniform(0.005, 0.08) * SAMPLE_RATE), rng)
    return np.asarray((1.0 - (width := rng.random())) * both + width * reverberated(both, tail), dtype=np.float32)


def generators_named(names: Sequence[str]) -> list[Generator]:
    """Sounds by name.

    Raises:
        InputError: there is none of a name.
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
    """Writes ``collection/scape-<n>/effect.npy``; number n follows from the seed and n, and what is there is kept.

    Args:
        folders: of recordings; may be none.
        collection: folder to write to.
        sounds: names of synthesised sounds that may occur.
        seed: of everything drawn.
        n_scapes: how many there are to be.
        seconds: length of each.

    Returns:
        Soundscapes that are there now.

    Raises:
        InputError: a folder holds no recording, a sound has no such name, or there is neither recording nor sound.
    """
    generators = generators_named(sounds)
    recordings = [mono for folder in folders for path in recordings_in(folder) if (mono := read_mono(path)).any()]
    if not generators and not recordings:
        raise InputError("there is neither a recording nor a sound to make", hint="name a folder or a sound")
    n_there = 0
    for index in range(n_scapes):
        folder = collection / f"scape-{index:03d}"
        is_there = (folder / f"effect{SPOOL_SUFFIX}").is_file()
        if not is_there:
            rng = np.random.default_rng([seed, index])
            scape = soundscape(rng, int(seconds * SAMPLE_RATE), recordings, generators)
            is_there = write_stem(folder, "effect", np.rint(scape.T * 32_767).astype(np.int16))
            logger.info("%s", folder.name)
        n_there += is_there
    return n_there
