"""Songs in folders: the layouts of the challenges and data sets, or any folder with stems.

| layout | a song |
|---|---|
| MDX (MDXDB21, MUSDB18-HQ, SDX23) | ``[train/ test/] <song>/{mixture,bass,drums,other,vocals}.wav`` |
| DnR | ``[tr/ cv/ tt/] <number>/{mix,speech,sfx,music}.wav`` |
| CDX | ``<song>/<song>_{dialog,effect,music}.wav``, mixture ``mix.wav`` or ``_mixture_Lt.wav`` + ``_mixture_Rt.wav`` |
| MUSDB18 | ``[train/ test/] <song>.stem.mp4``, decoded by musdb (needs ffmpeg) |
| any | ``…/<song>/<source>.<wav, flac, ogg, mp3, aiff>``; the folder given may itself be the one song |

A song is known by its folder's name; the path from the folder given tells two of one name apart.
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
"""Files beside the stems that are no source."""


@dataclass(frozen=True)
class DatasetSong:
    """One song of a data set, not opened yet.

    Attributes:
        name: the folder's name.
        location: its path from the data set's root, which tells songs of one name apart; ``.`` for a lone song.
        stems: source name to stem; for a ``.stem.mp4`` empty until :meth:`decoded`.
        mixture: the song's own mixture file, when there is one.
        stem_mp4: the MUSDB18 file to be decoded, or None.
    """

    name: str
    location: str
    stems: Mapping[str, Stem] = field(default_factory=dict)
    mixture: Stem | None = None
    stem_mp4: Path | None = None

    @property
    def sources(self) -> frozenset[str]:
        """Names of the sources at hand."""
        return frozenset(MUSIC_SOURCES) if self.stem_mp4 else frozenset(self.stems)

    @property
    def accompaniment_parts(self) -> tuple[str, ...]:
        """Sources whose sum is the accompaniment: all but the vocals, the musical ones first."""
        parts = self.sources - {VOCALS, *ACCOMPANIMENT_NAMES}
        return tuple(sorted(parts, key=lambda name: (name not in MUSIC_SOURCES, name)))

    def absent(self, sources: Sequence[str], *, parts: Sequence[str] | None = None) -> list[str]:
        """Those of ``sources`` that are neither here nor to be had as a sum; ``parts`` as in :meth:`targets`."""
        return [source for source in sources if not (source in self.sources or self._made_of(source, parts))]

    def targets(self, sources: Sequence[str], *, parts: Sequence[str] | None = None) -> dict[str, Stem]:
        """The stems of ``sources`` that are here; accompaniment and instrumental as a sum where there is no file.

        Args:
            sources: their names.
            parts: what an accompaniment without a file is the sum of; by default all sources but the vocals.
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
        """A clause for every target that is taken from files of other names."""
        made_of = {name: self._made_of(name, parts) for name in sources if name not in self.sources}
        return [f"{name} is {' + '.join(names)}" for name, names in made_of.items() if names]

    def _made_of(self, source: str, parts: Sequence[str] | None) -> tuple[str, ...]:
        """Files that a target without a file is made of: the other name's, or all parts; none where one is absent."""
        if source not in ACCOMPANIMENT_NAMES:
            return ()
        other_name = next((name for name in ACCOMPANIMENT_NAMES if name in self.sources), None)
        if other_name is not None:
            return (other_name,)
        wanted = tuple(self.accompaniment_parts if parts is None else parts)
        return wanted if self.sources.issuperset(wanted) else ()

    def mixture_or_sum(self) -> Stem:
        """The mixture, or where there is no file of it the sum of the stems."""
        if self.mixture is not None:
            return self.mixture
        return SumStem(tuple(self.stems[name] for name in averaged_sources(tuple(self.stems))))

    def baseline(self, sources: Sequence[str]) -> dict[str, Stem]:
        """The challenge's scaled-mixture baseline: every source is the mixture divided by their number."""
        share = SumStem((self.mixture_or_sum(),), gain=1 / len(sources))
        return dict.fromkeys(sources, share)

    def content_key(
        self, sources: Sequence[str], *, with_mixture: bool = False, parts: Sequence[str] | None = None
    ) -> str:
        """A hash of the bytes of these sources' files (of the whole file for a ``.stem.mp4``).

        Raises:
            DatasetError: one is absent or cannot be read.
        """
        if self.stem_mp4 is not None:
            return FileStem(self.stem_mp4).content_key()
        if absent := self.absent(sources, parts=parts):
            hint = f"put a file for each beside the others ({', '.join(sorted(self.sources)) or 'there are none'})"
            raise DatasetError(f"no {', '.join(absent)}", where=self.location, hint=hint)
        stems = self.targets(sources, parts=parts)
        keys = [stems[source].content_key() for source in sources]
        return " ".join([*keys, self.mixture_or_sum().content_key()] if with_mixture else keys)

    def decoded(self, scratch: Path) -> DatasetSong:
        """This song with its stems readable: a ``.stem.mp4`` is decoded into ``scratch``, anything else is as it was.

        Raises:
            DatasetError: musdb or ffmpeg is absent, or the file cannot be decoded.
        """
        if self.stem_mp4 is None:
            return self
        paths = decode_stem_mp4(self.stem_mp4, scratch)
        mixture = FileStem(paths.pop("mixture"))
        stems = {name: FileStem(path) for name, path in paths.items()}
        return DatasetSong(self.name, self.location, stems, mixture, None)


def find_songs(root: Path) -> list[DatasetSong]:
    """Every song below a folder (hidden folders left out), sorted by location.

    Raises:
        DatasetError: the folder is absent or holds no song.
    """
    if not root.is_dir():
        raise DatasetError("no such folder", where=root, hint="name a folder of songs")
    try:
        songs = [song for folder in _folders(root) for song in _songs_in(folder, root)]
    except OSError as error:
        hint = "make every folder below it readable, or move it away"
        raise DatasetError(f"cannot be read ({error})", where=root, hint=hint) from error
    if len(songs) > 1:  # audio lying about in the root of a data set is no song of it
        songs = [song for song in songs if song.location != "."]
    if not songs:
        hint = "each song is a folder of its own with one audio file a source, or a .stem.mp4 file"
        raise DatasetError("no songs here", where=root, hint=hint)
    return sorted(songs, key=lambda song: song.location)


def common_sources(songs: Iterable[DatasetSong]) -> tuple[str, ...]:
    """The sources a data set is about: the musical four or the cinematic three where most songs have them,
    otherwise the set most songs have; none where no song has any."""
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
        Reference location to estimate, and reference location to the reason where several estimates could be meant;
        a song without an estimate is in neither.
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
            places = ", ".join(song.location for song in candidates)
            unclear[reference.location] = (
                f"several estimates could be {reference.location}: {places}. Keep one of them, or put it at that path."
            )
    return pairs, unclear


def _folders(root: Path) -> Iterable[Path]:
    yield root
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_dir() and not hidden:
            yield path


def _songs_in(folder: Path, root: Path) -> Iterable[DatasetSong]:
    """The song a folder is, and the ``.stem.mp4`` files in it."""
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
    if stems:  # a lone mixture is an incomplete song, to be reported and not passed over
        yield DatasetSong(folder.resolve().name, folder.relative_to(root).as_posix(), sources, mixture)


def _source_name(path: Path, folder_name: str) -> str:
    name = path.stem.removeprefix(f"{folder_name}_").lower().strip("_ ")
    return _ALIASES.get(name, name)
