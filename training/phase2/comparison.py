"""Comparison of the methods that fit a Mixer, on held-out songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.phase2.closed_form import fit_mixer
from training.phase2.mixer import MixerSettings, divided, fit_by_descent, fit_by_ridge
from training.phase2.separated import SeparatedSong
from training.phase2.statistics import mean_sdr, total, unchanged

TOLERANCE = 1e-5
"""Default tolerance of the converged descent."""


@dataclass(frozen=True)
class ComparedMixer:
    """Scores of one method.

    Attributes:
        name: name of the method.
        sdr_db: mean global SDR per source over the held-out songs.
        excess: relative excess of the descent's objective over its minimum, on the fitted songs.
    """

    name: str
    sdr_db: dict[str, float]
    excess: float


@dataclass(frozen=True)
class MixerComparison:
    """Scores of all methods.

    Attributes:
        fitted: names of the songs fitted to.
        scored: names of the held-out songs.
        without: no Mixer.
        published: RMSprop for a number of epochs at a constant rate, last epoch.
        converged: RMSprop on full batches until convergence.
        closed_form: least squares with the descent's objective and no ridge, the limit of the descent.
        ridge: cross-validated ridge with the objective of the closed form.
    """

    fitted: tuple[str, ...]
    scored: tuple[str, ...]
    without: ComparedMixer
    published: ComparedMixer
    converged: ComparedMixer
    closed_form: ComparedMixer
    ridge: ComparedMixer

    @property
    def disagreement_db(self) -> float:
        """Maximum difference over sources between the converged descent and the closed form."""
        pairs = [(self.converged.sdr_db[source], sdr) for source, sdr in self.closed_form.sdr_db.items()]
        return max(abs(one - other) for one, other in pairs)


def compare(songs: Sequence[SeparatedSong], settings: MixerSettings) -> MixerComparison:
    """Fit all methods to the songs that are not held out, and score them on the held-out ones.

    Nothing is selected on the held-out songs, not even the best epoch.

    Raises:
        SettingsError: no song is held out, or all are.
    """
    fitted, scored = divided(songs, settings, needs_held_out=True)
    objective = settings.objective_of("rmsprop")
    fitted_moments = [total(song.windows) for song in fitted]
    least_squares = fit_mixer(fitted_moments, ridge=0.0, objective=objective)
    everything = total(objective.windows([song.windows for song in fitted]))
    least = float(everything.error_energy(least_squares).sum())

    def scores_of(name: str, matrix: npt.NDArray[np.float32]) -> ComparedMixer:
        sdr_db = mean_sdr(total(song.windows).sdr(matrix) for song in scored)
        return ComparedMixer(name, sdr_db, float(everything.error_energy(matrix).sum()) / least - 1.0)

    published = replace(settings.descent, tolerance=None)
    n_windows = sum(len(song.windows) for song in fitted)
    converged = replace(settings.descent, batch=n_windows, tolerance=settings.descent.tolerance or TOLERANCE)
    ridge, ridge_matrix = fit_by_ridge(fitted, settings)
    return MixerComparison(
        tuple(song.name for song in fitted),
        tuple(song.name for song in scored),
        scores_of("no Mixer", unchanged()),
        scores_of(f"RMSprop, {published.epochs} epochs", fit_by_descent(fitted, settings, published)),
        scores_of("RMSprop, converged", fit_by_descent(fitted, settings, converged)),
        scores_of("closed form, no ridge", least_squares),
        scores_of(f"closed form, ridge {ridge:g}", ridge_matrix),
    )
