"""Names of songs, which are also the names of their output folders.

A name comes from a file that anybody may have named, so :func:`folder_name` keeps every output folder inside the
folder that was asked for. Two songs of one name are told apart by :func:`distinct_names`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePath

MIXTURE_FILE = "mixture.wav"
"""The challenge's layout: one folder a song, with the mixture under this name."""

STEM_FILE_SUFFIX = ".stem.mp4"
"""MUSDB18's own format: the mixture is the first of five audio streams."""

_SEPARATORS = re.compile(r"[/\\\0]")
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x01-\x1f]|[. ]+$')
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def song_name(path: str | PathLike[str]) -> str:
    """Return the name of a song: its file's without suffixes, or its folder's for ``<song>/mixture.wav``.

    The name is that of one folder (see :func:`folder_name`). A file such as ``...wav``, of whose name only dots are
    left without the suffix, keeps it: ``...wav``.
    """
    file = Path(path)
    if file.name.lower() == MIXTURE_FILE:
        parent = file.parent.name
        name = (file.parent.resolve().name if parent in {"", ".."} else parent) or file.stem
    elif file.name.lower().endswith(STEM_FILE_SUFFIX) and len(file.name) > len(STEM_FILE_SUFFIX):
        name = file.name[: -len(STEM_FILE_SUFFIX)]
    else:
        name = file.stem
    return folder_name(name if name.strip(".") else file.name)


def folder_name(name: str, *, is_windows: bool = os.name == "nt") -> str:
    """Return ``name`` as the name of one folder that lies in the folder it is joined to.

    Separators become ``_``, so do the dots of a name that has nothing else, and an empty name is ``song``. On Windows
    the characters and device names that it reserves are replaced too. All other names stay as they are.
    """
    plain = _SEPARATORS.sub("_", name)
    if is_windows:
        plain = _NOT_ON_WINDOWS.sub(lambda found: "_" * len(found[0]), plain)
        plain = f"_{plain}" if _WINDOWS_DEVICES.match(plain) else plain
    if not plain.strip("."):
        plain = "_" * len(plain)
    return plain or "song"


def distinct_names(names: Sequence[str], places: Sequence[PurePath]) -> list[str]:
    """Return one name per song, so that songs of one name are told apart by the folders they lie in.

    A name that only one song has stays as it is. Of two songs called ``01``, in ``disc1`` and ``disc2``, the names are
    ``disc1/01`` and ``disc2/01``, with as many folders as it takes. Songs of one folder that differ in their suffix
    keep it: ``01.flac`` and ``01.wav``. The result depends on the songs alone, not on their order.

    Args:
        names: of the songs, ``/`` between the folders of one.
        places: their files; different files. For the layout ``<song>/mixture.wav`` the file ``mixture.wav``.
    """
    counts = Counter(names)
    beside = Counter((name, place.parent) for name, place in zip(names, places, strict=True) if counts[name] > 1)
    forms = [
        _longer_names(name, place, keeps_suffix=beside[name, place.parent] > 1) if counts[name] > 1 else []
        for name, place in zip(names, places, strict=True)
    ]
    chosen = list(names)
    while True:
        counts = Counter(chosen)
        unclear = [index for index, name in enumerate(chosen) if counts[name] > 1 and forms[index]]
        if not unclear:
            return chosen
        for index in unclear:
            chosen[index] = forms[index].pop(0)


def _longer_names(name: str, place: PurePath, *, keeps_suffix: bool) -> list[str]:
    """The names to be tried one after the other while another song has the same, each a folder longer."""
    is_folder = place.name.lower() == MIXTURE_FILE and not keeps_suffix
    file = place.parent if is_folder else place
    last = folder_name(place.name) if keeps_suffix else name.rpartition("/")[2]
    parts = [*(folder_name(part) for part in file.parent.parts if part != file.anchor), last]
    longer = ["/".join(parts[-count:]) for count in range(name.count("/") + 1, len(parts) + 1)]
    return [form for form in longer if form != name]
