"""The joint network of bass, drums and other, exported as one graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from my_submission.networks.joint_tfc_tdf import Band, JointConfig, JointNet
from training.export_joint import ARCHITECTURE, export_joint
from training.graphs import Exported
from training.modules.base import SeparationModule
from training.modules.tfc_tdf import TfcTdfModule
from training.settings.experiment import Experiment, NetworkSettings
from training.starting import start_joint_from


@dataclass(frozen=True, kw_only=True)
class JointTfcTdfSettings(NetworkSettings, kind=ARCHITECTURE):
    """Shape of a joint network, as :class:`JointConfig`; its targets are the experiment's.

    Attributes:
        graph: name of the artefact below the experiment's family.
        band_bins: bins of every band, from the lowest up.
        band_folding: bins that a row of each band holds.
        widths: channels of each level, outermost first.
        outer_convs: convolutions in a block of the outermost level.
        bottleneck: how much the TDF narrows its axis.
        compression: exponent on the input's magnitudes.
        start: an exported graph of a network of this shape and these targets, whose weights a fresh run begins with;
            the path is relative to where the program is started.
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
        """The network's full shape."""
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
        """Raises ValueError where bins or frames do not fit the shape."""
        config = self.config(experiment)
        if experiment.transform.kept_bins != config.bins:
            kept = experiment.transform.kept_bins
            raise ValueError(f"transform.kept_bins={kept} must be the {config.bins} bins of network.band_bins")
        for frames in (experiment.transform.frames, experiment.export_chunking.frames):
            if frames % config.frame_multiple:
                raise ValueError(f"frames={frames} must be a multiple of {config.frame_multiple}")

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """One graph for all sources."""
        return {self.graph: None}

    def module(self, experiment: Experiment, *, total_steps: int) -> SeparationModule:
        """With weights drawn from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            network = JointNet(self.config(experiment))
        return JointTfcTdfModule(experiment, network, total_steps=total_steps)

    def begin(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Takes the weights of the graph in ``start``."""
        for network in (module.network, module.averaged):
            if self.start is not None and network is not None:
                start_joint_from(cast("JointNet", network), Path(self.start))


class JointTfcTdfModule(TfcTdfModule):
    """Trains a joint network on the spectra of its targets."""

    def blocks(self) -> Iterable[nn.Module]:
        """The U-Net's blocks."""
        return cast("JointNet", self.network).blocks

    def export_graphs(self, folder: Path) -> list[Exported]:
        """One graph of all sources."""
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
