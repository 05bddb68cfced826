"""The model that the wrappers of the 2023 kits call, for music and cinema."""

from __future__ import annotations

import logging
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from my_submission.challenge.building import TREE, build_predictor, require_sources
from my_submission.challenge.configuration import SubmissionConfiguration, active_configuration
from my_submission.challenge.song_reports import record_song
from my_submission.dsp.interleaving import interleaved
from my_submission.errors import InputError, MdxError
from my_submission.events import last_event
from my_submission.predictor import Predictor
from my_submission.stems import Stems, Waveform

logger = logging.getLogger(__name__)

KitArray = npt.NDArray[np.float64] | npt.NDArray[np.float32]
"""(samples, channels) or (samples,), as soundfile reads it."""


class SeparationModel:
    """Separates songs one after the other inside the track's limit.

    Args:
        configuration: the submission; default: submission.toml of the tree.
        predictor: the system; default: the configured one, loaded here.

    Raises:
        NameError: it cannot be built; the kits report this error to the organisers.
    """

    def __init__(
        self, *, configuration: SubmissionConfiguration | None = None, predictor: Predictor | None = None
    ) -> None:
        try:
            self.configuration = configuration or active_configuration(TREE)
            self.predictor = predictor or build_predictor(self.configuration)
            require_sources(self.configuration, self.predictor.stems)
        except MdxError as error:
            self.raise_aicrowd_error(str(error), cause=error)

    @property
    def instruments(self) -> list[str]:
        """Names of the stems, in the kit's order."""
        return list(self.configuration.challenge_track.sources)

    def raise_aicrowd_error(self, msg: str, *, cause: BaseException | None = None) -> NoReturn:
        """Raise the error that the organisers' evaluator logs.

        Raises:
            NameError: always, by the kits' contract.
        """
        raise NameError(msg) from cause

    def separate_music_file(
        self, mixed_sound_array: KitArray, sample_rate: int
    ) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, int]]:
        """Separate one song.

        Args:
            mixed_sound_array: float (samples, 2), or mono as (samples,) or (samples, 1); it is not changed.
            sample_rate: sample rate in Hz.

        Returns:
            Instrument to float32 (samples, 2), and instrument to its sample rate, which is the input's.

        Raises:
            NameError: the song cannot be separated; the message says why.
        """
        try:
            mixture = _channels_first(mixed_sound_array)
            budget_seconds = self.configuration.limit.planned_seconds(mixture.shape[-1] / sample_rate)
            stems = self._separate(mixture, sample_rate, budget_seconds)
        except MdxError as error:
            self.raise_aicrowd_error(str(error), cause=error)
        arrays = {name: interleaved(stems[name]) for name in self.instruments}
        return arrays, dict.fromkeys(self.instruments, sample_rate)

    def _separate(self, mixture: Waveform, sample_rate: int, budget_seconds: float) -> Stems:
        stream = self.predictor.stream(mixture, sample_rate=sample_rate, budget_seconds=budget_seconds)
        finished = last_event(stream)
        record_song(finished.report)
        for text in finished.report.warnings():
            logger.warning(text)
        return finished.result


def _channels_first(array: KitArray) -> Waveform:
    """Return (samples, channels) or (samples,) as float32 (channels, samples).

    Raises:
        InputError: the array has another shape.
    """
    given = np.asarray(array)
    if given.ndim == 1:
        given = given[:, None]
    if given.ndim != 2 or given.shape[1] not in {1, 2} or not len(given):
        raise InputError(
            f"a mixture of shape {given.shape} is not a song", hint="give (samples, 2), (samples, 1) or (samples,)"
        )
    return np.ascontiguousarray(given.T, dtype=np.float32)
