"""Names of songs, which are also the names of their output folders.

Names of files are untrusted, so :func:`folder_name` keeps every output folder inside the requested one.
:func:`distinct_names` gives songs of the same name different ones.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePath

from my_submission.audio_io.decoding.audio_suffixes import STEM_FILE_SUFFIX

MIXTURE_FILE = "mixture.wav"
"""Name of the mixture in the challenge's layout of one folder per song."""

_SEPARATORS = re.compile(r"[/\\\0]")
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x01-\x1f]|[. ]+$')
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def song_name(path: str | PathLike[str]) -> str:
    """Return the name of a song: its file's without suffixes, or its folder's for ``<song>/mixture.wav``.

    The name is that of one folder (see :func:`folder_name`). A file such as ``...wav``, whose name without suffix is
    only dots, keeps its suffix.
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
    """Return ``name`` as the name of one folder directly inside the folder that it is joined to.

    Separators become ``_``, as do the dots of a name of dots only; an empty name becomes ``song``. On Windows reserved
    characters and device names are replaced as well. All other names are unchanged.
    """
    plain = _SEPARATORS.sub("_", name)
    if is_windows:
        plain = _NOT_ON_WINDOWS.sub(lambda found: "_" * len(found[0]), plain)
        plain = f"_{plain}" if _WINDOWS_DEVICES.match(plain) else plain
    if not plain.strip("."):
        plain = "_" * len(plain)
    return plain or "song"


def distinct_names(names: Sequence[str], places: Sequence[PurePath]) -> list[str]:
    """Return a different name for every song, with the names of its folders in front where names repeat.

    A name of only one song is unchanged. Two songs ``01`` in ``disc1`` and ``disc2`` become ``disc1/01`` and
    ``disc2/01``, with as many folders as necessary. Songs of one folder that differ in their suffix keep it:
    ``01.flac`` and ``01.wav``. The result does not depend on the order of the songs.

    Args:
        names: names of the songs, with ``/`` between folders.
        places: paths of their files, all different; ``mixture.wav`` for the layout ``<song>/mixture.wav``.
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
    """Yield names to try while another song has the same one, each with one more folder."""
    is_folder = place.name.lower() == MIXTURE_FILE and not keeps_suffix
    file = place.parent if is_folder else place
    last = folder_name(place.name) if keeps_suffix else name.rpartition("/")[2]
    parts = [*(folder_name(part) for part in file.parent.parts if part != file.anchor), last]
    longer = ["/".join(parts[-count:]) for count in range(name.count("/") + 1, len(parts) + 1)]
    return [form for form in longer if form != name]
