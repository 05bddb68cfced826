"""The extra that brings a library, for the message of a program that lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXTRA_OF = {
    "aiohttp": "batch",
    "fsspec": "batch",
    "jsonschema": "submit",
    "lightning": "train",
    "matplotlib": "plot",
    "mido": "train",
    "museval": "musdb",
    "musdb": "musdb",
    "openvino": "fast",
    "packaging": "submit",
    "pedalboard": "train",
    "pyarrow": "batch",
    "pyloudnorm": "train",
    "pyworld": "train",
    "ray": "batch",
    "s3fs": "batch",
    "scipy": "evaluate",
    "streamlit": "web",
    "tensorboard": "train",
    "threadpoolctl": "evaluate",
    "torch": "torch",
    "yaml": "torch",
}
"""Library to the extra of pyproject.toml that brings it; tests/program/test_packaging.py compares them."""


def command_for(library: str, extra: str | None = None) -> str:
    """Return the command that installs the extra with a library; ``extra`` names another one than that of the table."""
    return f"pip install 'mdx-submission[{extra or EXTRA_OF[library]}]'"


@contextmanager
def explained_absence(kind: Callable[..., Exception], extra: str | None = None) -> Iterator[None]:
    """Turn the absence of an extra's library, in a with block or a decorated function, into an error of our own.

    Args:
        kind: the error's class, called with the problem and the keyword ``hint``; other errors pass.
        extra: the extra of the whole program, which has all that it imports; by default the one of the library.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRA_OF:
            raise
        raise kind(f"{library} is not installed", hint=f"run {command_for(library, extra)}") from error
