"""Checkpoints of AIMLESS' training program: a Lightning state and the ``config.yaml`` that Lightning wrote beside it.

The settings name a class and its arguments. Nothing is imported by such a name: an allow-list says which network of
ours it stands for, and its arguments are compared with what the weights' shapes say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from my_submission.errors import MdxError, WeightsError
from my_submission.networks.state_dict import map_state_dict
from my_submission.stems import AIMLESS_CINEMA_SOURCES, DEMUCS_SOURCES, canonical_source
from terminal.documents import DocumentError, checked_values, decoded, read_bounded

CLASSES = {
    "torchaudio.models.HDemucs": "hybrid-demucs",
    "aimless.models.band_split_rnn.BandSplitRNN": "band-split-rnn",
    "aimless.models.xumx.X_UMX": "x-umx",
    "models.xumx.X_UMX": "x-umx",
}
"""Class paths of published settings to the architectures they mean. The original DemucsSplit is not among them: how it
is built is not known."""

MODEL_PREFIX = "model."
"""Of the network's own weights in a Lightning state."""

NOT_THE_MODEL = ("targets_idx", "transforms.", "criterion.", "spec.", "inv_spec.", "mwf.")
"""What else such a state holds: buffers of losses, augmentations and transforms."""

_MAX_SETTINGS_BYTES = 128 << 10
"""Lightning writes some kilobytes, and PyYAML reads a megabyte in half a minute."""

_BROKEN_SCALARS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What PyYAML lets through for impossible dates and numbers and for settings nested too deeply."""


@dataclass(frozen=True)
class LightningCheckpoint:
    """A network's state, and what its settings say of it.

    Attributes:
        state: under the network's own key names, mapped from the file.
        arguments: of the class, where there were settings.
        settings: the file they came from.
    """

    state: Mapping[str, Tensor]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Path | None = None

    def check(self, actual: Mapping[str, Any]) -> None:
        """Compare the settings with the network that the weights made.

        Args:
            actual: every argument that the class may have been given, and the value this network stands for; a list
                of names may stand for their number.

        Raises:
            WeightsError: an argument has another value, or is not one of the class.
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
    """A checkpoint and, where there are any, its settings: ``config.yaml`` beside it or beside its folder.

    Args:
        path: written by Lightning, or a bare state dict.
        architecture: what it must be.

    Raises:
        WeightsError: the file is damaged, holds code, no network's weights, or those of another architecture.
    """
    state = model_state(map_state_dict(path), where=path)
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
    """The network's part of a Lightning state under its own key names; a state without the prefix is all of it.

    Raises:
        WeightsError: something lies beside the network that no such program stores.
    """
    if not any(key.startswith(MODEL_PREFIX) for key in state):
        return dict(state)
    unknown = [key for key in state if not key.startswith((MODEL_PREFIX, *NOT_THE_MODEL))]
    if unknown:
        problem = f"the weight {unknown[0]} belongs to no known part of a Lightning module"
        raise WeightsError(problem, where=where, hint="save the state of the network alone")
    return {key.removeprefix(MODEL_PREFIX): value for key, value in state.items() if key.startswith(MODEL_PREFIX)}


def read_settings(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Architecture and arguments of the model in a Lightning ``config.yaml``.

    Raises:
        WeightsError: the file is no such settings, or names a class that is not on the list.
        MdxError: PyYAML is not installed.
    """
    settings = _parsed(path)
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
        raise WeightsError("the model's init_args are no table", where=path)
    return CLASSES[class_path], arguments


def rows_of(targets: Sequence[str]) -> tuple[str, ...]:
    """Rows of a network that was trained for these targets, under our names.

    The training program sorts targets into its own list, so that the order in which settings name them means nothing.

    Raises:
        ValueError: they belong to none of its lists.
    """
    names = {canonical_source(target) for target in targets}
    for known in (DEMUCS_SOURCES, AIMLESS_CINEMA_SOURCES):
        if names <= set(known):
            return tuple(source for source in known if source in names)
    raise ValueError(f"{list(targets)} are targets of no system of AIMLESS")


def _parsed(path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MdxError("reading it needs PyYAML", where=path, hint="pip install pyyaml") from error
    try:
        return checked_values(yaml.safe_load(decoded(read_bounded(path, max_bytes=_MAX_SETTINGS_BYTES))))
    except (OSError, DocumentError, yaml.YAMLError, *_BROKEN_SCALARS) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"cannot be read as settings ({reason})", where=path, hint="use the config.yaml that Lightning wrote"
        ) from error
