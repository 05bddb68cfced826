"""Folders of the 2023 kits: mixtures in all of their forms, and stems under the kits' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from my_submission.audio_io import folder_name
from my_submission.challenge.tracks import Track
from my_submission.errors import InputError
from my_submission.stems import CINEMA_SOURCES
from terminal.names import system_name

Sound = tuple[npt.NDArray[np.float64], int]
"""float64 (samples, 2) and its sample rate in Hz."""


def song_folders(dataset: Path, track: Track) -> list[str]:
    """Return the names of the folders that contain a mixture of the track, sorted; other files are ignored.

    Raises:
        InputError: the folder is missing or has no song.
    """
    if not dataset.is_dir():
        raise InputError("there is no such folder of songs", where=dataset, hint="set AICROWD_DATASET_DIR")
    names = sorted(folder.name for folder in dataset.iterdir() if folder.is_dir() and mixture_files(folder, track))
    if not names:
        wanted = "mix.wav or <song>_mixture_Lt.wav and <song>_mixture_Rt.wav" if is_cinema(track) else "mixture.wav"
        raise InputError("no songs here", where=dataset, hint=f"put each song into a folder of its own, as {wanted}")
    return names


def mixture_files(folder: Path, track: Track) -> tuple[Path, ...]:
    """Return the file of the mixture, or its left and right files; empty if there is none.

    Two files of a cinema mixture take precedence over a whole one, as in the kit.
    """
    split = tuple(folder / f"{folder.name}_mixture_{side}.wav" for side in ("Lt", "Rt"))
    if is_cinema(track) and all(path.is_file() for path in split):
        return split
    whole = folder / ("mix.wav" if is_cinema(track) else "mixture.wav")
    return (whole,) if whole.is_file() else ()


def read_mixture(folder: Path, track: Track) -> Sound:
    """Read the mixture of a song; mono is doubled.

    Raises:
        InputError: it is missing, unreadable, of too many channels, or its halves differ in length or rate.
    """
    files = mixture_files(folder, track)
    if not files:
        raise InputError("there is no mixture", where=folder, hint="add one with the starter kit's file name")
    sounds = [_read(path) for path in files]
    if len(sounds) == 2:
        (left, left_rate), (right, right_rate) = sounds
        if left.shape != right.shape or left_rate != right_rate or left.shape[1] != 1:
            found = f"{left.shape} at {left_rate} Hz and {right.shape} at {right_rate} Hz"
            raise InputError(f"the two halves of the mixture do not match ({found})", where=folder, hint="replace them")
        return np.concatenate([left, right], axis=1), left_rate
    sound, rate = sounds[0]
    if sound.shape[1] > 2:
        raise InputError(f"has {sound.shape[1]} channels", where=files[0], hint="mix it down to two")
    return (np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound), rate


def stem_path(predictions: Path, song: str, instrument: str, track: Track) -> Path:
    """Return the kit's path of a stem: ``<song>/<instrument>.wav``, for cinema ``<song>/<song>_<instrument>.wav``."""
    return predictions / song / (f"{song}_{instrument}.wav" if is_cinema(track) else f"{instrument}.wav")


def write_stems(
    predictions: Path, song: str, track: Track, stems: Mapping[str, npt.NDArray[Any]], rates: Mapping[str, int]
) -> None:
    """Write every stem as 16-bit PCM, as the challenge scored them.

    Args:
        predictions: folder of all songs' stems.
        song: name of its folder, created if missing.
        track: gives the file names.
        stems: instrument to (samples, channels).
        rates: instrument to its sample rate in Hz.

    Raises:
        InputError: the name of the song is not that of a folder here.
    """
    require_plain_name(song)
    (predictions / song).mkdir(exist_ok=True)
    for instrument, stem in stems.items():
        path = stem_path(predictions, song, instrument, track)
        soundfile.write(system_name(path), stem, rates[instrument], subtype="PCM_16")


def require_plain_name(song: str) -> None:
    """Raise if a song's folder would not be in the folder of its data set or predictions.

    Raises:
        InputError: the name has separators, or is not a name.
    """
    if folder_name(song) != song:
        raise InputError(f"{song!r} is not the name of a folder of songs", hint="give the name of one folder")


def is_cinema(track: Track) -> bool:
    """Whether the track separates film sound."""
    return track.sources == CINEMA_SOURCES


def _read(path: Path) -> Sound:
    try:
        sound, rate = soundfile.read(system_name(path), always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"cannot be read ({error.error_string})", where=path, hint="replace the file") from error
    return sound, int(rate)
