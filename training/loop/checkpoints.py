"""Checkpoints of runs: reading, and check of the settings of resumed runs."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from my_submission.errors import WeightsError
from my_submission.weights.archives import BROKEN_ZIP_ERRORS
from training.experiment import Experiment
from training.modules.base import EXPERIMENT_KEY, SeparationModule, module_settings
from training.modules.registry import experiment_from_table
from training.settings.strict import SettingsError, to_table, value_at

logger = logging.getLogger(__name__)

LAST = "last.ckpt"
SHOWN_CHARACTERS = 60

FREE_TABLES = frozenset({"run", "validation", "export", "wandb"})
"""Tables of an experiment that a resumed run may change, because they do not affect what is trained."""

DATA_SETTINGS = ("augment.", "data.collections.", "data.held_out")
"""Prefixes of settings that may also change with ``run.may_change_data``."""


def last_checkpoint(run: Path) -> Path | None:
    """Return the checkpoint from which a run is resumed, or None."""
    path = run / "checkpoints" / LAST
    return path if path.is_file() else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the tensors and plain values of a checkpoint.

    Raises:
        WeightsError: the file is missing, damaged, or not a checkpoint of this program.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (*BROKEN_ZIP_ERRORS, OSError, LookupError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"cannot be read ({' '.join(str(error).split())[:200]})", where=path, hint="take an earlier checkpoint"
        ) from error
    if not isinstance(content, dict) or not {EXPERIMENT_KEY, "state_dict", "global_step"} <= content.keys():
        raise WeightsError(
            "is not a checkpoint of a training run", where=path, hint="name one of <run>/checkpoints/*.ckpt"
        )
    return content


def load_module(path: Path) -> SeparationModule:
    """Return the module of a checkpoint, in evaluation mode.

    Raises:
        WeightsError: the file is not a checkpoint, or its weights do not fit its experiment.
    """
    content = read_checkpoint(path)
    experiment = experiment_from_table(content[EXPERIMENT_KEY])
    module = module_settings(experiment).module(experiment, total_steps=int(content["global_step"]))
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise WeightsError(f"its weights do not fit its experiment ({error})", where=path) from error
    return module.eval()


def resumable(path: Path, experiment: Experiment) -> Experiment:
    """Return the experiment with which a run resumes from a checkpoint.

    With ``run.auto_lr_find`` it has the checkpoint's learning rate, which was searched when its run began.

    Raises:
        WeightsError: the file is not a checkpoint, or contains weights alone.
        SettingsError: a setting that affects what is trained differs.
    """
    content = read_checkpoint(path)
    if not content.get("optimizer_states"):
        raise WeightsError(
            "contains only weights, so a run cannot be resumed from it",
            where=path,
            hint="name last.ckpt, or begin a new run from its exported network with network.start",
        )
    before = _with_defaults(content[EXPERIMENT_KEY])
    if experiment.run.auto_lr_find:
        rate = value_at(before, "optimiser.learning_rate")
        logger.info("learning rate %.3g, that of the checkpoint; it is not searched again", rate)
        experiment = replace(experiment, optimiser=replace(experiment.optimiser, learning_rate=rate))
    now = to_table(experiment)
    changed = [key for key in _differences(before, now) if key.partition(".")[0] not in FREE_TABLES]
    if experiment.run.may_change_data:
        changed = [key for key in changed if not key.startswith(DATA_SETTINGS)]
    changed += [key for key in _differences(before, now) if key == "run.ema"]
    if changed:
        raise SettingsError(
            f"this run was started with another {', '.join(_shown(key, before, now) for key in changed)}",
            where=path,
            hint="give the old values, choose another folder with --runs, or remove the run",
        )
    return experiment


def _shown(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return a key with its two values, if these are short."""
    values = f"{value_at(before, key)}, now {value_at(now, key)}"
    return f"{key} ({values})" if len(values) <= SHOWN_CHARACTERS else key


def _with_defaults(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add settings newer than a checkpoint, at their defaults; a table that no longer fits is returned as is."""
    try:
        completed: Mapping[str, Any] = to_table(experiment_from_table(table))
    except SettingsError:
        return table
    return completed


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    found = []
    for key in sorted({*before, *now}):
        first, second = before.get(key), now.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            found += _differences(first, second, f"{where}{key}.")
        elif first != second:
            found.append(f"{where}{key}")
    return found
