"""Joint networks, which predict several sources at once and are exported as one graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from my_submission.engines.joint_onnx import ARCHITECTURE
from my_submission.networks.joint_tfc_tdf import Band, JointConfig, JointNet
from training.experiment import Experiment
from training.export.graphs import Exported
from training.export.spectral import export_joint
from training.modules.base import ModuleSettings, SeparationModule
from training.modules.initial_weights import start_joint_from
from training.modules.tfc_tdf import TfcTdfModule


@dataclass(frozen=True, kw_only=True)
class JointTfcTdfSettings(ModuleSettings, kind=ARCHITECTURE):
    """Shape of a joint network, as in :class:`JointConfig`; its targets are the experiment's.

    Attributes:
        graph: name of the exported graph, below the experiment's family.
        band_bins: number of bins per band, lowest band first.
        band_folding: number of neighbouring bins folded into one row, per band.
        widths: channels per level, outermost first.
        outer_convs: convolutions per block of the outermost level.
        bottleneck: factor by which the TDF narrows the frequency axis.
        compression: exponent on the magnitudes of the input.
        start: path of an exported graph that a fresh run starts from, relative to the working directory; None starts
            from random weights. Its network has the same shape, and its sources are some or all of the targets.
    """

    graph: str = "accompaniment"
    band_bins: tuple[int, ...] = (256, 384, 512)
    band_folding: tuple[int, ...] = (2, 6, 16)
    widths: tuple[int, ...] = (24, 64, 96, 128, 160)
    outer_convs: int = 1
    bottleneck: int = 2
    compression: float = 0.3
    start: str | None = None

    def config(self, experiment: Experiment) -> JointConfig:
        """Return the network's full shape."""
        if len(self.band_bins) != len(self.band_folding):
            raise ValueError(f"{len(self.band_bins)} band_bins and {len(self.band_folding)} band_folding do not match")
        return JointConfig(
            bands=tuple(Band(bins=b, bins_per_row=f) for b, f in zip(self.band_bins, self.band_folding, strict=True)),
            widths=self.widths,
            outer_convs=self.outer_convs,
            bottleneck=self.bottleneck,
            compression=self.compression,
            targets=len(experiment.targets),
        )

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the bins or frames do not fit the shape."""
        config = self.config(experiment)
        if experiment.transform.kept_bins != config.bins:
            kept = experiment.transform.kept_bins
            raise ValueError(f"transform.kept_bins={kept} must be the {config.bins} bins of network.band_bins")
        for frames in (experiment.transform.frames, experiment.export_chunking.frames):
            if frames % config.frame_multiple:
                raise ValueError(f"frames={frames} must be a multiple of {config.frame_multiple}")

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Return one name for all sources."""
        return {self.graph: None}

    def branch(self, experiment: Experiment) -> str | None:
        """Return ``joint``."""
        return "joint"

    def network(self, experiment: Experiment) -> nn.Module:
        """Return a :class:`JointNet`."""
        return JointNet(self.config(experiment))

    def trainer(self) -> type[SeparationModule]:
        """Return :class:`JointTfcTdfModule`."""
        return JointTfcTdfModule

    def load_start(self, network: nn.Module, experiment: Experiment) -> None:
        """Load the weights of the graph ``start``."""
        if self.start is not None:
            start_joint_from(cast("JointNet", network), experiment.targets, Path(self.start))


class JointTfcTdfModule(TfcTdfModule):
    """Training of a joint network on the spectra of its targets."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the U-Net's blocks."""
        return cast("JointNet", self.network).blocks

    def export_graphs(self, folder: Path) -> list[Exported]:
        """Write one graph of all sources."""
        settings = self.experiment.export
        return [
            export_joint(
                cast("JointNet", self.evaluated),
                self.experiment.export_chunking,
                self.experiment.targets,
                folder / f"{name}.onnx",
                half_weights=settings.half_weights,
            )
            for name in self.experiment.network.graphs(self.experiment)
        ]
