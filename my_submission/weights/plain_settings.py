"""Settings of a training program inside a checkpoint, from its pickle as plain values."""

from __future__ import annotations

from typing import Any

from my_submission.weights.plain_pickle import SkippedObject


def plain_settings(described: object) -> dict[str, Any]:
    """Return settings as plain values: texts, numbers, truth values, None, and lists and dictionaries of them.

    Attribute dictionaries of Lightning, configurations of OmegaConf and namespaces of argparse become dictionaries.
    Everything else, such as an object of another class, is left out.

    Args:
        described: a value of :func:`read_plain_pickle`, such as the ``hyper_parameters`` of a checkpoint.
    """
    plain = _plain(described, _MAX_SETTINGS_DEPTH)
    return plain if isinstance(plain, dict) else {}


_MAX_SETTINGS_DEPTH = 40

_LEFT_OUT = object()


def _plain(value: object, depth: int) -> Any:
    """Return a value as :func:`plain_settings` does; ``_LEFT_OUT`` if it is not plain or nested too deeply."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if depth == 0:
        return _LEFT_OUT
    if isinstance(value, dict):
        pairs = [(key, _plain(each, depth - 1)) for key, each in value.items() if isinstance(key, str)]
        return {key: each for key, each in pairs if each is not _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [each for each in (_plain(item, depth - 1) for item in value) if each is not _LEFT_OUT]
    return _plain_object(value, depth) if isinstance(value, SkippedObject) else _LEFT_OUT


def _plain_object(value: SkippedObject, depth: int) -> Any:
    state = value.state if isinstance(value.state, dict) else {}
    if value.name.startswith("omegaconf."):  # its containers have contents, and their leaves a value
        held = next((state[name] for name in ("_content", "_val") if name in state), _LEFT_OUT)
        return _plain(held, depth - 1)
    if value.name == "argparse.Namespace":
        return _plain(state, depth - 1)
    return _plain(value.items, depth - 1) if value.name.endswith("AttributeDict") else _LEFT_OUT
