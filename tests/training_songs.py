"""Synthetic songs that a small network can tell apart, as folders of stems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import MUSIC_SOURCES, Waveform
from training.data.stems import write_stem

SECONDS = 4.0


def synthetic_stem(source: str, seed: int, seconds: float = SECONDS) -> Waveform:
    """A low tone, clicks, mid tones, or a gliding high tone: ``float32 (2, samples)``."""
    rng = np.random.default_rng([seed, MUSIC_SOURCES.index(source)])
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    if source == "bass":
        mono = np.sin(2 * np.pi * rng.uniform(60, 110) * time)
    elif source == "drums":
        beat = (time * rng.uniform(3.0, 5.0)) % 1.0
        mono = rng.normal(size=time.size) * np.exp(-40 * beat)
    elif source == "other":
        mono = sum(np.sin(2 * np.pi * rng.uniform(300, 800) * time + k) for k in range(4)) / 2
    else:
        mono = np.sin(2 * np.pi * 2500 * time + 40 * np.sin(2 * np.pi * rng.uniform(4, 7) * time))
    return np.asarray(0.2 * np.stack((mono, 0.7 * mono)), dtype=np.float32)


def write_spooled_songs(collection: Path, seeds: Sequence[int], seconds: float = SECONDS) -> Path:
    """Songs of four spooled stems, named ``song<seed>``."""
    for seed in seeds:
        for source in MUSIC_SOURCES:
            pcm = np.rint(synthetic_stem(source, seed, seconds).T * 32767).astype(np.int16)
            write_stem(collection / f"song{seed}", source, pcm)
    return collection


def write_audio_song(
    folder: Path,
    sources: Sequence[str],
    *,
    seed: int = 0,
    suffix: str = "wav",
    seconds: float = 1.0,
    rate: int = SAMPLE_RATE,
) -> Path:
    """One song folder of audio files."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        soundfile.write(folder / f"{source}.{suffix}", synthetic_stem(source, seed, seconds).T, rate)
    return folder
