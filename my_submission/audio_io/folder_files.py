"""The files below a folder that can be songs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from my_submission.audio_io.writing.stem_sets import files_listed_in, is_record
from my_submission.errors import InputError


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder, at any depth.

    Attributes:
        files: paths in the folder.
        n_stems: stems of earlier separations, which are left out.
        notes: folders that could not be read.
    """

    files: tuple[PurePosixPath, ...]
    n_stems: int
    notes: tuple[str, ...]

    @classmethod
    def below(cls, folder: Path, *, avoided: Path | None = None) -> FolderFiles:
        """Search a folder; links to folders are followed, and each folder is searched once.

        Hidden entries are left out, as are files that a ``separation.json`` beside them lists.

        Args:
            folder: where to search.
            avoided: a folder below it that is not searched.

        Raises:
            InputError: the folder itself cannot be read.
        """
        files: list[PurePosixPath] = []
        notes: list[str] = []
        n_stems = 0
        top = folder.resolve()
        seen = set() if avoided is None or avoided.resolve() == top else {avoided.resolve()}
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            if (place := here.resolve()) in seen:
                continue
            seen.add(place)
            try:
                entries = [entry for entry in here.iterdir() if not entry.name.startswith(".")]
            except OSError as error:
                if here == folder:
                    problem, hint = (
                        f"the folder cannot be read ({error.strerror})",
                        "change its permissions (chmod u+rx)",
                    )
                    raise InputError(problem, where=folder, hint=hint) from error
                notes.append(f"{here} cannot be read ({error.strerror}); its songs are left out")
                continue
            waiting += [entry for entry in entries if entry.is_dir()]
            found = {entry.name: entry for entry in entries if entry.is_file()}
            records = {name for name in found if is_record(name)}
            stems = files_listed_in(here, records) & set(found)
            n_stems += len(stems)
            others = set(found) - stems - records
            files += [PurePosixPath(found[name].relative_to(folder).as_posix()) for name in others]
        return cls(tuple(files), n_stems, tuple(notes))
