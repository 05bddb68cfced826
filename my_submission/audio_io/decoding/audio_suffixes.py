"""Suffixes of audio files, and the note on files of a folder that are skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from terminal.quantities import counted

_PLAIN = ".wav .wave .bwf .rf64 .w64 .aif .aiff .aifc .caf .au .snd .voc"
_LOSSLESS = ".flac .oga .wv .tta .ape .tak .alac .shn"
_LOSSY = ".mp3 .mp2 .mpga .ogg .opus .spx .aac .adts .ac3 .eac3 .dts .mpc .amr .wma"
_CONTAINERS = ".m4a .m4b .m4r .mp4 .m4v .mov .3gp .mka .mkv .webm .weba .asf .wmv .avi .flv .ogv .mpg .mpeg .ts .m2ts"

STEM_FILE_SUFFIX = ".stem.mp4"
"""Suffix of MUSDB18 files, in which the mixture is the first of five audio tracks."""

AUDIO_SUFFIXES = frozenset(f"{_PLAIN} {_LOSSLESS} {_LOSSY} {_CONTAINERS}".split())
"""Suffixes of files that a folder search treats as songs; a file that is named explicitly may have any suffix."""


def is_audio(file: PurePath) -> bool:
    """Whether the name of a file has an audio suffix."""
    return file.suffix.lower() in AUDIO_SUFFIXES


def passed_over(place: object, files: Iterable[PurePath], *, n_stems: int = 0) -> str | None:
    """Return a note on the files that a search skipped, with counts by suffix; None if it skipped none.

    Args:
        place: place that was searched.
        files: files that were skipped.
        n_stems: number of stems of earlier separations, which were skipped as well.
    """
    counts = Counter(file.suffix.lower() for file in files)
    kinds = [f"{count} {suffix or 'without a suffix'}" for suffix, count in counts.most_common()]
    parts = []
    if counts:
        parts.append(f"{counted(sum(counts.values()), 'file')} ({', '.join(kinds)})")
    if n_stems:
        parts.append(f"{counted(n_stems, 'stem')} of earlier separations")
    return f"{place}: skipped {' and '.join(parts)}; name them one by one if they are songs" if parts else None
