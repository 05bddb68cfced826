"""Systems of the user's own: ``systems.toml`` of a models folder, read strictly.

An entry has the parts of a :class:`~my_submission.systems.recipes.SystemRecipe`: branches with their shares, and
optionally a Wiener filter, a rest, a fallback. ``models/README.md`` describes the keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from my_submission.documents import Variant, convert
from my_submission.errors import UnknownNameError, WeightsError
from my_submission.files.hashing import sha256_of_document
from my_submission.files.part_files import write_whole
from my_submission.geometry import SAMPLE_RATE, FadeChunking, OverlapChunking, StftGeometry
from my_submission.mechanisms import (
    ConditionedRecipe,
    JointRecipe,
    MdxNetRecipe,
    MixerRecipe,
    RatioMaskRecipe,
    Recipe,
    SpectralRecipe,
    WaveformRecipe,
    WienerRecipe,
)
from my_submission.mechanisms.mdx_net import OVERLAP_RATIO, SILENT_BINS
from my_submission.stems import with_complement
from my_submission.systems.catalogue import SYSTEMS, find_system
from my_submission.systems.recipes import SYSTEMS_FILE, BranchRecipe, SystemRecipe
from my_submission.systems.whole_system import WholeSystemRecipe
from my_submission.weights import ModelsFolder
from terminal.documents import DocumentError, parse_toml, read_toml
from terminal.names import listed

SCHEMA = 1

Systems = Mapping[str, SystemRecipe]
"""Systems that an entry may name: those of this program, and those before it in the file."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*(/[a-z0-9][a-z0-9._+-]*)*")


@dataclass(frozen=True, kw_only=True)
class BranchEntry(Variant):
    """A branch of a system.

    Attributes:
        name: shown in plans and reports; default: its kind, or the system that it takes.
        share: its share in the blend, for all of its sources.
        shares: source to share, if they differ; sources that are not named have none.
        minus: sources of earlier branches that are subtracted from the mixture before it runs.
    """

    name: str = ""
    share: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)
    minus: tuple[str, ...] = ()

    def recipe(self, known: Systems) -> Recipe:
        """Return the mechanism of the branch; ``known`` are the systems that it may be made of."""
        raise NotImplementedError

    def branch(self, known: Systems) -> BranchRecipe:
        """Return the branch."""
        recipe = self.recipe(known)
        shares = dict(self.shares) or dict.fromkeys(recipe.sources, self.share)
        if unknown := set(shares) - set(recipe.sources):
            raise ValueError(f"the branch {self.name or self.kind!r} does not estimate {listed(sorted(unknown))}")
        return BranchRecipe(self.name or self.kind, recipe, shares, self.minus)


@dataclass(frozen=True, kw_only=True)
class NetworksEntry(BranchEntry, kind="networks"):
    """One spectral network per source, and optionally a Mixer."""

    networks: Mapping[str, str]
    mixer: str | None = None

    def recipe(self, known: Systems) -> Recipe:
        """Return the networks."""
        return SpectralRecipe(self.networks, self.mixer)


@dataclass(frozen=True, kw_only=True)
class MdxNetEntry(BranchEntry, kind="mdx-net"):
    """One stem by one graph, as UVR and audio-separator apply it."""

    network: str
    source: str
    overlap_ratio: float = OVERLAP_RATIO
    silent_bins: int = SILENT_BINS
    compensation: float = 1.0
    denoise: bool = False

    def recipe(self, known: Systems) -> Recipe:
        """Return the network."""
        return MdxNetRecipe(
            self.network,
            self.source,
            overlap_ratio=self.overlap_ratio,
            silent_bins=self.silent_bins,
            compensation=self.compensation,
            denoises=self.denoise,
        )


@dataclass(frozen=True, kw_only=True)
class ConditionedEntry(BranchEntry, kind="conditioned"):
    """One network that estimates each source by its number."""

    network: str
    sources: tuple[str, ...]
    trim_samples: int
    overlap_ratio: float = 0.0

    def recipe(self, known: Systems) -> Recipe:
        """Return the network."""
        return ConditionedRecipe(self.network, self.sources, self.trim_samples, overlap_ratio=self.overlap_ratio)


@dataclass(frozen=True, kw_only=True)
class JointEntry(BranchEntry, kind="joint"):
    """One network of several sources."""

    network: str
    sources: tuple[str, ...]
    overlap_ratio: float = 0.0

    def recipe(self, known: Systems) -> Recipe:
        """Return the network."""
        return JointRecipe(self.network, self.sources, self.overlap_ratio)


@dataclass(frozen=True, kw_only=True)
class WaveformEntry(BranchEntry, kind="waveform"):
    """One waveform network such as Demucs, on overlapping segments."""

    network: str
    sources: tuple[str, ...]
    normalisation: Literal["joint", "mono", "none"] = "joint"
    segment_seconds: float = 40.0
    overlap_ratio: float = 0.5

    def recipe(self, known: Systems) -> Recipe:
        """Return the network."""
        chunking = OverlapChunking(int(self.segment_seconds * SAMPLE_RATE), self.overlap_ratio)
        return WaveformRecipe(self.network, self.sources, self.normalisation, chunking)


@dataclass(frozen=True, kw_only=True)
class RatioMaskEntry(BranchEntry, kind="ratio-mask"):
    """A target by the ratio of two networks' masks, as Spleeter."""

    source: str
    target: str
    rest: str

    def recipe(self, known: Systems) -> Recipe:
        """Return the networks."""
        return RatioMaskRecipe(self.source, self.target, self.rest)


@dataclass(frozen=True, kw_only=True)
class KnownEntry(BranchEntry, kind="branch-of"):
    """A branch of another system, with other shares."""

    system: str
    branch_name: str

    def recipe(self, known: Systems) -> Recipe:
        """Return the mechanism of that branch.

        Raises:
            ValueError: there is no such system or branch.
        """
        branches = {branch.name: branch.recipe for branch in _known_system(self.system, known).branches}
        if self.branch_name not in branches:
            raise ValueError(f"{self.system} has no branch {self.branch_name!r}: it has {listed(list(branches))}")
        return branches[self.branch_name]


@dataclass(frozen=True, kw_only=True)
class WholeSystemEntry(BranchEntry, kind="system"):
    """A whole other system; ``shares`` name the sources that it is used for."""

    system: str

    def recipe(self, known: Systems) -> Recipe:
        """Return the system for the sources that have a share.

        Raises:
            ValueError: there is no such system, or it has no such source.
        """
        try:
            recipe = WholeSystemRecipe(_known_system(self.system, known))
            return recipe.with_sources(tuple(self.shares)) if self.shares else recipe
        except UnknownNameError as error:
            raise ValueError(f"{error.problem}; {error.hint}") from error


@dataclass(frozen=True, kw_only=True)
class WienerEntry:
    """A Wiener filter over the blend.

    Attributes:
        shares: source to the share of the filter's estimate.
        minus: sources that are subtracted from the mixture and not filtered.
        n_fft: length of its transform, with half of it as hop.
        window_seconds: stretch of the song with covariances of its own; stretches are joined by fades of a tenth.
        adds_up: whether the stems add up to the mixture.
    """

    shares: Mapping[str, float]
    minus: tuple[str, ...] = ()
    n_fft: int = 8192
    window_seconds: float = 10.0
    adds_up: bool = False

    def recipe(self) -> WienerRecipe:
        """Return the filter."""
        geometry = StftGeometry(self.n_fft, self.n_fft // 2, self.n_fft // 2 + 1)
        window = int(self.window_seconds * SAMPLE_RATE)
        return WienerRecipe(self.shares, geometry, FadeChunking(window, window // 10), self.minus, self.adds_up)


@dataclass(frozen=True, kw_only=True)
class SystemEntry:
    """A system.

    Attributes:
        name: lower-case words joined by / . _ + -
        branches: branches in the order of work.
        title: one line of description.
        rest: a source that is the mixture minus all others.
        wiener: the filter over the blend.
        mixer: the Mixer over the filtered blend.
        fallback: a system of this program for when there is no time for a complete result.
        licence: licence of the weights.
    """

    name: str
    branches: tuple[BranchEntry, ...]
    title: str = "a system of your own"
    rest: str | None = None
    wiener: WienerEntry | None = None
    mixer: MixerRecipe | None = None
    fallback: str | None = None
    licence: str = "your own"

    def system(self, known: Systems) -> SystemRecipe:
        """Return the system; one of a single source writes that source and the rest of the mixture.

        Args:
            known: systems that it may be made of, those of this program among them.

        Raises:
            ValueError: it cannot be used; the message says why.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name {self.name!r} is not lower-case words joined by / . _ + -")
        if self.name in SYSTEMS:
            raise ValueError(f"{self.name!r} is a system of this program; choose another name")
        if self.name in known:
            raise ValueError(f"the name {self.name!r} appears twice; choose another name")
        branches = tuple(entry.branch(known) for entry in self.branches)
        sources = tuple(dict.fromkeys(source for branch in branches for source in branch.shares))
        if self.rest is not None:
            sources = (*sources, self.rest)
        stems = with_complement(sources[0]) if len(sources) == 1 else ()
        return SystemRecipe(
            name=self.name,
            title=self.title,
            sources=sources,
            branches=branches,
            licence=self.licence,
            fallback=None if self.fallback is None else _known_system(self.fallback, known),
            wiener=None if self.wiener is None else self.wiener.recipe(),
            mixer=self.mixer,
            rest=self.rest,
            uses_external_data=True,
            default_stems=stems,
            omitted=stems[1:],
        )


@dataclass(frozen=True)
class _SystemsFile:
    schema: int
    systems: tuple[SystemEntry, ...]


def _known_system(name: str, known: Systems) -> SystemRecipe:
    """Return a system that an entry names; ValueError if there is none."""
    try:
        return find_system(name, known)
    except UnknownNameError as error:
        raise ValueError(f"{error.problem}; {error.hint}") from error


def systems_of(models: ModelsFolder) -> Systems:
    """Return all systems by name: those of this program, and those of the folder's ``systems.toml``.

    Raises:
        WeightsError: that file cannot be used; the message names the entry and the cure.
    """
    path = models.directory / SYSTEMS_FILE
    if not path.is_file():
        return SYSTEMS
    try:
        return _read(read_toml(path), models)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    except DocumentError as error:
        hint = error.hint or "correct the file; models/README.md describes its keys"
        raise WeightsError(str(error), where=path, hint=hint) from error


def with_entry(path: Path, name: str, entry: str, *, is_dry: bool = False) -> None:
    """Add a system to a ``systems.toml``, which is created if missing, and check the result before it is replaced.

    Args:
        path: path of the file.
        name: name of the system.
        entry: its text, from ``[[systems]]`` on.
        is_dry: check only, and write nothing.

    Raises:
        WeightsError: the file cannot be used, has a system of that name, or knows no system that the entry names, or
            the folder has no manifest; it is unchanged.
        OutputError: it cannot be written.
    """
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else f"schema = {SCHEMA}\n"
        known = [each.name for each in convert(_SystemsFile, {"systems": [], **parse_toml(before)}).systems]
        if name in known:
            raise DocumentError(f"has a system {name!r} already", hint="choose another --name, or remove that entry")
        text = f"{before.rstrip()}\n\n{entry}"
        _read(parse_toml(text), ModelsFolder(path.parent))
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"cannot be read ({error})", where=path) from error
    except ValueError as error:
        raise WeightsError(str(error), where=path, hint=getattr(error, "hint", None) or "correct the file") from error
    if not is_dry:
        write_whole(path, text.encode())


def _read(document: Mapping[str, object], models: ModelsFolder) -> Systems:
    """Return all systems by name; DocumentError if one cannot be used, or its artefacts are not in the manifest."""
    systems = _defined(document)
    artefacts = {artefact.name for artefact in models.artefacts}
    for index, system in enumerate(system for name, system in systems.items() if name not in SYSTEMS):
        if unknown := [name for name in system.artefacts if name not in artefacts]:
            problem = f"manifest.json has no {listed(unknown)}"
            hint = "add the artefacts to manifest.json, or correct the names"
            raise DocumentError(problem, place=f"systems[{index}] ({system.name})", hint=hint)
    return systems


def _defined(document: Mapping[str, object]) -> Systems:
    """Return the systems of this program, and those of a document, by name; DocumentError if one cannot be used."""
    file = convert(_SystemsFile, document)
    if file.schema != SCHEMA:
        raise DocumentError(f"schema is {file.schema!r}, and this program reads {SCHEMA}")
    tables = cast("list[Mapping[str, Any]]", document["systems"])
    found: dict[str, SystemRecipe] = dict(SYSTEMS)
    for index, (entry, table) in enumerate(zip(file.systems, tables, strict=True)):
        try:
            system = entry.system(found)
        except ValueError as error:
            raise DocumentError(str(error), place=f"systems[{index}] ({entry.name})") from error
        found[system.name] = replace(system, definition=_hash_of(table, found))
    return found


def _hash_of(table: Mapping[str, Any], known: Systems) -> str:
    """Return a hash of an entry and of those that it names, without the words that change no sample."""
    named = [known[branch["system"]].definition for branch in table["branches"] if branch.get("system") in known]
    kept = {key: value for key, value in table.items() if key not in {"title", "licence"}}
    return sha256_of_document({**kept, "named": named})
