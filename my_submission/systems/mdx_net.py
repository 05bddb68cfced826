"""Systems of one graph of KUIELab's architecture: the public ones by name, and graphs of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from my_submission.errors import InputError, UnknownNameError
from my_submission.mechanisms import MdxNetRecipe
from my_submission.mechanisms.mdx_net import SILENT_BINS
from my_submission.stems import canonical_source, complemented_source, source_name, with_complement
from my_submission.systems.recipes import BranchRecipe, SystemRecipe
from my_submission.weights import Artefact, ArtefactGeometry
from my_submission.weights.content_checks import MDX_NET
from my_submission.weights.mdx_net_facts import HOP
from terminal.names import listed

FAMILY = "mdx-net"
"""First part of the names of the public graphs."""

FAMILY_LICENCE = "as UVR's README states (credit to UVR and its developers); ask before commercial use"

PUBLIC_GRAPHS = {
    "inst-hq-1": "UVR-MDX-NET Inst HQ 1",
    "inst-hq-2": "UVR-MDX-NET Inst HQ 2",
    "inst-hq-3": "UVR-MDX-NET Inst HQ 3",
    "inst-hq-4": "UVR-MDX-NET Inst HQ 4",
    "inst-hq-5": "UVR-MDX-NET Inst HQ 5",
    "main": "UVR-MDX-NET Main",
    "inst-main": "UVR-MDX-NET Inst Main",
    "uvr-9703": "UVR-MDX-NET 1",
    "uvr-9682": "UVR-MDX-NET 2",
    "uvr-9662": "UVR-MDX-NET 3",
    "uvr-9482": "UVR_MDXNET_9482",
    "inst-1": "UVR-MDX-NET Inst 1",
    "inst-2": "UVR-MDX-NET Inst 2",
    "inst-3": "UVR-MDX-NET Inst 3",
    "karaoke": "UVR-MDX-NET Karaoke",
    "karaoke-2": "UVR-MDX-NET Karaoke 2",
    "voc-ft": "UVR-MDX-NET Voc FT",
    "kim-vocal-1": "Kim Vocal 1",
    "kim-vocal-2": "Kim Vocal 2",
    "kim-inst": "Kim Inst",
    "reverb-hq": "Reverb HQ by FoxJoy",
    "crowd-hq-1": "UVR-MDX-NET Crowd HQ 1",
}
"""Name of a public graph → its title."""

VOCALS = "vocals"

_SOURCES = {"reverb-hq": "reverb", "crowd-hq-1": "crowd"}


@dataclass(frozen=True)
class NetworkOptions:
    """Options of applying a graph.

    Attributes:
        denoise: take half the difference of the outputs for a chunk and the negated chunk; takes twice the time, avoids
            a faint tone that some networks add.
        compensation: gain of the graph's output; None for the one that was fitted for a known graph.
        silent_bins: first bins of the graph's input that are silenced.
    """

    denoise: bool = False
    compensation: float | None = 1.0
    silent_bins: int = SILENT_BINS


@dataclass(frozen=True)
class OwnNetwork:
    """A graph of the user's own.

    Attributes:
        path: the .onnx file.
        target: the stem that it outputs, such as "vocals", "instrumental" or "guitar".
        n_fft: length of its transform, in samples; None for a public graph, of which it is known.
        hop: hop of its transform, in samples.
    """

    path: str | Path
    target: str
    n_fft: int | None = None
    hop: int = HOP

    def artefact(self) -> Artefact:
        """Return the entry that a manifest would have.

        Raises:
            UnknownNameError: the target is not the name of a stem.
            InputError: there is no such file, or it is not a graph.
        """
        path = Path(self.path)
        try:
            target = source_name(canonical_source(self.target))
        except ValueError as error:
            raise UnknownNameError(str(error), hint="correct --target") from error
        if not path.is_file():
            raise InputError("there is no such file", where=path, hint="name the .onnx file of the network")
        if path.suffix.lower() != ".onnx":
            raise InputError("its name does not end in .onnx", where=path, hint="export the network as .onnx")
        try:
            geometry = None if self.n_fft is None else ArtefactGeometry(self.n_fft, self.hop)
        except ValueError as error:
            raise InputError(
                f"n_fft={self.n_fft} cannot be used ({error})", where=path, hint="correct --n-fft"
            ) from error
        return Artefact(
            name=f"own/{_slug(path.stem)}",
            path="own.onnx",
            sha256=None,
            n_bytes=None,
            format="onnx",
            architecture=MDX_NET,
            target=target,
            geometry=geometry,
            sources=(),
            licence="your own",
        )

    def system(self) -> SystemRecipe:
        """Return the system of the graph: its stem, and the rest of the mixture."""
        artefact = self.artefact()
        output = artefact.target or ""
        source = complemented_source(output) or output
        title = f"{Path(self.path).name}, which outputs {output}"
        return system_of(artefact.name, title, artefact.name, source, licence=artefact.licence)


def network_settings(network: OwnNetwork | None, options: NetworkOptions | None) -> dict[str, Any]:
    """Return a graph of the user's own and how graphs are applied, as plain values for records; empty for neither."""
    own = {} if network is None else {"network": _without_path(network)}
    return {**own, **({} if options is None else {"network_options": vars(options)})}


def _without_path(network: OwnNetwork) -> dict[str, Any]:
    """Return options that a graph's file does not state; records contain the hash of the file itself."""
    return {name: value for name, value in vars(network).items() if name != "path"}


def system_of(name: str, title: str, network: str, source: str, *, licence: str) -> SystemRecipe:
    """Return a system of one graph: a stem, and the rest of the mixture.

    Args:
        name: name of the system.
        title: one line of description.
        network: artefact name of the graph.
        source: the stem.
        licence: licence of the graph.
    """
    stems = with_complement(source)
    return SystemRecipe(
        name=name,
        title=title,
        sources=(source,),
        branches=(BranchRecipe("network", MdxNetRecipe(network, source), {source: 1.0}),),
        licence=licence,
        default_stems=stems,
        omitted=stems[1:],
        uses_external_data=True,
    )


def with_vocals_from(system: SystemRecipe, name: str) -> SystemRecipe:
    """Return a system whose vocals come from a public graph instead of its own network.

    If one branch estimates the vocals alone, as in a cascade, the graph replaces it and is applied as UVR and
    audio-separator apply it. Among networks of one source each, it replaces the network of the vocals and is applied as
    the others are.

    Args:
        system: a cascade such as ``starter-plus``, or networks of one source each, such as ``kuielab-a``.
        name: name of the graph's system, such as ``mdx-net/kim-vocal-2``; "mdx-net/" may be left out.

    Raises:
        UnknownNameError: there is no such graph, or the system has no network for vocals alone.
    """
    short = name.removeprefix(f"{FAMILY}/")
    network = f"{FAMILY}/{short}"
    if short not in PUBLIC_GRAPHS or short in _SOURCES:
        near = get_close_matches(short, [known for known in PUBLIC_GRAPHS if known not in _SOURCES], n=3, cutoff=0.0)
        raise UnknownNameError(f"there is no public vocals graph {name!r}", hint=f"the nearest are {listed(near)}")
    branches = [_with_vocals_from(branch, network) for branch in system.branches]
    if branches == list(system.branches):
        problem = f"{system.name} has no network that estimates only the vocals and that {network} could replace"
        raise UnknownNameError(problem, hint="use starter-plus, starter, kuielab-a or kuielab-b")
    return replace(
        system,
        name=f"{system.name}+{short}",
        title=f"{system.title}; vocals by {PUBLIC_GRAPHS[short]}",
        branches=tuple(branches),
        published={},
        board="",
        own_sdr=None,
        licence=f"{system.licence}; {network}: {FAMILY_LICENCE}",
        uses_external_data=True,
    )


def _with_vocals_from(branch: BranchRecipe, network: str) -> BranchRecipe:
    is_alone = branch.recipe.sources == (VOCALS,)
    recipe = MdxNetRecipe(network, VOCALS) if is_alone else branch.recipe.with_network(VOCALS, network)
    return replace(branch, recipe=recipe)


def with_network_options(system: SystemRecipe, options: NetworkOptions) -> SystemRecipe:
    """Return a system whose graphs are applied with some options.

    Raises:
        UnknownNameError: none of its branches is such a graph.
    """
    if not any(branch.recipe.takes_network_options for branch in system.branches):
        problem = f"{system.name} has no network to which denoising, compensation and silent bins apply"
        raise UnknownNameError(problem, hint=f"use a system {FAMILY}/…, or --network FILE")

    def applied(branch: BranchRecipe) -> BranchRecipe:
        recipe = branch.recipe.with_network_options(
            denoises=options.denoise, compensation=options.compensation, silent_bins=options.silent_bins
        )
        return replace(branch, recipe=recipe)

    return replace(system, branches=tuple(map(applied, system.branches)))


def _slug(name: str) -> str:
    """Return a name as those of artefacts: lower-case letters, digits, dots, hyphens."""
    letters = "".join(letter if letter.isascii() and (letter.isalnum() or letter in ".-") else "-" for letter in name)
    return letters.lower().strip("-.") or "network"


MDX_NET_SYSTEMS = tuple(
    system_of(
        f"{FAMILY}/{name}",
        f"{title}: public network of one stem, applied as UVR applies it",
        f"{FAMILY}/{name}",
        _SOURCES.get(name, "vocals"),
        licence=FAMILY_LICENCE,
    )
    for name, title in PUBLIC_GRAPHS.items()
)
