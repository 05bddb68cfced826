"""Checkpoints of AIMLESS' training program: a Lightning state, and the ``config.yaml`` that Lightning wrote.

The settings name a class and its arguments. Nothing is imported by that name: a table maps it to an architecture, and
the arguments are compared with the shapes of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.settings_files import parsed_yaml
from my_submission.networks.state_dict import load_state_dict
from my_submission.stems import AIMLESS_CINEMA_SOURCES, DEMUCS_SOURCES, canonical_source

CLASSES = {
    "torchaudio.models.HDemucs": "hybrid-demucs",
    "aimless.models.band_split_rnn.BandSplitRNN": "band-split-rnn",
    "aimless.models.band_split_rnn.BandSplitRNNMulti": "band-split-rnn",
    "aimless.models.xumx.X_UMX": "x-umx",
    "models.xumx.X_UMX": "x-umx",
    "aimless.models.demucs_split.DemucsSplit": "demucs-split",
}
"""Class paths in published settings to architectures."""

MODEL_PREFIX = "model."
"""Prefix of the network's weights in a Lightning state."""

NOT_THE_MODEL = ("targets_idx", "transforms.", "criterion.", "spec.", "inv_spec.", "mwf.")
"""Prefixes of other tensors in such a state: buffers of losses, augmentations and transforms."""


@dataclass(frozen=True)
class LightningCheckpoint:
    """A network's state and settings.

    Attributes:
        state: under the network's key names, mapped from the file.
        arguments: arguments of the class; empty without settings.
        settings: the file of the settings.
    """

    state: Mapping[str, Tensor]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Path | None = None

    def check(self, actual: Mapping[str, Any]) -> None:
        """Compare the settings with the network of the weights.

        Args:
            actual: every argument that the class takes, with the network's value; in the settings, a list of names may
                replace their number.

        Raises:
            WeightsError: an argument has another value, or is unknown.
        """
        for name, stated in self.arguments.items():
            if name not in actual:
                problem = f"the model has an argument {name!r}, which is not known"
                raise WeightsError(problem, where=self.settings, hint="remove it, or the settings file")
            is_counted = isinstance(actual[name], int) and isinstance(stated, list)
            if (len(stated) if is_counted else stated) != actual[name]:
                problem = f"{name}={stated} does not fit the weights, which were trained with {actual[name]}"
                raise WeightsError(problem, where=self.settings, hint="put the checkpoint beside its own config.yaml")


def read_checkpoint(path: Path, architecture: str) -> LightningCheckpoint:
    """Read a checkpoint and its settings, if there is a ``config.yaml`` beside it or beside its folder.

    Args:
        path: written by Lightning, or a bare state dict.
        architecture: the architecture expected.

    Raises:
        WeightsError: the file is damaged, contains code, or is of another architecture.
    """
    state = model_state(load_state_dict(path), where=path)
    settings = next(
        (
            file
            for file in (path.parent / "config.yaml", path.parent.parent / "config.yaml")
            if file.is_file() and path.suffix == ".ckpt"
        ),
        None,
    )
    if settings is None:
        return LightningCheckpoint(state)
    stated, arguments = read_settings(settings)
    if stated != architecture:
        raise WeightsError(f"the settings are those of a {stated}, not of a {architecture}", where=settings)
    return LightningCheckpoint(state, arguments, settings)


def model_state(state: Mapping[str, Tensor], *, where: Path) -> dict[str, Tensor]:
    """Return the network's part of a Lightning state, without its prefix; a state without the prefix is returned whole.

    Raises:
        WeightsError: there is a tensor that the training program does not store.
    """
    if not any(key.startswith(MODEL_PREFIX) for key in state):
        return dict(state)
    unknown = [key for key in state if not key.startswith((MODEL_PREFIX, *NOT_THE_MODEL))]
    if unknown:
        problem = f"the weight {unknown[0]} belongs to no known part of a Lightning module"
        raise WeightsError(problem, where=where, hint="save the state of the network alone")
    return {key.removeprefix(MODEL_PREFIX): value for key, value in state.items() if key.startswith(MODEL_PREFIX)}


def read_settings(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Read architecture and arguments of the model in a Lightning ``config.yaml``.

    Raises:
        WeightsError: the file has no such settings, or names an unknown class.
        MdxError: PyYAML is not installed.
    """
    settings = parsed_yaml(path)
    try:
        model = settings["model"]["init_args"]["model"]
        class_path, arguments = model["class_path"], model.get("init_args") or {}
    except (KeyError, TypeError, AttributeError) as error:
        problem = "no model.init_args.model.class_path is in the settings"
        raise WeightsError(problem, where=path, hint="use the config.yaml that Lightning wrote") from error
    if not isinstance(class_path, str) or class_path not in CLASSES:
        known = ", ".join(CLASSES)
        raise WeightsError(f"the model's class {class_path!r} is none of {known}", where=path)
    if not isinstance(arguments, dict):
        raise WeightsError("the model's init_args are not a table", where=path)
    return CLASSES[class_path], arguments


def rows_of(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of a network's output, in order, from its training targets in any order.

    Raises:
        ValueError: they are not targets of one of AIMLESS' systems.
    """
    names = {canonical_source(target) for target in targets}
    for known in (DEMUCS_SOURCES, AIMLESS_CINEMA_SOURCES):
        if names <= set(known):
            return tuple(source for source in known if source in names)
    raise ValueError(f"{list(targets)} are targets of no system of AIMLESS")
