"""Songs in folders, in the layouts of the challenges and data sets or in any folder with stems.

| layout | one song |
|---|---|
| MDX (MDXDB21, MUSDB18-HQ, SDX23) | ``[train/ test/] <song>/{mixture,bass,drums,other,vocals}.wav`` |
| DnR | ``[tr/ cv/ tt/] <number>/{mix,speech,sfx,music}.wav`` |
| CDX | ``<song>/<song>_{dialog,effect,music}.wav``, mixture ``mix.wav`` or ``_mixture_Lt.wav`` + ``_mixture_Rt.wav`` |
| MUSDB18 | ``[train/ test/] <song>.stem.mp4``, decoded by musdb (needs ffmpeg) |
| any | ``…/<song>/<source>.<wav, flac, ogg, mp3, aiff>``; the given folder may itself be the only song |

Songs are matched by folder name, and by their path below the given folder if names repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.audio import FileStem, Stem, SumStem
from evaluator.errors import DatasetError
from evaluator.stem_mp4 import decode_stem_mp4
from evaluator.targets import ACCOMPANIMENT_NAMES, VOCALS, averaged_sources

MUSIC_SOURCES = ("bass", "drums", "other", "vocals")
CINEMA_SOURCES = ("dialog", "effect", "music")

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")

STEM_MP4 = ".stem.mp4"

_ALIASES = {
    "speech": "dialog",
    "dialogue": "dialog",
    "sfx": "effect",
    "effects": "effect",
    "vocal": "vocals",
    "mix": "mixture",
}

_NOT_SOURCES = frozenset({"mixture", "mixture_lt", "mixture_rt", "linear_mixture"})
"""Audio files beside the stems that are not sources."""


@dataclass(frozen=True)
class DatasetSong:
    """One song of a data set, not opened yet.

    Attributes:
        location: path below the data set's root; ``.`` if the root itself is the song.
        stems: source to stem; empty for a ``.stem.mp4`` until :meth:`decoded`.
    """

    name: str
    location: str
    stems: Mapping[str, Stem] = field(default_factory=dict)
    mixture: Stem | None = None
    stem_mp4: Path | None = None

    @property
    def sources(self) -> frozenset[str]:
        """Names of the available sources."""
        return frozenset(MUSIC_SOURCES) if self.stem_mp4 else frozenset(self.stems)

    @property
    def accompaniment_parts(self) -> tuple[str, ...]:
        """Sources whose sum is the accompaniment: all but the vocals, musical ones first."""
        parts = self.sources - {VOCALS, *ACCOMPANIMENT_NAMES}
        return tuple(sorted(parts, key=lambda name: (name not in MUSIC_SOURCES, name)))

    def absent(self, sources: Sequence[str], *, parts: Sequence[str] | None = None) -> list[str]:
        """Return those of ``sources`` that are neither files nor sums of files; ``parts`` as in :meth:`targets`."""
        return [source for source in sources if not (source in self.sources or self._made_of(source, parts))]

    def targets(self, sources: Sequence[str], *, parts: Sequence[str] | None = None) -> dict[str, Stem]:
        """Return the available stems of ``sources``; accompaniment and instrumental are sums if they have no file.

        Args:
            parts: sources to sum for an accompaniment without a file; by default all but the vocals.
        """
        found = {}
        for source in sources:
            if source in self.stems:
                found[source] = self.stems[source]
            elif made_of := self._made_of(source, parts):
                stems = tuple(self.stems[name] for name in made_of)
                found[source] = stems[0] if len(stems) == 1 else SumStem(stems)
        return found

    def sums(self, sources: Sequence[str], *, parts: Sequence[str] | None = None) -> list[str]:
        """Return a clause such as "accompaniment is bass + drums" per target that is made from other files."""
        made_of = {name: self._made_of(name, parts) for name in sources if name not in self.sources}
        return [f"{name} is {' + '.join(names)}" for name, names in made_of.items() if names]

    def _made_of(self, source: str, parts: Sequence[str] | None) -> tuple[str, ...]:
        """Return the sources that an accompaniment without a file is made of; empty if one of them is missing."""
        if source not in ACCOMPANIMENT_NAMES:
            return ()
        other_name = next((name for name in ACCOMPANIMENT_NAMES if name in self.sources), None)
        if other_name is not None:
            return (other_name,)
        wanted = tuple(self.accompaniment_parts if parts is None else parts)
        return wanted if self.sources.issuperset(wanted) else ()

    def mixture_or_sum(self) -> Stem:
        """Return the mixture file, or the sum of the stems if there is none."""
        if self.mixture is not None:
            return self.mixture
        return SumStem(tuple(self.stems[name] for name in averaged_sources(tuple(self.stems))))

    def baseline(self, sources: Sequence[str]) -> dict[str, Stem]:
        """Return the challenge's baseline: for every source, the mixture divided by the number of sources."""
        share = SumStem((self.mixture_or_sum(),), gain=1 / len(sources))
        return dict.fromkeys(sources, share)

    def content_key(
        self, sources: Sequence[str], *, with_mixture: bool = False, parts: Sequence[str] | None = None
    ) -> str:
        """Return a hash of the files of these sources (of the whole file for a ``.stem.mp4``).

        Raises:
            DatasetError: a source is missing or cannot be read.
        """
        if self.stem_mp4 is not None:
            return FileStem(self.stem_mp4).content_key()
        if absent := self.absent(sources, parts=parts):
            hint = f"add one file per source to the others ({', '.join(sorted(self.sources)) or 'there are none'})"
            raise DatasetError(f"no {', '.join(absent)}", where=self.location, hint=hint)
        stems = self.targets(sources, parts=parts)
        keys = [stems[source].content_key() for source in sources]
        return " ".join([*keys, self.mixture_or_sum().content_key()] if with_mixture else keys)

    def decoded(self, scratch: Path) -> DatasetSong:
        """Return this song with readable stems; a ``.stem.mp4`` is decoded into ``scratch``.

        Raises:
            DatasetError: musdb or ffmpeg is not installed, or the file cannot be decoded.
        """
        if self.stem_mp4 is None:
            return self
        paths = decode_stem_mp4(self.stem_mp4, scratch)
        mixture = FileStem(paths.pop("mixture"))
        stems = {name: FileStem(path) for name, path in paths.items()}
        return DatasetSong(self.name, self.location, stems, mixture, None)


def find_songs(root: Path) -> list[DatasetSong]:
    """Return every song below a folder, sorted by location; hidden folders are skipped.

    Raises:
        DatasetError: the folder does not exist or has no songs.
    """
    if not root.is_dir():
        raise DatasetError("no such folder", where=root, hint="name a folder of songs")
    try:
        songs = [song for folder in _folders(root) for song in _songs_in(folder, root)]
    except OSError as error:
        hint = "make every folder below it readable, or move it away"
        raise DatasetError(f"cannot be read ({error})", where=root, hint=hint) from error
    if len(songs) > 1:  # audio files directly in the root of a data set are not a song
        songs = [song for song in songs if song.location != "."]
    if not songs:
        hint = "each song is a folder with one audio file per source, or a .stem.mp4 file"
        raise DatasetError("no songs here", where=root, hint=hint)
    return sorted(songs, key=lambda song: song.location)


def common_sources(songs: Iterable[DatasetSong]) -> tuple[str, ...]:
    """Return the sources that most songs have: the four of music or the three of cinema where they are complete."""
    counts: Counter[tuple[str, ...]] = Counter()
    for song in [song for song in songs if song.sources]:
        known = next((s for s in (MUSIC_SOURCES, CINEMA_SOURCES) if song.sources.issuperset(s)), None)
        counts[known or tuple(sorted(song.sources))] += 1
    return max(counts, key=lambda sources: (counts[sources], len(sources)), default=())


def match_estimates(
    references: Sequence[DatasetSong], estimates: Sequence[DatasetSong]
) -> tuple[dict[str, DatasetSong], dict[str, str]]:
    """Pair songs by location, else by name.

    Returns:
        Reference location to estimate, and reference location to an error message if several estimates match; songs
        without an estimate are in neither.
    """
    by_location = {song.location: song for song in estimates}
    by_name: dict[str, list[DatasetSong]] = {}
    for song in estimates:
        by_name.setdefault(song.name, []).append(song)
    pairs: dict[str, DatasetSong] = {}
    unclear: dict[str, str] = {}
    if len(references) == len(estimates) == 1 and estimates[0].location == ".":
        return {references[0].location: estimates[0]}, unclear
    for reference in references:
        candidates = by_name.get(reference.name, [])
        if reference.location in by_location:
            pairs[reference.location] = by_location[reference.location]
        elif len(candidates) == 1:
            pairs[reference.location] = candidates[0]
        elif candidates:
            paths = ", ".join(song.location for song in candidates)
            unclear[reference.location] = (
                f"several estimates match {reference.location}: {paths}. Keep one of them, or move it to that path."
            )
    return pairs, unclear


def _folders(root: Path) -> Iterable[Path]:
    yield root
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_dir() and not hidden:
            yield path


def _songs_in(folder: Path, root: Path) -> Iterable[DatasetSong]:
    """Yield the ``.stem.mp4`` files in a folder, and the folder itself if it has audio files."""
    stems: dict[str, Stem] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.name.lower().endswith(STEM_MP4):
            name = path.name[: -len(STEM_MP4)]
            yield DatasetSong(name, (folder.relative_to(root) / name).as_posix(), stem_mp4=path)
        elif path.suffix.lower() in AUDIO_SUFFIXES:
            stems.setdefault(_source_name(path, folder.name), FileStem(path))
    mixture = stems.get("mixture")
    sources = {name: stem for name, stem in stems.items() if name not in _NOT_SOURCES}
    if stems:  # a mixture without stems is an incomplete song, which is reported
        yield DatasetSong(folder.resolve().name, folder.relative_to(root).as_posix(), sources, mixture)


def _source_name(path: Path, folder_name: str) -> str:
    name = path.stem.removeprefix(f"{folder_name}_").lower().strip("_ ")
    return _ALIASES.get(name, name)
