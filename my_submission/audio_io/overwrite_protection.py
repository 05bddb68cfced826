"""Protection of a run's inputs, and of the references beside them, from being replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from my_submission.audio_io.writing.audio_format import FILE_FORMATS
from my_submission.errors import OutputError


class InputFiles:
    """The inputs of a run by device and inode, so that links and other spellings are the same file.

    Args:
        paths: the files; those that do not exist are ignored.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._identities = {identity: path for path in paths if (identity := _identity(path)) is not None}

    def refuse_as_stems(self, directory: Path, names: Iterable[str]) -> None:
        """Refuse a folder in which an input has the name of a stem, in any output format.

        Raises:
            OutputError: there is such an input.
        """
        self.refuse_as_outputs(_stem_files(directory, names))

    def refuse_as_outputs(self, files: Iterable[Path]) -> None:
        """Refuse output files that are inputs.

        Raises:
            OutputError: an output file is an input.
        """
        for file in files:
            path = self._identities.get(_identity(file) or (-1, -1))
            if path is not None:
                raise OutputError(
                    f"this file would be replaced, but it is an input: {path}",
                    where=file,
                    hint="choose another output folder or file",
                )


class OutputPlaces:
    """The places of the sets of a run, so that no song replaces the stems of another one.

    A place is the folder of a set, or its record where several sets are in one folder. Different names can mean one
    place through links, or where a file system ignores case.
    """

    def __init__(self) -> None:
        self._songs: dict[tuple[int, int], str] = {}

    def refuse_taken(self, place: Path, song: str) -> None:
        """Refuse the place of an earlier song of the run.

        Raises:
            OutputError: the place is that of another song.
        """
        other = self._songs.get(_identity(place) or (-1, -1))
        if other is not None:
            raise OutputError(
                f"{song!r} would replace the stems of {other!r}: both would be written to this place",
                where=place,
                hint="separate them into different output folders",
            )

    def take(self, place: Path, song: str) -> None:
        """Note that a place now contains the stems of a song."""
        identity = _identity(place)
        if identity is not None:
            self._songs[identity] = song


def refuse_own_folder(mixture: Path, directory: Path) -> None:
    """Refuse stems beside their mixture: they would replace the references of a data set.

    Raises:
        OutputError: ``directory`` is the folder of a mixture in the challenge's layout.
    """
    if mixture.name.startswith("mixture.") and directory.resolve() == mixture.resolve().parent:
        raise OutputError(
            "the stems would replace the references beside the mixture",
            where=directory,
            hint="choose another output folder with -o",
        )


def _stem_files(directory: Path, names: Iterable[str]) -> Iterator[Path]:
    return (directory / f"{name}.{suffix}" for name in names for suffix in FILE_FORMATS)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file or folder, following links; None if it does not exist."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
