"""System and options of a run, as one frozen value that is sent to the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from my_submission.audio_io import DEFAULT_READ_OPTIONS, WAV_16, AudioFormat, ReadOptions
from my_submission.audio_io.writing.file_names import CHALLENGE_LAYOUT, FileNameTemplate, StemFileNames
from my_submission.errors import UnknownNameError, WeightsError
from my_submission.predictor import Predictor, load
from my_submission.predictor.separation_record import StemRecipe
from my_submission.systems import content_digests, find_system, for_stems, systems_of
from my_submission.weights import ModelsFolder


@dataclass(frozen=True, kw_only=True)
class CatalogueRecipe:
    """A system, its options, and how stems are written.

    Attributes:
        system: its name.
        load_settings: other arguments of :func:`my_submission.predictor.load`; paths are absolute.
        settings: the options that can change a sample or a file name, as plain values; part of every key.
        weights: artefact name to SHA-256.
        audio_format: format of the stems.
        budget_seconds: time limit per song, or None.
        budget_factor: time limit as a multiple of the song's length, or None.
        refine: as for :meth:`my_submission.predictor.Predictor.separate`.
        reading: the track of a file, and whether more than two channels are mixed down.
        filename: template of the files' names, with one folder per song.
    """

    system: str
    load_settings: Mapping[str, Any]
    settings: Mapping[str, Any]
    weights: Mapping[str, str] = field(default_factory=dict)
    audio_format: AudioFormat = WAV_16
    budget_seconds: float | None = None
    budget_factor: float | None = None
    refine: bool | None = None
    reading: ReadOptions = DEFAULT_READ_OPTIONS
    filename: str = CHALLENGE_LAYOUT

    def __post_init__(self) -> None:
        if FileNameTemplate(self.filename).folder(song="a/b", system="") != "a/b":
            problem = f"{self.filename!r} does not give each song its own folder"
            raise UnknownNameError(problem, hint="begin --filename with {song}/, and use no other folder")

    def file_names(self, song: str, stems: Sequence[str]) -> StemFileNames:
        """Return the names of the files of a song, from its name and those of the stems."""
        return FileNameTemplate(self.filename).names(stems, song=song, system=self.system)

    @property
    def digest(self) -> str:
        """A hash of system, weights, settings, format and version: everything but the song that stems depend on."""
        recipe = StemRecipe(
            system=self.system,
            weights=self.weights,
            settings=self.settings,
            audio_format=self.audio_format,
        )
        return recipe.digest

    def open(self) -> Predictor:
        """Load the predictor.

        Raises:
            WeightsError: an artefact is missing, damaged, or differs from that of the driver.
            DeviceError: the device is not available.
        """
        predictor = load(self.system, **self.load_settings)
        found = dict(predictor.system.weight_digests)
        different = sorted(name for name in found if found[name] != self.weights.get(name))
        if different:
            raise WeightsError(
                f"the weights of {', '.join(different)} on this machine differ from those of the driver",
                hint="give every machine of the cluster the same models folder",
            )
        return predictor


def weights_by_content(system: str, load_settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of all weights of a system, without loading it.

    Raises:
        UnknownNameError: there is no such system.
        WeightsError: an artefact is missing or damaged.
    """
    models = ModelsFolder(load_settings["models_dir"])
    is_allowed = bool(load_settings["allow_unverified"])
    stems, recipe = load_settings.get("stems"), find_system(system, systems_of(models))
    recipe = for_stems(recipe, stems) if stems else recipe
    weights = {name: models.require(name, allow_unverified=is_allowed) for name in recipe.artefacts}
    return content_digests(recipe, weights)
