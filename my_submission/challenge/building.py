"""The submission's predictor, built from its configuration."""

from __future__ import annotations

from pathlib import Path

from my_submission.challenge.configuration import SubmissionConfiguration
from my_submission.errors import UnknownNameError
from my_submission.predictor import Predictor, load

TREE = Path(__file__).resolve().parents[2]
"""The tree of this package, with submission.toml and the models."""


def build_predictor(configuration: SubmissionConfiguration, *, tree: Path = TREE) -> Predictor:
    """Load the configured system and check that it gives the stems of the track.

    Raises:
        UnknownNameError: there is no such system, or it separates other sources.
        WeightsError: an artefact is missing or damaged.
        DeviceError: the device is not available.
    """
    predictor = load(
        configuration.system,
        models_dir=tree / configuration.models_dir,
        device=configuration.device,
        precision=configuration.precision,
    )
    require_sources(configuration, predictor.stems)
    predictor.system.open_weights()  # before the first song, whose time is limited
    return predictor


def require_sources(configuration: SubmissionConfiguration, sources: tuple[str, ...]) -> None:
    """Raise if the system does not give the stems of the track.

    Raises:
        UnknownNameError: the system gives other stems.
    """
    wanted = configuration.challenge_track.sources
    if set(sources) != set(wanted):
        raise UnknownNameError(
            f"the system {configuration.system!r} separates {', '.join(sources)}, "
            f"but the track {configuration.track} asks for {', '.join(wanted)}",
            hint=f"choose another system or another track in submission.toml, "
            f"such as system = {configuration.challenge_track.default_system!r}",
        )
