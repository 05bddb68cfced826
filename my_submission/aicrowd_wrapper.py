"""Wrapper between the organisers' evaluator and the model of 2023: reads a song, checks and writes its stems.

The organisers may replace this file with their own for grading.

| environment variable | meaning | default |
|---|---|---|
| AICROWD_DATASET_DIR | folder of songs | ``dataset_dir`` |
| AICROWD_PUBLIC_SHARED_DIR | stems go to ``predictions`` below it | ``predictions_dir`` |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy.typing as npt

from my_submission.challenge.kit_folders import read_mixture, require_plain_name, write_stems
from my_submission.errors import InputError, MdxError
from my_submission.user_config import MySeparationModel


class AIcrowdWrapper:
    """Runs the model over folders of songs, music and cinema alike.

    Args:
        dataset_dir: folder of songs, unless AICROWD_DATASET_DIR names another.
        predictions_dir: folder of the stems, unless AICROWD_PUBLIC_SHARED_DIR names another.

    Raises:
        InputError: one of the two folders does not exist.
        NameError: the model cannot be built.
    """

    def __init__(self, dataset_dir: str = "./public_dataset/", predictions_dir: str = "./evaluator_outputs/") -> None:
        self.model = MySeparationModel()
        self.instruments = self.model.instruments
        self.track = self.model.configuration.challenge_track
        shared = os.environ.get("AICROWD_PUBLIC_SHARED_DIR")
        self.predictions_dir = Path(shared) / "predictions" if shared is not None else Path(predictions_dir)
        self.dataset_dir = Path(os.environ.get("AICROWD_DATASET_DIR", dataset_dir))
        for folder in (self.predictions_dir, self.dataset_dir):
            if not folder.is_dir():
                raise InputError("there is no such folder", where=folder, hint="make it before the run")

    def raise_aicrowd_error(self, msg: str) -> NoReturn:
        """Report an error to the organisers' evaluator.

        Raises:
            NameError: always, as the kits require.
        """
        raise NameError(msg)

    def separate_music_file(self, foldername: str) -> bool:
        """Separate the song in one folder and write its stems.

        Raises:
            NameError: the song cannot be read or separated, or the stems are not the track's.
        """
        try:
            require_plain_name(foldername)
            mixture, sample_rate = read_mixture(self.dataset_dir / foldername, self.track)
        except MdxError as error:
            self.raise_aicrowd_error(str(error))
        stems, rates = self.model.separate_music_file(mixture, sample_rate)
        self.check_output(stems, rates)
        self.save_prediction(foldername, stems, rates)
        return True

    def check_output(self, separated_music_arrays: Mapping[str, Any], output_sample_rates: Mapping[str, int]) -> None:
        """Check that the stems are those of the track.

        Raises:
            NameError: an instrument is missing or unknown.
        """
        for what, found in (("stems", separated_music_arrays), ("sample rates", output_sample_rates)):
            if set(found) != set(self.instruments):
                self.raise_aicrowd_error(
                    f"the model returned {what} {sorted(found)} instead of {sorted(self.instruments)}"
                )

    def save_prediction(
        self,
        foldername: str,
        separated_music_arrays: Mapping[str, npt.NDArray[Any]],
        output_sample_rates: Mapping[str, int],
    ) -> None:
        """Write the stems of one song as 16-bit PCM."""
        write_stems(self.predictions_dir, foldername, self.track, separated_music_arrays, output_sample_rates)
