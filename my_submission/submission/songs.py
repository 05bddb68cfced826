"""Songs for a rehearsal: those of a data set, or a synthetic one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from my_submission.challenge.kit_folders import is_cinema, mixture_files, song_folders
from my_submission.challenge.tracks import Track
from terminal.names import system_name

RATE = 44_100
_BLOCK_SECONDS = 10


@dataclass(frozen=True)
class RehearsalSong:
    """A song of the rehearsal, named like its folder."""

    name: str
    samples: int
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.samples / self.sample_rate


def copy_songs(dataset: Path, track: Track, target: Path, *, only_longest: bool) -> list[RehearsalSong]:
    """Copy the mixtures of a data set into the rehearsal's folder ``target``.

    Raises:
        InputError: there are no songs.
    """
    songs = [_described(dataset / name, track) for name in song_folders(dataset, track)]
    chosen = [max(songs, key=lambda song: song.seconds)] if only_longest else songs
    for song in chosen:
        (target / song.name).mkdir(parents=True)
        for file in mixture_files(dataset / song.name, track):
            shutil.copy(file, target / song.name)
    return chosen


def make_song(track: Track, target: Path, seconds: float) -> list[RehearsalSong]:
    """Write one song of noise with a beat and a tone, so that no network finds silence."""
    name = f"synthetic, {seconds:g} s"
    folder = target / name
    folder.mkdir(parents=True)
    n_samples = max(1, round(seconds * RATE))
    path = folder / ("mix.wav" if is_cinema(track) else "mixture.wav")
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as file:
        for start in range(0, n_samples, _BLOCK_SECONDS * RATE):
            time = np.arange(start, min(start + _BLOCK_SECONDS * RATE, n_samples)) / RATE
            beat = np.exp(-8 * (time % 0.5))
            tone = np.sin(2 * np.pi * 220 * time)
            sides = rng.standard_normal((len(time), 2))
            file.write(0.1 * beat[:, None] * sides + 0.1 * tone[:, None])
    return [RehearsalSong(name, n_samples, RATE)]


def _described(folder: Path, track: Track) -> RehearsalSong:
    info = soundfile.info(system_name(mixture_files(folder, track)[0]))
    return RehearsalSong(folder.name, info.frames, info.samplerate)
