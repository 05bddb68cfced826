"""Experiments by name, with all kinds of networks registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.experiment import Experiment
from training.modules import register_all
from training.settings.files import load
from training.settings.strict import from_table


def load_experiment(name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a configuration file, with ``key=value`` overrides.

    Raises:
        SettingsError: a name, key or value is unknown or invalid.
    """
    register_all()
    return load(Experiment, name, overrides)


def experiment_from_table(table: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a table, such as a checkpoint contains."""
    register_all()
    return from_table(Experiment, table)
