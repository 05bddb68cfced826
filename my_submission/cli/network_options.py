"""Options of networks of one stem: a graph of the user's own, and how such graphs are applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from my_submission.cli.option_values import count, positive_integer, positive_number
from my_submission.cli.panels import NETWORK
from my_submission.systems import NetworkOptions, OwnNetwork, network_settings

FITTED = "fitted"


def _gain(text: str) -> float | None:
    return None if text == FITTED else positive_number(text)


@dataclass(frozen=True)
class NetworkGroup:
    """A graph of the user's own instead of a system, and how it, or that of a system ``mdx-net/…``, is applied."""

    network: Annotated[
        Path | None,
        typer.Option(
            "--network",
            metavar="FILE.onnx",
            rich_help_panel=NETWORK,
            help="Separate with this graph (MDX-Net architecture) instead of a system, into --target and the rest.",
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="STEM",
            rich_help_panel=NETWORK,
            help="Stem that the graph estimates, such as vocals, instrumental or guitar.",
        ),
    ] = None
    n_fft: Annotated[
        int | None,
        typer.Option(
            "--n-fft",
            parser=positive_integer,
            metavar="SAMPLES",
            rich_help_panel=NETWORK,
            help="FFT length that the graph was trained with (default: known for public graphs).",
        ),
    ] = None
    vocals_from: Annotated[
        str | None,
        typer.Option(
            "--vocals-from",
            metavar="NAME",
            rich_help_panel=NETWORK,
            help="Public graph (`systems mdx-net` lists them) that estimates the vocals of starter-plus, kuielab-a, …",
        ),
    ] = None
    denoise: Annotated[
        bool,
        typer.Option(
            "--denoise",
            rich_help_panel=NETWORK,
            help="Also run the graph on the negated song, to cancel a faint tone of some graphs; takes twice the time.",
        ),
    ] = False
    compensation: Annotated[
        str,
        typer.Option(
            "--compensation",
            metavar="GAIN",
            rich_help_panel=NETWORK,
            help="Gain that compensates the graph's loss of level; fitted: the known value of a public graph.",
        ),
    ] = "1"
    silent_bins: Annotated[
        int,
        typer.Option(
            "--silent-bins",
            parser=count,
            metavar="N",
            rich_help_panel=NETWORK,
            help="Silence the first N bins (below about 20 Hz) of the graph's input, as UVR does.",
        ),
    ] = NetworkOptions.silent_bins

    def __post_init__(self) -> None:
        if self.network is None and (self.target is not None or self.n_fft is not None):
            raise typer.BadParameter("--target and --n-fft are for a graph of your own; name it with --network")
        if self.network is not None and self.target is None:
            raise typer.BadParameter("--network needs --target, such as --target vocals")
        _gain(self.compensation)

    @property
    def own(self) -> OwnNetwork | None:
        """The user's own graph, if there is one."""
        return None if self.network is None else OwnNetwork(self.network, self.target or "", self.n_fft)

    @property
    def applied(self) -> NetworkOptions | None:
        """Options of applying a graph; None for the defaults."""
        options = NetworkOptions(self.denoise, _gain(self.compensation), self.silent_bins)
        return None if options == NetworkOptions() else options

    @property
    def load_settings(self) -> dict[str, Any]:
        """The arguments of :func:`my_submission.predictor.load` for them."""
        return {"network": self.own, "network_options": self.applied, "vocals_from": self.vocals_from}

    @property
    def settings(self) -> dict[str, Any]:
        """The options that change samples, as plain values for records; empty for the defaults."""
        return network_settings(self.own, self.applied)
