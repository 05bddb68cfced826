"""Fitting of a Mixer to separated songs, its scores on held-out songs, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from my_submission.files.part_files import written_whole
from my_submission.mechanisms.mixer import SUBMISSION_KEY
from training.data.songs import TrainingSong
from training.data.splits import expanded
from training.phase2.closed_form import choose_ridge, fit_mixer
from training.phase2.descent import DescentSettings, descend
from training.phase2.objective import AS_PUBLISHED, SONGS_EQUAL, Objective
from training.phase2.separated import SeparatedSong
from training.phase2.statistics import MixerStatistics, mean_sdr, total, unchanged
from training.settings.strict import SettingsError

NamedSong = TypeVar("NamedSong", TrainingSong, SeparatedSong)
Method = Literal["closed-form", "rmsprop"]


@dataclass(frozen=True, kw_only=True)
class MixerSettings:
    """Settings of phase 2.

    Attributes:
        method: ``closed-form`` is a cross-validated ridge regression, ``rmsprop`` the published descent.
        objective: weights of the songs; by default, the published descent weighs all samples equally, the closed form
            all songs.
        ridges: candidates for the ridge parameter; the last one gives practically the identity.
        window_samples: samples per window; 261 120 less 8192 at each side, as published.
        descent: settings of the method rmsprop.
        held_out: names of songs that are scored but not fitted to; ``musdb18`` stands for its 14.
        licence: licence of the Mixer, for the manifest.
    """

    method: Method = "closed-form"
    objective: Objective | None = None
    ridges: tuple[float, ...] = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 1000.0)
    window_samples: int = 261_120 - 2 * 8_192
    descent: DescentSettings = field(default_factory=DescentSettings)
    held_out: tuple[str, ...] = ()
    licence: str = "unpublished"

    def __post_init__(self) -> None:
        if self.window_samples < 1 or not self.ridges or min(self.ridges) < 0.0:
            raise ValueError("window_samples must be positive, ridges must be given and not negative")

    @property
    def held_out_songs(self) -> frozenset[str]:
        """Names of held-out songs, with list names expanded."""
        return expanded(self.held_out)

    def objective_of(self, method: Method) -> Objective:
        """Return the objective of a method."""
        return self.objective or {"closed-form": SONGS_EQUAL, "rmsprop": AS_PUBLISHED}[method]


@dataclass(frozen=True)
class FittedMixer:
    """A Mixer and its scores.

    Attributes:
        matrix: the Mixer, ``float32 (8, 10)``.
        ridge: chosen ridge parameter; None for the descent.
        without_db: mean global SDR per source without the Mixer, over the scored songs.
        with_db: mean global SDR per source with the Mixer.
        scored: names of the scored songs.
        is_held_out: whether the scored songs were held out.
    """

    matrix: npt.NDArray[np.float32]
    ridge: float | None
    without_db: dict[str, float]
    with_db: dict[str, float]
    scored: tuple[str, ...]
    is_held_out: bool


def fit(songs: Sequence[SeparatedSong], settings: MixerSettings) -> FittedMixer:
    """Fit a Mixer to the songs that are not held out, and score it on the held-out ones, or on all if there are none.

    Raises:
        SettingsError: no song is left to fit to.
    """
    fitted, scored = divided(songs, settings)
    fitted_moments = [total(song.windows) for song in fitted]
    scored_moments = [total(song.windows) for song in scored]
    ridge = None
    if settings.method == "rmsprop":
        is_converged = settings.descent.tolerance is not None
        matrix = fit_by_descent(fitted, settings, settings.descent, validation=() if is_converged else scored_moments)
    else:
        ridge, matrix = fit_by_ridge(fitted, settings)
    return FittedMixer(
        matrix,
        ridge,
        mean_sdr(song.sdr(unchanged()) for song in scored_moments or fitted_moments),
        mean_sdr(song.sdr(matrix) for song in scored_moments or fitted_moments),
        tuple(song.name for song in (scored or fitted)),
        bool(scored),
    )


def divided(
    songs: Sequence[NamedSong], settings: MixerSettings, *, needs_held_out: bool = False
) -> tuple[list[NamedSong], list[NamedSong]]:
    """Split songs into those to fit to and held-out ones.

    Raises:
        SettingsError: there is no song to fit to, or no held-out song although it is needed.
    """
    held_out = settings.held_out_songs
    fitted = [song for song in songs if song.name not in held_out]
    scored = [song for song in songs if song.name in held_out]
    if not fitted:
        raise SettingsError("every song is held out, none is left to fit the Mixer to", hint="shorten held_out")
    if needs_held_out and not scored:
        raise SettingsError("no song is held out to compare on", hint='add held_out=["NAME"] with the name of a song')
    return fitted, scored


def fit_by_descent(
    songs: Sequence[SeparatedSong],
    settings: MixerSettings,
    descent: DescentSettings,
    *,
    validation: Sequence[MixerStatistics] = (),
) -> npt.NDArray[np.float32]:
    """Return the Mixer ``float32 (8, 10)`` of a descent over the songs' windows."""
    windows = settings.objective_of("rmsprop").windows([song.windows for song in songs])
    return descend(windows, descent, validation=validation)


def fit_by_ridge(songs: Sequence[SeparatedSong], settings: MixerSettings) -> tuple[float, npt.NDArray[np.float32]]:
    """Return the cross-validated ridge, or the middle candidate for a single song, and its Mixer."""
    fitted_moments, objective = [total(song.windows) for song in songs], settings.objective_of("closed-form")
    ridge = settings.ridges[len(settings.ridges) // 2]
    if len(songs) > 1:
        ridge = choose_ridge(fitted_moments, settings.ridges, objective=objective).ridge
    return ridge, fit_mixer(fitted_moments, ridge=ridge, objective=objective)


def save_mixer(matrix: npt.NDArray[np.float32], path: Path) -> None:
    """Write a Mixer in the published format, a torch zip with the key ``linear.weight``."""
    with written_whole(path) as partial, partial.open("wb") as file:
        torch.save({SUBMISSION_KEY: torch.from_numpy(np.ascontiguousarray(matrix))}, file)
