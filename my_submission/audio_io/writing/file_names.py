"""File names of stems, from a template such as ``{song}/{song} - {stem}.{ext}``."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath

from my_submission.audio_io.song_names import folder_name
from my_submission.audio_io.songs import is_mixture
from my_submission.audio_io.writing.audio_format import FILE_FORMATS
from my_submission.audio_io.writing.stem_sets import RECORD_FILE
from my_submission.errors import UnknownNameError
from terminal.quantities import either

FIELDS = ("song", "stem", "system", "ext")
"""Fields of a template: name of the song, of the stem, of the system, and suffix of the file format."""

SONG_FOLDERS = "{song}/{song} - {stem}.{ext}"
"""One folder per song, with the name of the song in every file name: the default of the command line."""

CHALLENGE_LAYOUT = "{song}/{stem}.{ext}"
"""The layout of the challenges and of the evaluator: the default for their songs."""

MAX_NAME_BYTES = 160
"""Longest song in a file name, in UTF-8: file systems allow 255 bytes, with stem, suffix and the name while writing."""


@dataclass(frozen=True)
class StemFileNames:
    """Names of the files of one song, all in one folder.

    Attributes:
        files: stem to file name without suffix.
        record_file: name of the record of the set; each set of a folder needs its own.
    """

    files: Mapping[str, str]
    record_file: str = RECORD_FILE

    @classmethod
    def plain(cls, stems: Iterable[str]) -> StemFileNames:
        """Return the names of the challenges: those of the stems."""
        return cls({stem: stem for stem in stems})


@dataclass(frozen=True)
class FileNameTemplate:
    """A template of the paths of stems, relative to the output folder.

    The name of a song may contain folders ("disc1/01"). In a file name it is only the last part ("01") if the folders
    of the template have the song's name as well, and otherwise all parts ("disc1 - 01").

    Attributes:
        text: folders and file name, separated by ``/``, with the fields of :data:`FIELDS` in braces; it must contain
            ``{stem}`` and end in ``.{ext}``, which is added if missing.

    Raises:
        UnknownNameError: there is no such field, or the template leads out of the output folder, gives all stems the
            same name, or ends in the suffix of a file format.
    """

    text: str = SONG_FOLDERS

    def __post_init__(self) -> None:
        if not self.text.endswith(".{ext}"):
            object.__setattr__(self, "text", f"{self.text}.{{ext}}")
        if suffix := next((end for end in FILE_FORMATS if self.text.endswith(f".{end}.{{ext}}")), None):
            self._refuse(f"it ends in .{suffix}, but the file format adds the suffix", f"leave .{suffix} out")
        fields = self._fields()
        for field in fields:
            if field not in FIELDS:
                near = get_close_matches(field, FIELDS, n=1) or FIELDS
                self._refuse(f"there is no field {{{field}}}", f"use {either(f'{{{name}}}' for name in near)}")
        parts = self.text.split("/")
        if "{stem}" not in parts[-1]:
            self._refuse("the file name lacks {stem}, so all stems would have the same name", "add {stem} to it")
        if self.text.count("{ext}") > 1:
            self._refuse("{ext} may only be the suffix", "leave the other ones out")
        if any(part in {"", ".", ".."} for part in parts) or "\\" in self.text or "\0" in self.text:
            self._refuse("the files must be in the output folder", "use a relative path such as " + SONG_FOLDERS)
        if any("{stem}" in part for part in parts[:-1]):
            self._refuse("all stems of a song must be in one folder", "use {stem} in the file name only")

    @property
    def has_song_folders(self) -> bool:
        """Whether every song has a folder of its own."""
        return any("{song}" in part for part in self.text.split("/")[:-1])

    @property
    def has_song(self) -> bool:
        """Whether songs of different names have different paths."""
        return "{song}" in self.text

    def folder(self, *, song: str, system: str) -> str:
        """Return the folder of a song's stems, relative to the output folder; "." for the output folder itself."""
        parts = self.text.split("/")[:-1]
        names = [folder_name(name) for part in parts for name in self._filled(part, song, system).split("/")]
        return "/".join(names) or "."

    def names(self, stems: Sequence[str], *, song: str, system: str) -> StemFileNames:
        """Return the names of the files of a song.

        Args:
            stems: names of the stems.
            song: name of the song, with ``/`` between folders.
            system: name of the system.
        """
        pattern = self.text.rpartition("/")[2].removesuffix(".{ext}")
        shown = _shortened(song.rpartition("/")[2] if self.has_song_folders else song.replace("/", " - "))
        files = {stem: folder_name(self._filled(pattern, shown, system, stem)) for stem in stems}
        record = RECORD_FILE if self.has_song_folders else f"{folder_name(shown)}.{RECORD_FILE}"
        return StemFileNames(files, record)

    def _fields(self) -> list[str]:
        """Return the names of all fields.

        Raises:
            UnknownNameError: the braces do not match, or a field has a conversion or a format.
        """
        fields = []
        try:
            for _, name, form, conversion in string.Formatter().parse(self.text):
                if form or conversion:
                    self._refuse("a field can only be a name", "write {song}, without : and !")
                if name is not None:
                    fields.append(name)
        except ValueError as error:
            self._refuse(f"the braces do not match ({error})", "write {song} or {stem}")
        return fields

    @staticmethod
    def _filled(pattern: str, song: str, system: str, stem: str = "") -> str:
        return pattern.format(song=song, system=system, stem=stem)

    def _refuse(self, problem: str, hint: str) -> None:
        raise UnknownNameError(f"the file name template {self.text!r} cannot be used: {problem}", hint=hint)


def template_for(song: PurePath, text: str | None = None) -> FileNameTemplate:
    """Return the template of the names of a song's files.

    Args:
        song: the song's file.
        text: the template; default: that of the challenges for songs in their layout, else one with the song's name.

    Raises:
        UnknownNameError: the template cannot be used.
    """
    default = CHALLENGE_LAYOUT if is_mixture(song) else SONG_FOLDERS
    return FileNameTemplate(default if text is None else text)


def _shortened(name: str) -> str:
    """Return a name of at most ``MAX_NAME_BYTES``; a hash tells shortened names apart."""
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: MAX_NAME_BYTES - 9].decode(errors='ignore')}~{digest}"
